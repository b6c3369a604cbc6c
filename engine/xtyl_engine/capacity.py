"""How full a shared back end is: its broker's memory, its database, its runs. Looks only; what it finds wrong is said as the
doctor says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from xtyl_engine.database import Database
from xtyl_engine.diagnose import Check
from xtyl_engine.settings import Settings
from xtyl_engine.stream import BrokerMemory, read_memory
from xtyl_engine.tables import executions

FULL = 0.8
# As a broker counts them.
MEGABYTE = 2**20
POLICY = "noeviction"
_BY_STATE = select(executions.c.state, func.count()).group_by(executions.c.state).order_by(executions.c.state)
_SIZE = select(func.pg_database_size(func.current_database()))


def measure(settings: Settings) -> Iterator[tuple[str, str]]:
    """What there is, as names and words. Raises BackendError where one of them does not answer."""
    yield "broker memory", _memory_words(memory := read_memory(settings.event_url))
    yield "live streams", f"{memory.streams:,}"
    database = Database(settings.database_url, pool_size=1)
    try:
        yield "database size", f"{_size(database) / 1e6:,.1f} MB"
        with database.read() as transaction:
            counts = [f"{count:,} {state}" for state, count in transaction.rows(_BY_STATE)]
        yield "runs", ", ".join(counts) or "none"
    finally:
        database.close()


def check_memory(settings: Settings) -> Check:
    """Whether the broker has room, and keeps what it was given."""
    memory = read_memory(settings.event_url)
    if not memory.policy:
        return Check(name="memory", ok=True, detail=_memory_words(memory), hint="Grant it: ACL SETUSER … +info.")
    hint = ""
    if memory.policy != POLICY:
        hint = f"Set maxmemory-policy to {POLICY}: a broker that evicts loses hints one by one, and silently."
    elif memory.limit and memory.used > FULL * memory.limit:
        hint = "Raise its maxmemory, or remove what others keep there. Full, it takes no hints: runs wait, and lose nothing."
    return Check(name="memory", ok=not hint, detail=_memory_words(memory), hint=hint or _without_limit(memory))


def _without_limit(memory: BrokerMemory) -> str:
    return "" if memory.limit else "It may take all memory there is: set maxmemory, 256 MB is plenty."


def _memory_words(memory: BrokerMemory) -> str:
    if not memory.policy:
        return "not known: the broker does not tell this user"
    limit = (
        f"of {memory.limit / MEGABYTE:,.0f} MB ({memory.used / memory.limit:.0%})"
        if memory.limit
        else "without a limit"
    )
    return f"{memory.used / MEGABYTE:,.1f} MB {limit}, policy {memory.policy}"


def _size(database: Database) -> int:
    if database.is_sqlite:
        file = str(database.engine.url.database)
        return sum(path.stat().st_size for name in (file, f"{file}-wal") if (path := Path(name)).exists())
    with database.read() as transaction:
        (size,) = transaction.row(_SIZE) or (0,)
    return int(size)
