"""Back ends across `os.fork`: open connections belong to the parent, and the child makes its own at first use. It shares nothing
between the two.
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
    """An object with an open database, which can open all its connections anew."""

    database: Database

    def open(self) -> None: ...


# Whether no connection was open at the last fork.
_known: WeakKeyDictionary[Forkable, bool] = WeakKeyDictionary()


def outlive_forks(each: Forkable) -> None:
    """Give each later child of this process connections of its own to this back end."""
    _known[each] = True


def _before() -> None:
    for each in list(_known):
        _known[each] = _let_go(each.database)


def _in_child() -> None:
    for each, was_closed in list(_known.items()):
        # Forgotten, not closed: closing would end the parent's session at the server, or its locks in SQLite.
        each.database.engine.dispose(close=False)
        each.open()
        if each.database.is_sqlite and not was_closed:
            _refuse(each.database)


def _let_go(database: Database) -> bool:
    """Close every idle connection; whether none was in use. SQLite's locks belong to the process, and a child would inherit a
    wrong record of them."""
    deadline = time.monotonic() + IN_USE_SECONDS
    while True:
        database.return_idle()
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
