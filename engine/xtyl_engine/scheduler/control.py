"""Controls of an execution: pause, resume, stop, retry, and the decisions of reviews. Each is one transaction; a control that the
state does not allow is refused with that state. Workers are not notified here; the caller does that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.tables import decisions, jobs
from xtyl_engine.errors import ControlRefused, DecisionRefused
from xtyl_engine.events import Event, EventKind
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.nodes.review import decide as make_decision
from xtyl_engine.providers.prices import nano_dollars
from xtyl_engine.scheduler import transitions
from xtyl_engine.scheduler.add_option import add_option, next_option
from xtyl_engine.scheduler.budget import advised
from xtyl_engine.scheduler.cascade import settle
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.long_control import Found, Steps, Stride, find, is_reopening, reopen, stop_jobs
from xtyl_engine.scheduler.outcomes import LICENCE_SECONDS
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.rules import EndedJob
from xtyl_engine.scheduler.spending import is_dry, raise_budget
from xtyl_engine.states import JOB_TRANSITIONS, End, ExecutionState, JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.plain import encode, spill, unspill

_REVIEW = select(jobs.c.id, jobs.c.node, jobs.c.item, jobs.c.state, jobs.c.output).where(sql.AT)
_DECISION = select(decisions.c.action, decisions.c.by, decisions.c.after).where(decisions.c.job_id == sql.B("job_id"))


Reopen = Callable[..., None]

# An effect that starts at the last moment of its licence reaches the outside a little later.
REACH_SECONDS = 0.1


class Controls:
    """The controls of every execution in one database."""

    def __init__(self, database: Database, plans: PlanCache, store: ArtifactStore, stride: Stride | None = None):
        self._database = database
        self._plans = plans
        self._store = store
        self._stride = stride or Stride()

    def pause(self, execution_id: str, *, by: str = "") -> list[Event]:
        """Start nothing new; running jobs finish, and their results are kept. No effect starts after this returns. Pausing a
        paused run changes nothing."""
        return self._quieten(execution_id, partial(_pause, by=by))

    def resume(self, execution_id: str, *, by: str = "", budget: float | None = None) -> list[Event]:
        """Go on: a paused run where it was, a stopped or failed one with its completed jobs kept. A job that is still in flight
        goes on as the same attempt; if its worker has died meanwhile, the sweep finds it as any other. `budget` is what the run
        may spend in all from now on, in US dollars; with one a run that goes on goes on with it."""
        limit = None if budget is None else nano_dollars(budget)
        return self._reopen(execution_id, partial(_resume, by=by, budget=limit), but=ExecutionState.PAUSED)

    def stop(self, execution_id: str, *, by: str = "") -> list[Event]:
        """End the run; completed jobs stay. No effect starts after this returns. Stopping a stopped run changes nothing."""
        return self._quieten(execution_id, partial(_stop, by=by, stride=self._stride)) + self._finish(execution_id)

    def retry(self, execution_id: str, *, by: str = "") -> list[Event]:
        """Run the failed jobs, and the jobs that depend on them, again."""
        return self._reopen(execution_id, partial(_retry, by=by))

    def approve(
        self,
        execution_id: str,
        node: str,
        item: str,
        *,
        choose: Sequence[int],
        edits: Mapping[int, Any] | None = None,
        by: str = "",
        comment: str | None = None,
    ) -> list[Event]:
        """Decide a review. The first decision wins. Raises DecisionRefused, with the choices that there are."""

        def decide(locked: LockedExecution) -> None:
            id, shown = _waiting_review(locked, node, item)
            done = make_decision(unspill(shown, self._store), choose=choose, edits=edits, by=by, comment=comment)
            output = spill(encode(dict(done.output)), self._store)
            made = {"job_id": id, "action": "approve", "by": by, "comment": comment, "before": shown, "after": output}
            _decide(locked, EndedJob(node, item, End.LIVE, items=done.items), made)

        return self._change(execution_id, decide)

    def reject(self, execution_id: str, node: str, item: str, *, reason: str, by: str = "") -> list[Event]:
        """Reject every option: jobs that depend on the review are skipped, other rows go on. Raises DecisionRefused."""

        def decide(locked: LockedExecution) -> None:
            id, shown = _waiting_review(locked, node, item)
            after = encode({"rejected": reason, "by": by})
            made = {"job_id": id, "action": "reject", "by": by, "comment": reason, "before": shown, "after": after}
            _decide(locked, EndedJob(node, item, End.REJECTED), made)

        return self._change(execution_id, decide)

    def another(
        self, execution_id: str, node: str, item: str, *, by: str = "", comment: str | None = None
    ) -> list[Event]:
        """Ask for one more option before deciding. Raises DecisionRefused if the list cannot be extended."""

        def ask(locked: LockedExecution) -> None:
            id, _ = _waiting_review(locked, node, item)
            said = {"comment": comment} if comment else {}
            axis, at = next_option(locked, node, item)
            # Its jobs find the comment by the place.
            locked.note(EventKind.ANOTHER_ASKED, node, item, by=by, option=at, **said)
            add_option(locked, node, id, axis, at)

        return self._change(execution_id, ask)

    def wanted(self, execution_id: str) -> str | None:
        """The variable of its kernel that jobs of an execution wait for; None where none does."""
        with self._database.read() as transaction:
            found = transaction.row(transitions.WANTED, {"execution_id": execution_id})
        return None if found is None else str(found[0]).removeprefix(transitions.VARIABLE)

    def free(self, execution_id: str) -> int:
        """Let jobs go on that wait for variables of their kernel, which has lent them now; how many there are."""
        return self._database.transact(
            lambda transaction: transaction.run(transitions.FREE, {"execution_id": execution_id})
        )

    def _quieten(self, execution_id: str, work: Callable[[LockedExecution], None]) -> list[Event]:
        """Make a change after which nothing may start, then wait until nothing does: a claim made before the change is still a
        licence to start, for `LICENCE_SECONDS`."""
        seconds = [0.0]

        def change(locked: LockedExecution) -> None:
            held = JobState.STOPPED if locked.state is ExecutionState.STOPPED else JobState.RUNNING
            last = locked.transaction.row(sql.LAST_START[held], {"execution_id": locked.id})
            if last is not None and last[0] is not None:
                seconds[0] = last[0] + LICENCE_SECONDS + REACH_SECONDS - locked.now
            work(locked)

        events = self._change(execution_id, change)
        time.sleep(min(max(seconds[0], 0.0), LICENCE_SECONDS + REACH_SECONDS))
        return events

    def _reopen(
        self, execution_id: str, work: Callable[..., None], *, but: ExecutionState | None = None
    ) -> list[Event]:
        """A control that may put jobs back, `but` not in one state. Which, is read before a transaction holds the writer."""
        found, begun = Found(), list[Found]()
        with self._database.read() as transaction:
            state = transaction.row(sql.STATE, {"execution_id": execution_id}) if execution_id.isprintable() else None
            if state is not None and state[0] != but:
                found = find(transaction, execution_id, self._plans.load)

        def begin(locked: LockedExecution, **said: str) -> None:
            begun[:] = [reopen(locked, found=found, stride=self._stride, load=self._plans.load, **said)]

        events = self._change(execution_id, partial(work, reopen=begin))
        return events + self._finish(execution_id, *begun)

    def _finish(self, execution_id: str, begun: Found | None = None) -> list[Event]:
        """Make what is left of a control that goes on in steps."""
        return Steps(self._database, self._plans.load, execution_id, self._stride, begun).run()

    def _change(self, execution_id: str, work: Callable[[LockedExecution], None]) -> list[Event]:
        written: list[Event] = []

        def apply(transaction: Transaction) -> list[Event]:
            locked = LockedExecution(transaction, execution_id, self._plans.load)
            # The answer of an earlier commit was lost; its event in SQL shows that it took place.
            if written and _is_recorded(transaction, written[0]):
                return written
            work(locked)
            if locked.events:
                locked.save()
            written[:] = locked.events
            failpoint(Point.CONTROL_WRITTEN)
            return locked.events

        events = self._database.transact(apply)
        failpoint(Point.CONTROL_COMMITTED)
        return events


def _is_recorded(transaction: Transaction, event: Event) -> bool:
    found = transaction.row(sql.IS_RECORDED, {"execution_id": event.execution_id, "sequence": event.sequence})
    return found == (event.time, str(event.kind), event.node, event.item)


def _pause(locked: LockedExecution, by: str) -> None:
    if locked.make("pause"):
        locked.note(EventKind.PAUSED, **_signed(by))
    elif locked.state is not ExecutionState.PAUSED:
        raise _refused(locked, "paused", "Pause a run only while it is going on.")


def _resume(locked: LockedExecution, by: str, budget: int | None, reopen: Reopen) -> None:
    is_raised = budget is not None and locked.state is not ExecutionState.COMPLETED
    if budget is not None and is_raised:
        raise_budget(locked, budget)
    elif locked.state is ExecutionState.PAUSED and is_dry(locked):
        raise ControlRefused(
            f"the run is paused for its budget: {locked.budget}",
            hint=f"Say what it may spend in all, more than that: `run.resume(budget={advised(locked.budget.limit or 0)})`.",
            state=str(locked.state),
        )
    said: dict[str, Any] = {**_signed(by), **({"budget": budget} if budget is not None else {})}
    if locked.make("resume") or (is_raised and not locked.state.is_terminal):
        locked.note(EventKind.RESUMED, **said)
    elif locked.state in (ExecutionState.FAILED, ExecutionState.STOPPED):
        reopen(locked, **_signed(by))
    elif locked.state is ExecutionState.COMPLETED:
        raise _refused(locked, "resumed", "Submit the workflow again to run it again: this run is complete.")


def _stop(locked: LockedExecution, by: str, stride: Stride) -> None:
    if locked.state is ExecutionState.STOPPED:
        return
    if not locked.make("stop"):
        raise _refused(locked, "stopped", "There is nothing to stop: this run is already over.")
    locked.note(EventKind.STOPPED, **_signed(by))
    stop_jobs(locked, stride)


def _retry(locked: LockedExecution, by: str, reopen: Reopen) -> None:
    if is_reopening(locked):
        # This call helps the one before.
        return
    if locked.state is ExecutionState.COMPLETED or not locked.failed:
        raise _refused(locked, "retried", "Use `resume()` for a paused or stopped run: nothing in this one has failed.")
    reopen(locked, **_signed(by))


def _signed(by: str) -> dict[str, str]:
    """The name of the person, as an event's data, if it is known."""
    return {"by": by} if by else {}


def _waiting_review(locked: LockedExecution, node: str, item: str) -> tuple[int, str]:
    found = locked.transaction.row(_REVIEW, {"execution_id": locked.id, "node": node, "item": item})
    if found is None or node not in locked.plan.reviews:
        reviews = ", ".join(locked.plan.reviews)
        hint = f"Name one of its reviews: {reviews}." if reviews else "This run has no reviews to decide."
        raise DecisionRefused(f"there is no review {node!r} at {item}", hint=hint)
    id, _, _, state, output = found
    if state in JOB_TRANSITIONS["decide"].sources and not locked.state.is_terminal:
        return id, output
    decided = locked.transaction.row(_DECISION, {"job_id": id})
    if decided is not None:
        action, by, after = decided
        raise DecisionRefused(
            f"{node} was already decided: {action} by {by or 'an unknown person'}{_in_short(json.loads(after))}",
            hint="The first decision stands. Run the workflow again to choose otherwise.",
        )
    raise DecisionRefused(
        f"{node} is {state} and does not wait for a decision",
        hint="List the reviews that wait with `run.reviews()`.",
    )


def _decide(locked: LockedExecution, ended: EndedJob, made: dict[str, Any]) -> None:
    """Record the decision that was made at a review, and let what hangs on it go on or be skipped."""
    locked.transaction.run(sql.ADD_DECISION, made | {"time": locked.now})
    reason = "first" if ended.end is End.LIVE else str(ended.end)
    decided = {"job_id": made["job_id"], "output": made["after"], "reason": reason, "now": locked.now}
    if locked.transaction.run(transitions.DECIDE, decided):
        locked.changes.complete(ended.node, JobState.WAITING, made["job_id"])
    locked.note(EventKind.JOB_DECIDED, ended.node, ended.item, action=made["action"], by=made["by"])
    settle(locked, [ended])


def _in_short(decision: Mapping[str, Any]) -> str:
    """A decision in short: the options taken, as `approve` names them, or the reason of a rejection."""
    if choice := decision.get("choice"):
        return f", choose=[{', '.join(map(str, choice[:20]))}{', …' if len(choice) > 20 else ''}]"
    reason = decision.get("rejected")
    return f": {str(reason)[:300]}" if reason else ""


def _refused(locked: LockedExecution, verb: str, hint: str) -> ControlRefused:
    return ControlRefused(f"the run is {locked.state} and cannot be {verb}", hint=hint, state=str(locked.state))
