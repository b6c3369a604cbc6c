"""Finds runs: by a part of an id, by state and name, with what each open one waits for. It changes none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from xtyl_engine.errors import RunAmbiguous, RunNotFound
from xtyl_engine.states import ExecutionState, JobState
from xtyl_nb.backends.retrying import patiently

if TYPE_CHECKING:
    from xtyl_engine.queries.views import Execution, Overview
    from xtyl_nb.backends.protocol import Backend

LATEST = "latest"
# Runs among which a mistyped id is looked for, and those that an error names.
MOST_LOOKED_AT, MOST_NAMED = 200, 5
# Ids share the name of their workflow: below this they are those of another run.
LIKENESS = 0.85


@dataclass(frozen=True, slots=True)
class Listed:
    """A run of a list, with its overview unless it has come to its end by itself."""

    execution: Execution
    overview: Overview | None

    @property
    def waiting_for(self) -> str | None:
        """What it waits for, in words."""
        is_open = self.overview is not None and not self.execution.state.is_terminal
        return self.overview.waiting_for if self.overview and is_open else None

    @property
    def done(self) -> int:
        """How many of its jobs are done, without those that a stop ended."""
        return self.overview.done if self.overview else self.execution.done

    @property
    def decisions(self) -> int:
        """How many decisions of a person it waits for."""
        return decisions(self.overview) if self.overview else 0


def decisions(overview: Overview) -> int:
    """How many decisions of a person a run waits for."""
    return sum(node.counts.get(JobState.WAITING, 0) for node in overview.nodes.values())


def find_id(backend: Backend, text: str) -> str:
    """The id that a text names: an id, the beginning of a single one, or `latest`. Raises RunNotFound and RunAmbiguous."""
    if text == LATEST:
        for newest in backend.queries.executions(1):
            return newest.id
        raise RunNotFound("there is no run yet", hint="`flow.run(...)` or `xtyl demo` makes the first one.")
    with suppress(RunNotFound):
        return backend.queries.execution(text).id
    found = backend.queries.executions(MOST_NAMED + 1, prefix=text) if text else []
    if len(found) > 1:
        raise RunAmbiguous.of(text, [each.id for each in found[:MOST_NAMED]], is_all=len(found) <= MOST_NAMED)
    if not found:
        raise not_found(backend, text, hint="`xtyl runs` lists the runs of this back end.")
    return found[0].id


def not_found(backend: Backend, text: str, *, hint: str | None = None) -> RunNotFound:
    """The error for an id that no run has. It names the latest run with an id like it, or else gives the `hint`."""
    error = RunNotFound.of(text)
    latest = [each.id for each in backend.queries.executions(MOST_LOOKED_AT)]
    close = get_close_matches(text, latest, n=1, cutoff=LIKENESS)
    return RunNotFound(error.message, hint=f"Did you mean {close[0]!r}?" if close else hint or error.hint)


def listed(
    backend: Backend, limit: int, *, states: Sequence[ExecutionState] = (), name: str = "", waits: bool = False
) -> Iterator[Listed]:
    """The latest runs in these states, whose name has this text in it; with `waits`, only those that wait for a person."""
    kinds: Sequence[ExecutionState | None] = states or [None]
    most = 1_000_000 if waits else limit
    found = [each for state in kinds for each in backend.queries.executions(most, state=state, name=name)]
    for execution in sorted(found, key=lambda each: -each.created)[:most]:
        each = Listed(execution, _overview(backend, execution))
        if not waits or each.decisions:
            yield each
            limit -= 1
        if limit <= 0:
            return


def _overview(backend: Backend, execution: Execution) -> Overview | None:
    if execution.state in (ExecutionState.COMPLETED, ExecutionState.FAILED):
        return None
    # It may be pruned since it was listed.
    with suppress(RunNotFound):
        return patiently(lambda: backend.overview(execution.id))
    return None
