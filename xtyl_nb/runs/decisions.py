"""Decides reviews from a notebook: for a row by its label, for an item, or for every row, each as soon as it waits. The engine
carries the decision out.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import DecisionRefused, FrameError, with_article
from xtyl_engine.limits import MAX_COMMENT_LENGTH
from xtyl_engine.states import OPEN, ExecutionState, JobState

if TYPE_CHECKING:
    import pandas as pd

    from xtyl_engine.queries.views import Review
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend
    from xtyl_nb.runs.run import Run

PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The reviews of one run. `wait_until` blocks until a condition holds, for at most `timeout` seconds."""

    id: str
    plan: Plan
    backend: Backend
    wait_until: Callable[[Callable[[ExecutionState], bool], float | None], None]

    def place(self, node: str, row: Any, row_position: int | None, item: str | None) -> str | None:
        """The place on the review's axes to decide: an item, a row's position, or None for all."""
        if node not in self.plan.reviews:
            reviews = ", ".join(self.plan.reviews)
            hint = f"Name one of its reviews: {reviews}." if reviews else "This run has no reviews to decide."
            raise DecisionRefused(f"there is no review {node!r} in this run", hint=hint)
        position = row_position if row is None else self.position(row)
        return item if item is not None or position is None else str(position)

    def position(self, row: Any, otherwise: str = "or row_position=") -> int:
        """The position of the row with this label. Raises FrameError unless there is exactly one; `otherwise` says what else to
        give."""
        from xtyl_nb.frames.inputs import same_label

        labels = [label for label, _ in self.backend.queries.rows(self.id)]
        found = [place for place, label in enumerate(labels) if same_label(label, row)]
        if len(found) != 1:
            words = "no row" if not found else f"{len(found)} rows"
            shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
            raise FrameError(
                f"{words} with the label {row!r}", hint=f"Give a label of this run ({shown}), {otherwise}."
            )
        return found[0]

    def decide(self, node: str, place: str | None, decide: Any, timeout: float | None) -> None:
        """Decide every review at `place` as soon as it waits, including those that are created meanwhile."""
        done: set[str] = set()

        def all_decided(state: ExecutionState) -> bool:
            # In this order: a job that is created after the first read is seen by the last.
            is_over, more = state.is_terminal, self._may_be_born(node, place)
            states = self.states(node, place)
            if not states and (is_over or not more):
                raise DecisionRefused(
                    f"{node} has no decision to make", hint="List the open reviews with `run.reviews()`."
                )
            for item in [item for item in states if item not in done]:
                waits = states[item] is JobState.WAITING
                if waits or states[item] not in OPEN or is_over:
                    # A review that can no longer be decided is an error only if it was named by itself.
                    if waits or (len(states) == 1 and not more):
                        self._decide_one(node, item, decide, is_alone=len(states) == 1)
                    done.add(item)
            return len(done) == len(states) and (is_over or not more)

        self.wait_until(all_decided, timeout)

    def _decide_one(self, node: str, item: str, decide: Any, *, is_alone: bool) -> None:
        try:
            decide(item)
        except DecisionRefused:
            if is_alone or self.states(node, item)[item] in OPEN:
                raise

    def _may_be_born(self, node: str, place: str | None) -> bool:
        """Whether a list that the node runs over is still to come."""
        row = None if place is None else place.split(".")[0]
        expanders = [axis for axis in self.plan.nodes[node].axes[1:] if axis not in self.plan.lengths]
        return any(state in OPEN for expander in expanders for state in self.states(expander, row).values())

    def states(self, node: str, place: str | None) -> dict[str, JobState]:
        """The states of the node's jobs at a place, or of all of them, by item."""
        states = self.backend.queries.node_states(self.id, node)
        return {
            item: state
            for item, state in states.items()
            if place is None or item == place or item.startswith(f"{place}.")
        }


def approve(
    self: Run,
    node: str,
    *,
    choose: Sequence[int],
    edits: Mapping[int, Any] | None = None,
    row: Any = None,
    comment: str | None = None,
    timeout: float | None = None,
    row_position: int | None = None,
    item: str | None = None,
) -> Run:
    """Decide a review by picking options; blocks until it waits for a decision.

    Args:
        node: The review's id.
        choose: The numbers of the options picked, from 0, in the order of `reviews()`.
        edits: New texts by the number of the option, for a review with `edit=True`; of an
            answer with fields, by field: {0: {"headline": "New"}}.
        row: A label of the frame's index; by default every row is decided, each as soon as it
            waits.
        comment: The reason, at most 10,000 characters; stored with the decision.
        timeout: The most seconds to wait for the review; no limit by default.
        row_position: The row by its position, from 0, where a label occurs twice.
        item: One review of a list of them, by its path such as "3.0".

    Returns:
        The run itself.

    Raises:
        DecisionRefused: The decision is not possible; the hint says what may be chosen.
        FrameError: No row has this label, or several have it.
        WaitTimeout: The review does not wait after `timeout` seconds.

    Example:
        >>> run = flow.run(briefs)
        >>> run.approve("pick", choose=[1], row=0, comment="The shortest.")
        Run('launch')
    """
    place = self._decisions.place(node, row, row_position, item)
    comment = written("comment", comment)

    def decide(item: str) -> None:
        self._backend.decide(self.id, "approve", node, item, choose=choose, edits=edits, comment=comment, by=person())

    self._decisions.decide(node, place, decide, timeout)
    return self._touched()


def reject(
    self: Run,
    node: str,
    *,
    reason: str,
    row: Any = None,
    timeout: float | None = None,
    row_position: int | None = None,
    item: str | None = None,
) -> Run:
    """Reject all options: the steps that depend on the review are skipped, other rows go on.

    Args:
        node: The review's id.
        reason: The reason, at most 10,000 characters; stored with the decision.
        row: A label of the frame's index; by default every row is rejected, each as soon as it
            waits.
        timeout: The most seconds to wait for the review; no limit by default.
        row_position: The row by its position, from 0, where a label occurs twice.
        item: One review of a list of them, by its path such as "3.0".

    Returns:
        The run itself.

    Raises:
        DecisionRefused: There is nothing to decide here.
        FrameError: No row has this label, or several have it.
        WaitTimeout: The review does not wait after `timeout` seconds.

    Example:
        >>> run = flow.run(briefs)
        >>> run.reject("pick", reason="None is calm.", row=1)
        Run('launch')
    """
    place = self._decisions.place(node, row, row_position, item)
    words = written("reason", reason) or ""
    if not words.strip():
        hint = 'Say why, in a word: reason="off brand". It stands in the results of the rows that it ends.'
        raise DecisionRefused("the reason is empty", hint=hint)

    def decide(item: str) -> None:
        self._backend.decide(self.id, "reject", node, item, reason=words, by=person())

    self._decisions.decide(node, place, decide, timeout)
    return self._touched()


def another(self: Run, node: str, *, row: Any = None, comment: str | None = None, item: str | None = None) -> Run:
    """Ask for one more option of an open review; it then waits again, with all options.

    Args:
        node: The review's id.
        row: A label of the frame's index; by default every row where the review waits now.
        comment: A wish for the option, at most 10,000 characters. It stands where the prompts
            of the new option's steps read `{{ feedback }}`, else as a paragraph after them,
            with the texts so far; `run.inspect` shows it.
        item: One review of a list of them, by its path such as "3.0".

    Returns:
        The run itself.

    Raises:
        DecisionRefused: The review does not wait there, or its list cannot get longer.
        FrameError: No row has this label, or several have it.

    Example:
        >>> run = flow.run(product="Aurora lamp")
        >>> waits = next(event for event in run.watch() if event.kind == "job_waiting")
        >>> run.another("pick", comment="A shorter one.")
        Run('launch')
    """
    states = self._decisions.states(node, self._decisions.place(node, row, None, item))
    waiting = [item for item, state in states.items() if state is JobState.WAITING]
    if not waiting:
        raise DecisionRefused(f"{node} waits for no decision there", hint="List the open reviews with `run.reviews()`.")
    for each in waiting:
        self._backend.decide(self.id, "another", node, each, comment=written("comment", comment), by=person())
    return self._touched()


def reviews(self: Run) -> pd.DataFrame:
    """List the open reviews.

    Returns:
        A DataFrame with one row per option, indexed by `node`, `row` (the label in the frame's
        index) and `option` (its number, for `choose=`): its `text`, its `image` (a path), and
        the number to `choose`.

    Example:
        >>> run = flow.run(product="Aurora lamp")
        >>> waits = next(event for event in run.watch() if event.kind == "job_waiting")
        >>> run.reviews().index.to_list()
        [('pick', 0, 0), ('pick', 0, 1), ('pick', 0, 2)]
    """
    from xtyl_nb.frames.results import reviews_frame

    return reviews_frame(self._backend, self.id, list(_waiting(self)))


def _waiting(run: Run) -> Iterator[Review]:
    after = None
    while page := run._reviews_after(after, PAGE):
        yield from page
        after = (page[-1].node, page[-1].item)


def written(name: str, text: str | None) -> str | None:
    """A person's words about a decision, in a form that any database can store. Raises DecisionRefused."""
    from xtyl_engine.values.plain import mend

    if text is None:
        return None
    if not isinstance(text, str):
        raise DecisionRefused(f"{name} is {with_article(type(text).__name__)}, not text", hint=f'Write {name}="…".')
    if len(text) > MAX_COMMENT_LENGTH:
        raise DecisionRefused(
            f"{name} has {len(text):,} characters; {MAX_COMMENT_LENGTH:,} is the most",
            hint="Shorten it to what decided.",
        )
    return mend(text)


def person() -> str:
    """The name of the person who decides: the user of this process."""
    try:
        return getpass.getuser().encode("utf-8", "replace").decode()[:100]
    except (OSError, KeyError):
        return "unknown"
