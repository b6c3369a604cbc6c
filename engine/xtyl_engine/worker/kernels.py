"""What the kernels of runs left for them: their surroundings, as stored in SQL, and the variables that they lent to an embedded
back end. It only reads, and forgets what is no longer needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import BackendError
from xtyl_engine.functions.packed_function import load_key
from xtyl_engine.functions.surroundings import Surroundings
from xtyl_engine.functions.variables import ask, drop, get, lent, socket_beside, stamp, with_settings
from xtyl_engine.queries.job_inputs import read_surroundings
from xtyl_engine.settings import Settings
from xtyl_engine.states import ExecutionState
from xtyl_engine.values.recent import Recent

RUNS = 256
LOOK = "Read the supervisor's log; `xtyl doctor` says where it is."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Borrowed:
    variables: Mapping[str, str]
    digest: int
    stamp: tuple[int, int]


class Kernels:
    """What one worker process knows of the kernels of its runs. Threads may share it."""

    # A run that is resumed has ended still when its variables come, and one that is submitted is not written yet.
    ended_seconds, unwritten_seconds = 30.0, 3600.0

    def __init__(self, database: Database, settings: Settings):
        self._database = database
        self._key_file = settings.key_file
        self._place = socket_beside(settings.event_url)
        self._stored: Recent[str, tuple[str | None]] = Recent(RUNS)
        self._borrowed: Recent[str, _Borrowed] = Recent(RUNS)

    def knows(self, execution_id: str) -> bool:
        """Whether what is stored of the run's kernel was read before, so that nothing here reads the database."""
        return self._stored.get(execution_id) is not None

    def surroundings(self, execution_id: str) -> Surroundings | None:
        """Those of the kernel that started a run; None for runs of a fleet, over HTTP, and of earlier releases. Raises
        BackendError, and FunctionRejected for what is not signed."""
        stored = self._read(execution_id)
        return None if stored is None else Surroundings.verified(stored, load_key(self._key_file), execution_id)

    def _read(self, execution_id: str) -> str | None:
        known = self._stored.get(execution_id)
        if known is None:
            with self._database.read() as transaction:
                known = (read_surroundings(transaction, execution_id),)
            self._stored.put(execution_id, known)
        return known[0]

    def variables(self, execution_id: str) -> Mapping[str, str]:
        """The variables that a run's functions and providers find: its kernel's, with this worker's settings of ours; all of them
        this worker's where the kernel lent none. Raises BackendError."""
        borrowed = self._borrow(execution_id)
        return os.environ if borrowed is None else borrowed.variables

    def lacks(self, execution_id: str) -> bool:
        """Whether a run's kernel lent variables that are gone: the supervisor which kept them has ended. Those of a kernel that
        only looks at the run stand in for them, and need not have all of them. Raises BackendError."""
        if self._place is None or self._read(execution_id) is None:
            return False
        try:
            return not ask(self._place, {"counts": execution_id})
        except OSError as error:
            raise BackendError(f"the supervisor does not say which variables it has: {error}", hint=LOOK) from error

    def digest(self, execution_id: str) -> int:
        """A number that is another one as soon as `variables` are other ones. Raises BackendError."""
        borrowed = self._borrow(execution_id)
        return 0 if borrowed is None else borrowed.digest

    def _borrow(self, execution_id: str) -> _Borrowed | None:
        if self._place is None or self._read(execution_id) is None:
            return None
        found, now = self._borrowed.get(execution_id), stamp(self._place)
        if found is None or found.stamp != now:
            lent_to_it = get(self._place, execution_id)
            variables = os.environ if lent_to_it is None else with_settings(lent_to_it)
            found = _Borrowed(variables=variables, digest=hash(frozenset(variables.items())), stamp=now)
            self._borrowed.put(execution_id, found)
        return found

    def forget_ended(self) -> None:
        """Have the variables of ended runs forgotten, here and by the supervisor. Raises BackendError."""
        self._borrowed = Recent(RUNS)
        if self._place is None or not (runs := lent(self._place)):
            return
        with self._database.read() as transaction:
            found = {id: transaction.row(sql.STATE, {"execution_id": id}) for id in runs}
        ended = [id for id, row in found.items() if not self._is_needed(row, runs[id])]
        with suppress(OSError):
            drop(self._place, ended)

    def _is_needed(self, row: tuple[Any, ...] | None, seconds: float) -> bool:
        """Whether the variables that were lent so long ago serve a run, which stands so in SQL."""
        if row is None:
            return seconds < self.unwritten_seconds
        return not ExecutionState(row[0]).is_terminal or seconds < self.ended_seconds
