"""A suspect is a job whose worker died twice while it ran: it may be what killed it. It runs alone in its process, so that the
next death tells, and costs no other job anything. After one death all start together: most deaths are a kill from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select

from xtyl_engine.database import statements as sql
from xtyl_engine.scheduler.locked_execution import LockedExecution

# How soon an execution that was turned away asks again, and how long a turn lasts that its execution does not ask for again.
ASK_AGAIN_SECONDS = 0.5
FORGET_SECONDS = 5.0
# The reason of an attempt that was claimed with no other job in its process.
ALONE = "alone"


class AtWork(NamedTuple):
    """What a process executes, as far as it knows by itself: a job that was stopped, or that others took for lost, goes on in its
    thread. `left_behind` counts threads whose jobs ended by a timeout: they may never end, so nothing waits for them."""

    attempts: Collection[tuple[int, int]] = ()
    left_behind: int = 0


@dataclass(eq=False)
class Isolation:
    """How one process lets suspects run alone. In a suspect's turn it claims nothing new until it is empty, then the
    suspect, and goes on when that has ended. If other executions had to wait meanwhile, no suspect has a turn for as long.
    A transaction changes a copy, which counts once it is committed."""

    clock: Callable[[], float] = time.monotonic
    # Whether the suspect that was admitted last is all that its process executes.
    is_alone: bool = False
    _execution_id: str = ""
    _suspect: tuple[int, int] | None = None
    _is_running: bool = False
    _has_kept_waiting: bool = False
    _began: float = 0.0
    _asked: float = 0.0
    _rests_until: float = 0.0

    def bars(self, locked: LockedExecution, owner: str, at_work: Callable[[], AtWork]) -> bool:
        """Whether nothing of an execution may be claimed, for a suspect runs here, or one of another execution is to."""
        if not self._execution_id:
            return False
        if self._is_running:
            is_over = self._suspect not in at_work().attempts and not _holds(locked, owner, sql.SUSPECT_HELD)
        else:
            is_over = self._is_forgotten()
        if is_over:
            self._end()
            return False
        is_other = locked.id != self._execution_id
        self._has_kept_waiting |= is_other
        return is_other or self._is_running

    def admitted(
        self, locked: LockedExecution, owner: str, at_work: Callable[[], AtWork], found: list[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """Of an execution's ready jobs, those that may be claimed now: one suspect by itself, or others."""
        self.is_alone = False
        suspects = [row for row in found if row[-1] >= sql.SUSPECT_LOST]
        if not suspects:
            self._end()
            return found
        if self.clock() < self._rests_until:
            self._end()
            return [row for row in found if row[-1] < sql.SUSPECT_LOST]
        self._asked = self.clock()
        if not self._execution_id:
            self._execution_id, self._began = locked.id, self._asked
        attempts, left_behind = at_work()
        self._is_running = not attempts and not _holds(locked, owner, sql.HELD)
        self.is_alone = self._is_running and not left_behind
        id, _, _, attempt, *_ = suspects[0]
        self._suspect = (id, attempt + 1)
        return suspects[:1] if self._is_running else []

    def _is_forgotten(self) -> bool:
        return self.clock() > self._asked + FORGET_SECONDS

    def _end(self) -> None:
        """End the turn."""
        if self._has_kept_waiting:
            now = self.clock()
            self._rests_until = now + max(now - self._began, 2 * ASK_AGAIN_SECONDS)
        self._execution_id, self._is_running, self._has_kept_waiting = "", False, False


def _holds(locked: LockedExecution, owner: str, statement: Select[Any]) -> bool:
    return locked.transaction.row(statement, {"owner": owner}) is not None
