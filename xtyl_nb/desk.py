"""Where a review is decided from a notebook: a row by its label, an item, or everywhere, each as soon as it waits. What a
decision does is the engine's.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import DecisionRefused, FrameError
from xtyl_engine.limits import MAX_COMMENT_LENGTH
from xtyl_engine.plan import Plan
from xtyl_engine.states import OPEN, ExecutionState, JobState

if TYPE_CHECKING:
    from xtyl_nb.backend import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The reviews of one run. `wait_until` blocks until a condition holds, `timeout` seconds at most."""

    id: str
    plan: Plan
    backend: Backend
    wait_until: Callable[[Callable[[ExecutionState], bool], float | None], None]

    def place(self, node: str, row: Any, row_position: int | None, item: str | None) -> str | None:
        """Where on the review's axes to decide: an item, a row's position, None for everywhere."""
        if node not in self.plan.reviews:
            reviews = ", ".join(self.plan.reviews) or "none"
            raise DecisionRefused(f"there is no review {node!r} in this run", hint=f"Its reviews: {reviews}.")
        position = row_position if row is None else self.position(row)
        return item if item is not None or position is None else str(position)

    def position(self, row: Any) -> int:
        """The position of the row with this label. Raises FrameError unless there is exactly one."""
        from xtyl_nb.frame import same_label

        labels = [label for label, _ in self.backend.queries.rows(self.id)]
        found = [place for place, label in enumerate(labels) if same_label(label, row)]
        if len(found) != 1:
            words = "no row" if not found else f"{len(found)} rows"
            shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
            raise FrameError(
                f"{words} with the label {row!r}", hint=f"Labels of this run: {shown}; or give row_position=."
            )
        return found[0]

    def decide(self, node: str, place: str | None, decide: Any, timeout: float | None) -> None:
        """Decide everything at `place` as soon as it waits, also what is only brought into being meanwhile."""
        done: set[str] = set()

        def all_decided(state: ExecutionState) -> bool:
            # In this order: what is brought into being after the first look is seen by the last.
            is_over, more = state.is_terminal, self._may_be_born(node, place)
            states = self.states(node, place)
            if not states and (is_over or not more):
                raise DecisionRefused(f"{node} has no decision to make", hint="`run.reviews()` lists what waits.")
            for item in [item for item in states if item not in done]:
                waits = states[item] is JobState.WAITING
                if waits or states[item] not in OPEN or is_over:
                    # What can no longer be decided is only an error when it was asked for by itself.
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
        """Whether lists that the node runs over are still to come."""
        row = None if place is None else place.split(".")[0]
        bearers = [axis for axis in self.plan.nodes[node].axes[1:] if axis not in self.plan.lengths]
        return any(state in OPEN for bearer in bearers for state in self.states(bearer, row).values())

    def states(self, node: str, place: str | None) -> dict[str, JobState]:
        """How the node's jobs at a place, or everywhere, stand, by item."""
        states = self.backend.queries.node_states(self.id, node)
        return {
            item: state
            for item, state in states.items()
            if place is None or item == place or item.startswith(f"{place}.")
        }


def written(name: str, text: str | None) -> str | None:
    """What a person wrote about a decision, as it can be stored anywhere. Raises DecisionRefused."""
    from xtyl_engine.values import mend

    if text is None:
        return None
    if not isinstance(text, str):
        raise DecisionRefused(f"{name} is a {type(text).__name__}, not text", hint=f'Write {name}="…".')
    if len(text) > MAX_COMMENT_LENGTH:
        raise DecisionRefused(
            f"{name} has {len(text):,} characters; {MAX_COMMENT_LENGTH:,} is the most", hint="Keep it to what decided."
        )
    return mend(text)


def person() -> str:
    """Who decides here."""
    try:
        return getpass.getuser().encode("utf-8", "replace").decode()[:100]
    except (OSError, KeyError):
        return "unknown"
