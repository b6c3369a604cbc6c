"""Connections and transactions. Statements are SQLAlchemy Core, compiled once per database and run on the driver's own
cursor: the ORM, and even Core's execution, cost more than the scheduler's whole work on one job. The
statements themselves are in `statements` and in the rooms that run them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import EROFS
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.types import Float

from xtyl_engine.database.only_reads import refuse_writes
from xtyl_engine.database.opened_file import OpenedFile
from xtyl_engine.errors import BackendError
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.server_hints import POSTGRESQL, SQLITE, remedy

T = TypeVar("T")
# As long as a transaction may last; then SQLite's own lock decides. A process that is frozen in its turn must not hold up the
# others for so long that they take their own wait for a reason to spare its jobs.
TURN_SECONDS = 0.5
LOCKED_SECONDS = 15.0
PREPARE = "prepare_threshold"
# Of a URL's query; SQLAlchemy hides only what stands before the host.
SECRETS = ("password", "sslpassword")
# More than there are statements; those that are made for one call must not add up over months.
REMEMBERED_STATEMENTS = 1_000
LOST = ("08", "57P")
REFUSED_BY_DRIVER = ("DataError", "ProgrammingError", "NotSupportedError")
_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
# Deadlock, serialization, locks, timeouts. A full disk and a standby not yet promoted are expected to be mended soon. A
# missing Template (23503) was pruned just after it was read, and is written again.
RETRYABLE_STATES = {"23503", "40P01", "40001", "55P03", "25P03", "57014", "53100", "25006"}
# Both sides must notice a vanished machine before the locks it held cost others their leases.
SERVER_CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
SERVER_SESSION = """
SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '5s';
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3
"""


class Now(ColumnElement[float]):
    """The database's own clock, in seconds since the epoch."""

    inherit_cache = True
    type = Float()


@compiles(Now, "sqlite")
def _now_sqlite(element: Now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_postgresql(element: Now, compiler: Any, **options: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as the driver takes it. The statement is kept so that its `id`, the key of the cache, stays unique."""

    statement: ClauseElement
    text: str
    constants: Mapping[str, Any]


class Transaction:
    """Statements inside one transaction. Parameters are mappings, results are plain tuples."""

    def __init__(self, cursor: Any, compiled: Callable[[ClauseElement], Compiled], *, is_sqlite: bool):
        self.is_sqlite = is_sqlite
        self._cursor = cursor
        self._compiled = compiled

    def run(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> int:
        """Execute once. Return the number of rows affected."""
        self._execute(statement, parameters)
        return int(self._cursor.rowcount)

    def many(self, statement: ClauseElement, parameters: Sequence[Mapping[str, Any]]) -> int:
        """Execute once per mapping. Return the number of rows affected by all."""
        if len(parameters) == 1:
            return self.run(statement, parameters[0])
        if not parameters:
            return 0
        compiled = self._compiled(statement)
        if compiled.constants:
            parameters = [{**compiled.constants, **each} for each in parameters]
        self._cursor.executemany(compiled.text, parameters)
        return int(self._cursor.rowcount)

    def rows(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Execute once. Return every row."""
        self._execute(statement, parameters)
        return list(self._cursor.fetchall())

    def many_rows(self, statement: ClauseElement, parameters: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Execute once per mapping. Return every row of all."""
        if not parameters:
            return []
        compiled = self._compiled(statement)
        given = [{**compiled.constants, **each} for each in parameters] if compiled.constants else parameters
        if self.is_sqlite:
            execute, text = self._cursor.execute, compiled.text
            return [row for each in given for row in execute(text, each)]
        self._cursor.executemany(compiled.text, given, returning=True)
        found = list(self._cursor.fetchall())
        while self._cursor.nextset():
            found += self._cursor.fetchall()
        return found

    def row(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """Execute once. Return the first row, None if there is none."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def _execute(self, statement: ClauseElement, parameters: Mapping[str, Any] | None) -> None:
        compiled = self._compiled(statement)
        given = parameters or {}
        self._cursor.execute(compiled.text, {**compiled.constants, **given} if compiled.constants else given)


class Database:
    """A SQLite file in WAL mode or a PostgreSQL database, by SQLAlchemy URL. Safe to share between threads. A write that
    the database refuses for the moment is retried for `patience_seconds`. With `only_reads` the database refuses every write."""

    def __init__(self, url: str, *, pool_size: int = 20, patience_seconds: float = 30.0, only_reads: bool = False):
        self.url = url
        self.patience_seconds = patience_seconds
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _make_engine(url, self.is_sqlite, pool_size)
        file = self.engine.url.database if self.is_sqlite else None
        is_file = bool(file) and file != ":memory:"
        self.file = OpenedFile(str(file) if is_file else None)
        event.listen(self.engine, "connect", self.file.note)
        if only_reads:
            refuse_writes(self.engine)
        self._gate = f"{file}-turn" if is_file else None
        # The lock file for rows without an execution, unseen until that is written last; `steps` holds it.
        self.unseen = Path(f"{file}-unseen") if is_file else None
        self._compiled: dict[int, Compiled] = {}
        # SQLite's open connections that nothing uses now. SQLAlchemy's pool takes as long as three statements.
        self._idle: list[Any] = []
        self._room = pool_size if is_file else 0

    def compiled(self, statement: ClauseElement) -> Compiled:
        """The statement in this database's own SQL, compiled once."""
        known = self._compiled.get(id(statement))
        if known is None:
            made = statement.compile(dialect=self.engine.dialect)
            binds = getattr(made, "binds", {})
            constants = {name: value for name, value in made.params.items() if not binds[name].required}
            if len(self._compiled) >= REMEMBERED_STATEMENTS:
                self._compiled.clear()
            known = self._compiled[id(statement)] = Compiled(statement, str(made), constants)
        return known

    @contextlib.contextmanager
    def read(self, *, is_snapshot: bool = False) -> Iterator[Transaction]:
        """One transaction that reads. On PostgreSQL each statement sees its own moment; with `is_snapshot` all see the first."""
        self.follow_file()
        with self._connection() as connection, self._transaction(connection, "BEGIN") as transaction:
            if is_snapshot and not self.is_sqlite:
                transaction.run(_SNAPSHOT)
            yield transaction

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction that may write. On SQLite it takes the write lock at once: upgrading a read lock can fail."""
        self.follow_file()
        with (
            self._turn(),
            self._connection() as connection,
            self._transaction(connection, "BEGIN IMMEDIATE") as transaction,
        ):
            yield transaction

    def transact(self, work: Callable[[Transaction], T], *, seconds: float | None = None) -> T:
        """Run `work` in a write transaction, and retry after a lock, a deadlock or a lost connection, for `seconds` or for
        `patience_seconds`.

        `work` must be safe to repeat: a commit may succeed although its answer is lost. Raises BackendError.
        """
        deadline = time.monotonic() + (self.patience_seconds if seconds is None else seconds)
        delay = 0.005
        while True:
            try:
                with self.write() as transaction:
                    return work(transaction)
            except BackendError as error:
                if not may_pass(error) or time.monotonic() + delay > deadline:
                    raise
            time.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, 1.0)

    def follow_file(self) -> None:
        """Let go of a SQLite file whose path another one has taken. Raises BackendError if it was removed."""
        if self.file.is_other:
            self.close()
            self.file.known = self.file.now

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.return_idle()
        self.engine.dispose()
        # Only connections that were taken since are put at hand again.
        self._idle = []

    def return_idle(self) -> None:
        """Give connections that nothing uses back to SQLAlchemy's pool, which then tells those in use."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """On SQLite, wait at a file lock for the turn to write: SQLite's own wait sleeps for up to 100 ms at a time."""
        if self._gate is None:
            yield
            return
        try:
            gate = os.open(self._gate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.translated(error) from error
        try:
            deadline = time.monotonic() + TURN_SECONDS
            while not _is_locked(gate) and time.monotonic() < deadline:
                time.sleep(0.0002)
            # Without the lock, go on: SQLite's own lock still protects the file, and its error says what is wrong.
            yield
        finally:
            os.close(gate)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        driver_error = self.engine.dialect.loaded_dbapi.Error
        idle, is_kept = self._idle, False
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._opened()
        try:
            yield connection
            is_kept = len(idle) < self._room and idle is self._idle
        except driver_error as error:
            if not self.is_sqlite:
                connection.invalidate(error)
                if _is_lost(error):
                    # The server went away: idle connections are dead too, and need not fail one by one.
                    self.engine.dispose()
            raise self.translated(error) from error
        finally:
            if is_kept:
                idle.append(connection)
            else:
                connection.close()

    def _opened(self) -> Any:
        try:
            return self.engine.raw_connection()
        except Exception as error:
            raise self.translated(error) from error

    @contextlib.contextmanager
    def _transaction(self, connection: Any, begin: str) -> Iterator[Transaction]:
        cursor = connection.cursor()
        writes = begin != "BEGIN"
        if self.is_sqlite:
            cursor.execute(begin)
        try:
            yield Transaction(cursor, self.compiled, is_sqlite=self.is_sqlite)
            if writes:
                failpoint(Point.COMMIT_BEFORE)
            connection.commit()
            if writes:
                failpoint(Point.COMMIT_AFTER)
        except BaseException:
            with contextlib.suppress(Exception):
                connection.rollback()
            raise
        finally:
            cursor.close()

    def translated(self, error: BaseException) -> BackendError:
        """A driver's error as a BackendError; the caller chains the cause."""
        cause = getattr(error, "orig", None) or error
        words = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        url = self.engine.url
        where = url.database or ":memory:" if self.is_sqlite else f"{url.database} at {url.host or 'its socket'}"
        hint = remedy(words, SQLITE, "Make its folder yours to write.") if self.is_sqlite else remedy(words, POSTGRESQL)
        return BackendError(f"the database {where} answered: {words}", hint=hint, retryable=_is_retryable(cause))


def may_pass(error: BaseException) -> bool:
    """Whether it is the database that refuses, and only for the moment: then the same is tried again."""
    return isinstance(error, BackendError) and bool(error.data.get("retryable"))


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # The file system keeps no such locks: go on without a turn, for SQLite's own lock protects the file.
        return True
    return True


def _is_retryable(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        passing = ("locked", "busy", "disk is full")
        return isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in passing)
    if isinstance(error, OSError):
        # The lock file of SQLite's writers: retrying does not help if its folder is missing or forbidden.
        return not isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)) and error.errno != EROFS
    return _is_lost(error) or getattr(error, "sqlstate", None) in RETRYABLE_STATES


def _is_lost(error: BaseException) -> bool:
    """Whether PostgreSQL, or the connection to it, is gone. The driver refuses a value by itself, without a state, too."""
    state = getattr(error, "sqlstate", None)
    return state.startswith(LOST) if state else type(error).__name__ not in REFUSED_BY_DRIVER


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    """Set a pragma, retrying while locked: switching to WAL ignores busy_timeout."""
    deadline = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _make_server_engine(url: str, pool_size: int) -> Engine:
    place, arguments = _connecting(make_url(url))
    try:
        engine = create_engine(place, pool_size=pool_size, max_overflow=pool_size, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"PostgreSQL's driver is not installed: {error}", hint='Install it: pip install "xtyl-nb[server]".'
        ) from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.execute(SERVER_SESSION)
        connection.commit()

    return engine


def _connecting(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL, as it may be shown, and the arguments of a connection. `?prepare_threshold=none` is for a pooler that gives each
    transaction another connection: a statement prepared on one is not known on the next."""
    apart: dict[str, Any] = {name: url.query[name] for name in SECRETS if name in url.query}
    if url.query.get(PREPARE) == "none":
        apart[PREPARE] = None
    return url.difference_update_query(apart), SERVER_CONNECTION | apart


def _make_engine(url: str, is_sqlite: bool, pool_size: int) -> Engine:
    if not is_sqlite:
        return _make_server_engine(url, pool_size)
    engine = create_engine(url, paramstyle="named", pool_size=pool_size, max_overflow=pool_size)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=15000", "journal_mode=wal", "synchronous=normal", "foreign_keys=off"):
            _set(connection, pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
