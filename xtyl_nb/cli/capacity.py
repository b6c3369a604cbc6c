"""The fill of a shared back end: its broker's memory, its database, its runs. It only reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from xtyl_engine.broker.redis_client import BrokerMemory, read_memory
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import executions
from xtyl_engine.settings import Settings

_BY_STATE = select(executions.c.state, func.count()).group_by(executions.c.state).order_by(executions.c.state)
_SIZE = select(func.pg_database_size(func.current_database()))


@dataclass(frozen=True, slots=True)
class Capacity:
    """How full a shared back end is: its broker, the bytes of its database, the number of its runs in each state."""

    broker: BrokerMemory
    database_bytes: int
    runs: Mapping[str, int]

    @property
    def figures(self) -> list[tuple[str, str]]:
        """The name and the words of each figure."""
        return [
            ("broker memory", self.broker.words),
            ("live streams", f"{self.broker.streams:,}"),
            ("database size", f"{self.database_bytes / 1e6:,.1f} MB"),
            ("runs", ", ".join(f"{count:,} {state}" for state, count in self.runs.items()) or "none"),
        ]


def measure(settings: Settings) -> Capacity:
    """Measure it. Raises BackendError where broker or database does not answer."""
    memory = read_memory(settings.event_url)
    with closing(Database(settings.database_url, pool_size=1)) as database:
        size = _size(database)
        with database.read() as transaction:
            runs = {str(state): int(count) for state, count in transaction.rows(_BY_STATE)}
    return Capacity(memory, size, runs)


def _size(database: Database) -> int:
    if database.is_sqlite:
        file = str(database.engine.url.database)
        return sum(path.stat().st_size for name in (file, f"{file}-wal") if (path := Path(name)).exists())
    with database.read() as transaction:
        (size,) = transaction.row(_SIZE) or (0,)
    return int(size)
