"""A PostgreSQL server for this folder alone: the tests make it crash, which no other test should see."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from servers import postgres_server


@pytest.fixture(scope="module")
def frail_server() -> Iterator[str]:
    # Not in pytest's own folder: another run of pytest closes that to others, and after a crash the server, which has a user
    # of its own, looks for its data again.
    with tempfile.TemporaryDirectory(prefix="xtyl-frail-") as folder, postgres_server(Path(folder)) as url:
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
