"""Fixtures for every test: real databases, and homes of their own."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from servers import empty_schema, postgres_server
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.embedded.variables import Variables

# How long an example takes, the machine says.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a real PostgreSQL, started for this session."""
    # Not in pytest's folder: the server of a root session runs as another user, and each further session of pytest, such as those
    # that tests start, closes that folder to all others. The server then crashes at its next look at its data.
    with tempfile.TemporaryDirectory(prefix="xtyl-pg-") as folder, postgres_server(Path(folder) / "data") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; of PostgreSQL, an empty schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'xtyl.db'}"
        return
    yield empty_schema(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of each kind with the schema in it."""
    opened = Database(database_url)
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The socket of a supervisor at which variables come and go."""
    kept = Variables()
    kept.listen(tmp_path / "keys.sock")
    yield tmp_path / "keys.sock"
    kept.close()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the home of the person who runs it."""
    for name in [name for name in os.environ if name.startswith(("XTYL_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XTYL_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def loggers_as_at_start() -> None:
    """Undo the changes that a test makes to the loggers of this process."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    ours = logging.getLogger("xtyl")
    ours.disabled, ours.propagate = False, True
    ours.setLevel(logging.NOTSET)
