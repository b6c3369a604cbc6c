"""The fill of a shared back end: its broker's memory, its database, its runs. It only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select

from xtyl_engine.broker.redis_client import read_memory
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import executions
from xtyl_engine.settings import Settings

_BY_STATE = select(executions.c.state, func.count()).group_by(executions.c.state).order_by(executions.c.state)
_SIZE = select(func.pg_database_size(func.current_database()))


def measure(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the words of each figure. Raises BackendError where broker or database does not answer."""
    memory = read_memory(settings.event_url)
    yield "broker memory", memory.words
    yield "live streams", f"{memory.streams:,}"
    with closing(Database(settings.database_url, pool_size=1)) as database:
        yield "database size", f"{_size(database) / 1e6:,.1f} MB"
        with database.read() as transaction:
            counts = [f"{count:,} {state}" for state, count in transaction.rows(_BY_STATE)]
        yield "runs", ", ".join(counts) or "none"


def _size(database: Database) -> int:
    if database.is_sqlite:
        file = str(database.engine.url.database)
        return sum(path.stat().st_size for name in (file, f"{file}-wal") if (path := Path(name)).exists())
    with database.read() as transaction:
        (size,) = transaction.row(_SIZE) or (0,)
    return int(size)
