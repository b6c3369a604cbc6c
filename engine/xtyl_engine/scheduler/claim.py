"""Claims ready jobs of an execution for one process, within a transaction: as many as limits, rates and suspects allow. It
decides how many jobs, and which; the guard of the transition decides whether a job may be claimed at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.events import EventKind
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.isolation import ALONE, ASK_AGAIN_SECONDS, AtWork, Isolation
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.scheduler.rate_limits.permits import FRONT_SHUT, READY_OPEN, READY_SHUT, Gate, joined
from xtyl_engine.scheduler.routing import Route
from xtyl_engine.states import ExecutionState

PEEK = 16
# So many jobs a slot may have at a time, if each is over almost at once.
HANDFUL = 8
Quick = Callable[[str], bool]
OPEN_TO_CLAIMS = (ExecutionState.PENDING, ExecutionState.RUNNING)


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a slot: its next claims; how many `more` jobs were ready, counted up to a few; if rates hold every ready job
    back, in how many seconds the next may start; `elsewhere`, whether jobs became ready that other workers claim."""

    claims: tuple[Claim, ...] = ()
    more: int = 0
    wait_seconds: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """The process that claims: `owner` names it in leases, `asked` is when it asked, in seconds since its machine's boot, and
    `at_work` tells what it executes besides."""

    owner: str
    lease_seconds: float
    beat_seconds: float
    asked: float
    isolation: Isolation
    at_work: Callable[[], AtWork]


def claim_jobs(
    locked: LockedExecution, gate: Gate, want: int, claimant: Claimant, spare: int = 0, is_quick: Quick | None = None
) -> Grant:
    """Claim up to `want` ready jobs, and up to `spare` more if all of them are of nodes that are quick."""
    room = _room(locked, want)
    if room <= 0:
        return Grant()
    if claimant.isolation.bars(locked, claimant.owner, claimant.at_work):
        return Grant(wait_seconds=ASK_AGAIN_SECONDS)
    asked_for = {"execution_id": locked.id, "now": locked.now, "limit": room, "shut": gate.closed()}
    found = locked.transaction.rows(READY_OPEN if asked_for["shut"] else sql.READY, asked_for)
    admitted = claimant.isolation.admitted(locked, claimant.owner, claimant.at_work, found)
    taken = _admitted(admitted, gate, want)
    if is_quick is not None and len(taken) == want and locked.max_parallel is None:
        taken = _with_spare(admitted, taken, gate, spare, is_quick)
    if taken:
        locked.make("start")
        if claimant.isolation.is_alone:
            # If its worker dies, the reason tells whose fault that was.
            taken = [(*row[:5], ALONE, *row[6:]) for row in taken]
        _write_claims(locked, taken, claimant)
    wait = ASK_AGAIN_SECONDS if found and not admitted else None
    if (
        not taken
        and wait is None
        and (shut := gate.shut())
        and locked.transaction.row(READY_SHUT, asked_for | {"shut": shut})
    ):
        wait = gate.seconds()
    return Grant(_claims(locked, taken, claimant, gate.now), len(admitted) - len(taken), wait)


def is_ready_elsewhere(locked: LockedExecution, route: Route) -> bool:
    """Whether jobs are ready that workers of the other kind claim."""
    if not route.heavy or not (barred := route.barred(locked.plan, locked.template_id)):
        return False
    asked_for = {"execution_id": locked.id, "now": locked.now, "shut": joined(barred)}
    return locked.transaction.row(FRONT_SHUT, asked_for) is not None


def _room(locked: LockedExecution, want: int) -> int:
    """How many ready jobs to look at: a few more than wanted, which tells whether to ask for more slots."""
    if locked.state not in OPEN_TO_CLAIMS:
        return 0
    if locked.max_parallel is None:
        return PEEK + want
    running = locked.transaction.row(sql.COUNT_RUNNING, {"execution_id": locked.id})
    return locked.max_parallel - (running[0] if running else 0)


def _admitted(found: list[tuple[Any, ...]], gate: Gate, want: int) -> list[tuple[Any, ...]]:
    """The first jobs with a permit. A job whose late result was kept needs none."""
    taken: list[tuple[Any, ...]] = []
    for row in found:
        if len(taken) == want:
            break
        _, node, *_, output, _ = row
        if output is not None or gate.admit(node):
            taken.append(row)
    return taken


def _with_spare(
    found: list[tuple[Any, ...]], taken: list[tuple[Any, ...]], gate: Gate, spare: int, is_quick: Quick
) -> list[tuple[Any, ...]]:
    """The jobs that are taken, and those after them that slots may have besides; none that needs a permit."""
    ids = {row[0] for row in taken}
    both = taken + [row for row in found if row[0] not in ids][:spare]
    return both if all(row[1] not in gate.keys and is_quick(row[1]) for row in both) else taken


def _claims(
    locked: LockedExecution, taken: list[tuple[Any, ...]], claimant: Claimant, permitted: float
) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            job_id=id,
            execution_id=locked.id,
            node=node,
            item=item,
            number=attempt + 1,
            tries=tries + 1,
            epoch=locked.epoch,
            template_id=locked.template_id,
            owner=claimant.owner,
            asked=claimant.asked,
            permitted=permitted,
            waited=waited,
            late_output=output,
            has_budget=locked.budget.limit is not None,
        )
        for id, node, item, attempt, tries, _, waited, output, _ in taken
    )


def _write_claims(locked: LockedExecution, taken: list[tuple[Any, ...]], claimant: Claimant) -> None:
    given = {"owner": claimant.owner, "lease": locked.now + claimant.lease_seconds, "started": locked.now}
    rows = [
        {"job_id": id, "number": attempt + 1, "because": because, **given}
        for id, _, _, attempt, _, because, *_ in taken
    ]
    locked.transaction.many(transitions.CLAIM, rows)
    locked.transaction.many(sql.ADD_ATTEMPT, rows)
    for _, node, item, attempt, _, because, *_ in taken:
        locked.changes.claim(node, claimant.beat_seconds)
        locked.note(EventKind.JOB_STARTED, node, item, attempt=attempt + 1, because=because)
