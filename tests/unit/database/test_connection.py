"""A driver's errors become errors of the project, with a remedy, and say whether another try may help."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, text

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import load_settings, prepare_home

CREATE = text("CREATE TABLE t (x INTEGER)")
ADD = text("INSERT INTO t VALUES (1)")
COUNT = text("SELECT count(*) FROM t")
ADD_TEXT = text("INSERT INTO words VALUES (:given)").bindparams(bindparam("given", required=True))
PREPARED = text("SELECT count(*) FROM pg_prepared_statements")


def opened(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def test_a_write_is_there_for_every_reader(database: Database) -> None:
    """The next transaction reads the writes of the last one, on each database."""
    database.transact(lambda transaction: transaction.run(CREATE))
    assert database.transact(lambda transaction: transaction.run(ADD)) == 1
    with database.read() as transaction:
        assert transaction.row(COUNT) == (1,)
        assert transaction.rows(text("SELECT x FROM t WHERE x = 2")) == []


def test_a_closed_database_keeps_no_file_open(tmp_path: Path) -> None:
    """A connection that is in use while its database is closed is let go once its transaction ends."""
    file = tmp_path / "x.db"
    database = opened(file)
    database.transact(lambda transaction: transaction.run(CREATE))
    with database.read():
        database.close()
    gc.collect()
    assert str(file) not in [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]


def test_an_error_inside_undoes_all_of_it(database: Database) -> None:
    """A transaction that raises leaves nothing behind, and its own error passes."""
    database.transact(lambda transaction: transaction.run(CREATE))

    def broken(transaction: object) -> None:
        transaction.run(ADD)  # type: ignore[attr-defined]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.transact(broken)
    with database.read() as transaction:
        assert transaction.row(COUNT) == (0,)


def test_a_wrong_statement_is_told_once_and_not_repeated(database: Database) -> None:
    """An error that another try would repeat is raised at once, with the driver's cause kept."""
    tries: list[Any] = []

    def wrong(transaction: object) -> None:
        tries.append(1)
        transaction.run(text("SELECT * FROM missing"))  # type: ignore[attr-defined]

    with pytest.raises(BackendError, match="missing") as caught:
        database.transact(wrong)
    assert tries == [1]
    assert caught.value.__cause__ is not None
    assert "xtyl doctor" in str(caught.value.hint)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A database whose folder is not there is a BackendError, not a driver's."""
    database = opened(tmp_path / "nowhere" / "x.db")
    with pytest.raises(BackendError, match="unable to open database file"):
        ensure_schema(database)
    with pytest.raises(BackendError), database.read():
        pass
    with pytest.raises(BackendError, match="No such file or directory") as caught:
        database.transact(lambda transaction: transaction.run(CREATE))
    assert not caught.value.data["retryable"]
    database.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """A file of something else is refused, and left as it is."""
    path = tmp_path / "x.db"
    path.write_text("I am a poem, and I am not a database. " * 100)
    database = opened(path)
    with pytest.raises(BackendError, match="not a database"):
        ensure_schema(database)
    database.close()
    assert path.read_text().startswith("I am a poem")


def test_a_lock_held_too_long_is_retryable_and_named(tmp_path: Path) -> None:
    """While another program holds the write lock, a write gives up in time, says locked, and works afterwards."""
    path = tmp_path / "x.db"
    database = opened(path)
    database.transact(lambda transaction: transaction.run(CREATE))
    with database.engine.connect() as connection:
        connection.connection.execute("PRAGMA busy_timeout=20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendError, match="locked") as caught:
        database.transact(lambda transaction: transaction.run(ADD), seconds=0.1)
    assert caught.value.data["retryable"]
    with database.read() as transaction:
        assert transaction.row(COUNT) == (0,)
    other.execute("ROLLBACK")
    other.close()
    assert database.transact(lambda transaction: transaction.run(ADD)) == 1
    database.close()


def test_a_write_on_a_full_disk_is_repeated_until_there_is_room(tmp_path: Path) -> None:
    """A write that lacks room is made, once, as soon as there is some."""
    database = opened(tmp_path / "x.db")
    database.transact(lambda transaction: transaction.run(CREATE))
    fill = text("INSERT INTO t VALUES (zeroblob(100000))")
    tries: list[Any] = []

    def write(transaction: Transaction) -> int:
        tries.append(
            transaction.row(text("PRAGMA max_page_count = 2" if not tries else "PRAGMA max_page_count = 9999"))
        )
        return transaction.run(fill)

    assert database.transact(write) == 1
    assert len(tries) == 2
    with database.read() as transaction:
        assert transaction.row(COUNT) == (1,)
    database.close()


def test_a_read_only_database_is_named(tmp_path: Path) -> None:
    """A read-only file can be read, and a write says that it is read-only."""
    path = tmp_path / "x.db"
    database = opened(path)
    database.transact(lambda transaction: transaction.run(CREATE))
    database.close()
    code = f"""
import os, sqlite3
from sqlalchemy import bindparam, text
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.errors import BackendError
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
database = Database("sqlite:///" + {str(path)!r})
try:
    database.transact(lambda transaction: transaction.run(text("INSERT INTO t VALUES (1)")), seconds=20)
except BackendError as error:
    print(error)
"""
    for file in tmp_path.iterdir():
        file.chmod(0o444)
    tmp_path.chmod(0o555)
    for folder in [folder for folder in tmp_path.parents if "pytest" in str(folder)]:
        folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    tmp_path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert any(words in done.stdout for words in ("readonly", "read-only", "Permission denied", "unable to open"))
    assert "xtyl doctor" in done.stdout


def test_a_database_that_cannot_be_reached_is_retryable() -> None:
    """A refused connection is a BackendError that another try may cure, without the password in its words."""
    database = Database("postgresql://me:secret-4711@127.0.0.1:9/none?connect_timeout=2")
    with pytest.raises(BackendError) as caught:
        database.transact(lambda transaction: transaction.run(CREATE), seconds=0.05)
    assert caught.value.data["retryable"]
    assert "secret-4711" not in str(caught.value)
    with pytest.raises(BackendError):
        ensure_schema(database)
    database.close()


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**70, object()], ids=["nul", "surrogate", "large", "no kind"])
def test_a_value_that_no_database_takes_is_not_tried_again(database: Database, value: object) -> None:
    """It is tried once: only an error of the database itself may pass."""
    tries: list[object] = []

    def add(transaction: Transaction) -> None:
        tries.append(value)
        transaction.run(ADD_TEXT, {"given": value})

    database.transact(lambda transaction: transaction.run(text("CREATE TABLE words (word TEXT)")))
    with contextlib.suppress(BackendError, UnicodeError, OverflowError):
        database.transact(add, seconds=0.5)
    assert tries == [value]


def test_looking_for_the_back_end_leaves_the_database_s_locks_alone(tmp_path: Path) -> None:
    """However often a process prepares its home, it reads the commits of others and keeps its own."""
    settings = load_settings({"XTYL_HOME": str(tmp_path / "home")})
    prepare_home(settings)
    database = Database(settings.database_url)
    database.transact(lambda transaction: transaction.run(CREATE))
    prepare_home(settings)
    code = f"""
from sqlalchemy import bindparam, text
from xtyl_engine.database.connection import Database
database = Database({settings.database_url!r})
database.transact(lambda transaction: transaction.run(text("INSERT INTO t VALUES (1)")))
database.close()
"""
    for others in (1, 2):
        subprocess.run([sys.executable, "-c", code], check=True)
        with database.read() as transaction:
            assert transaction.row(COUNT) == (others,)
    database.transact(lambda transaction: transaction.run(ADD))
    database.close()
    fresh = Database(settings.database_url)
    with fresh.read() as transaction:
        assert transaction.row(COUNT) == (3,)
    fresh.close()


def prepared(url: str) -> int:
    """The number of statements that a connection has prepared on the server after some use."""
    database = Database(url)
    found: tuple[int, ...] | None = None
    for _ in range(10):
        with database.read() as transaction:
            transaction.row(sql.CLOCK)
            found = transaction.row(PREPARED)
    database.close()
    return found[0] if found else 0


def test_nothing_is_prepared_where_a_pooler_is_in_between(postgres_url: str) -> None:
    """A pooler gives each transaction another connection, which does not know a prepared statement."""
    assert prepared(postgres_url) > 0
    assert prepared(f"{postgres_url}&prepare_threshold=none") == 0


def test_a_pooler_is_known_by_what_it_answers(postgres_url: str) -> None:
    """A statement unknown to it is reported with the setting to change, not as a missing database."""
    database = Database(postgres_url)
    told = database.translated(ValueError('prepared statement "_pg3_0" does not exist'))
    database.close()
    assert "prepare_threshold=none" in str(told)


def test_sqlite_is_written_where_files_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock by which writers take turns is for speed alone: without it SQLite's own lock protects the file."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    ensure_schema(database)
    monkeypatch.setattr(fcntl, "flock", refuse)
    database.transact(lambda transaction: transaction.run(text("CREATE TABLE written (x)")))
    with database.read() as transaction:
        assert transaction.rows(text("SELECT x FROM written")) == []
    database.close()
