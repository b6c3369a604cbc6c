"""A PostgreSQL server for this folder alone: the tests make it crash, which no other test should see."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import empty_database, postgres_server


@pytest.fixture(scope="module")
def frail_server() -> Iterator[str]:
    # Not in pytest's own folder: another run of pytest closes that to others, and after a crash the server, which has a user
    # of its own, looks for its data again.
    with tempfile.TemporaryDirectory(prefix="xtyl-frail-") as folder, postgres_server(Path(folder)) as url:
        yield url


@pytest.fixture
def own_postgres(frail_server: str) -> str:
    """The URL of an empty database."""
    return empty_database(frail_server)
