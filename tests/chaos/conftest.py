"""A PostgreSQL of this folder's own: it is made to crash, which no other test should see."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from servers import postgres_server


@pytest.fixture(scope="module")
def frail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres_server(tmp_path_factory.mktemp("frail")) as url:
        yield url


@pytest.fixture
def own_postgres(frail_server: str) -> str:
    """The URL of an empty database."""
    name = f"chaos_{uuid.uuid4().hex[:12]}"
    admin = create_engine(frail_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    base, _, query = frail_server.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"
