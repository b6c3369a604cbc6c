"""Back ends across `os.fork`: what is open belongs to the parent, the child makes its own at first use. It is no way to share
anything between the two.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from xtyl_engine.database.connection import Database

IN_USE_SECONDS = 1.0
POLL_SECONDS = 0.001


class Forkable(Protocol):
    """What has a database open, and can make all that it has open anew."""

    database: Database

    def open(self) -> None: ...


# Whether nothing was open when the process forked last.
_known: WeakKeyDictionary[Forkable, bool] = WeakKeyDictionary()


def outlive_forks(each: Forkable) -> None:
    """From now on, a child of this process has its own connections where it uses this."""
    _known[each] = True


def _before() -> None:
    for each in list(_known):
        _known[each] = _let_go(each.database)


def _in_child() -> None:
    for each, was_closed in list(_known.items()):
        # Forgotten, not closed: closing would tell the server, or SQLite, what only the parent may tell.
        each.database.engine.dispose(close=False)
        each.open()
        if each.database.is_sqlite and not was_closed:
            _refuse(each.database)


def _let_go(database: Database) -> bool:
    """Close every connection that is idle; whether none was in use. SQLite's locks are the process's, and what the library knows
    of them would be wrong in a child."""
    deadline = time.monotonic() + IN_USE_SECONDS
    while True:
        pool: Any = database.engine.pool
        if not pool.checkedout():
            database.close()
            fresh: Any = database.engine.pool
            if not (pool.checkedout() or fresh.checkedout() or fresh.checkedin()):
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)


def _refuse(database: Database) -> None:
    from sqlalchemy import event

    def refuse(*_: Any) -> NoReturn:
        raise sqlite3.ProgrammingError("this process was forked from one that was using the database")

    event.listen(database.engine, "do_connect", refuse)


os.register_at_fork(before=_before, after_in_child=_in_child)
