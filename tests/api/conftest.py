"""APIs under test: over each kind of database, and over SQLite alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import Desk, open_desk
from servers import valkey_server


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """A broker for the session."""
    with valkey_server() as url:
        yield url


@pytest.fixture
def desk(tmp_path: Path, database_url: str, broker: str) -> Iterator[Desk]:
    """An API over each kind of database."""
    made = open_desk(tmp_path / "home", database_url, broker)
    with made.client:
        yield made


@pytest.fixture
def lite(tmp_path: Path, broker: str) -> Iterator[Desk]:
    """An API over SQLite."""
    made = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker)
    with made.client:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[Desk]:
    """An API over SQLite for all tests of a module that only read, or see only what they made."""
    home = tmp_path_factory.mktemp("shared")
    made = open_desk(home / "home", f"sqlite:///{home / 'xtyl.db'}", broker)
    with made.client:
        yield made
