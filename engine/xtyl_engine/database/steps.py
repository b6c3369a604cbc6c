"""Long changes in steps. SQLite has one writer, whom a beat must not wait for, and a step holds it for a moment only; between two
steps others have their turn. What a step changes, and what another process may see between two, is for the caller to know.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.values.locks import exclusive, shared

T = TypeVar("T")
STEP_SECONDS = 0.1
FIRST_COUNT = 1_000
# A waiting writer of SQLite checks every 0.2 ms whether it is its turn.
BREATH_SECONDS = 0.002


class Pace:
    """How much the next step may change: as much as this machine changes in `STEP_SECONDS`, as the last steps showed."""

    def __init__(self, database: Database, count: int = FIRST_COUNT):
        self.count = count
        self._database = database

    def step(self, work: Callable[[Transaction], T]) -> T:
        """Make one step, in a transaction of its own, and leave a moment to other writers. `work` must be safe to repeat."""
        began = [0.0]

        def timed(transaction: Transaction) -> T:
            began[0] = time.monotonic()
            return work(transaction)

        done = self._database.transact(timed)
        seconds = max(time.monotonic() - began[0], STEP_SECONDS / 100)
        self.count = max(1, int(self.count * min(2.0, STEP_SECONDS / seconds)))
        time.sleep(BREATH_SECONDS)
        return done


@contextlib.contextmanager
def unseen_rows(database: Database) -> Iterator[None]:
    """Hold what says that this process writes rows to SQLite which are not seen yet: a lock, which ends with the process, and
    which no clock takes away."""
    if database.unseen is None:
        yield
        return
    try:
        while (held := shared(database.unseen)) is None:
            time.sleep(BREATH_SECONDS)
    except OSError as error:
        raise database.translated(error) from error
    try:
        yield
    finally:
        os.close(held)


def is_quiet(database: Database) -> bool:
    """Whether no process writes unseen rows. Those without an execution at such a moment are left behind."""
    if database.unseen is None:
        return True
    with exclusive(database.unseen) as is_alone:
        return is_alone
