"""The words in which the front ends show a run: states, durations, branches, progress, clipped texts. Nothing here draws or
waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_engine.states import JobState

Json = dict[str, Any]
NANO = 1_000_000_000
# Of a budget.
NEARLY = 0.8
PAID = ("spent", "unpriced", "from_cache", "saved")

TEXT_SHOWN = 600

# Each state of a node or a run in words, as a sign and as a colour: a colour never says anything alone.
_SHOWN = {
    "pending": ("not started", "○", "#8a95a5"),
    "ready": ("ready", "◌", "#8a95a5"),
    "running": ("running", "◐", "#2f6fed"),
    "waiting": ("waits for you", "✎", "#b56d00"),
    "open": ("partly done", "◑", "#8a95a5"),
    "completed": ("completed", "✓", "#1a8a55"),
    "failed": ("failed", "✕", "#d0453b"),
    "skipped": ("skipped", "↷", "#8a95a5"),
    "stopped": ("stopped", "■", "#8a95a5"),
    "paused": ("paused", "‖", "#7f5bd0"),
}
WORDS = {state: words for state, (words, _, _) in _SHOWN.items()}
SIGNS = {state: sign for state, (_, sign, _) in _SHOWN.items()}
COLOURS = {state: colour for state, (_, _, colour) in _SHOWN.items()}


def node_state(node: NodeOverview) -> str:
    """The state, a key of WORDS, that stands for all of a node's jobs: the most pressing one."""
    counts = {state: node.counts.get(state, 0) for state in JobState}
    for state in (JobState.WAITING, JobState.RUNNING, JobState.READY):
        if counts[state]:
            return state.value
    if counts[JobState.BLOCKED]:
        return "open" if node.done else "pending"
    if counts[JobState.FAILED] or counts[JobState.QUARANTINED]:
        return "failed"
    for state in (JobState.STOPPED, JobState.COMPLETED, JobState.SKIPPED):
        if counts[state]:
            return state.value
    return "pending"


def spans(node: NodeOverview) -> list[tuple[str, int]]:
    """The number of a node's jobs for each colour, in the order of painting."""
    counts = {state: node.counts.get(state, 0) for state in JobState}
    return [
        ("completed", counts[JobState.COMPLETED]),
        ("skipped", counts[JobState.SKIPPED] + counts[JobState.STOPPED]),
        ("failed", counts[JobState.FAILED] + counts[JobState.QUARANTINED]),
        ("waiting", counts[JobState.WAITING]),
        ("running", counts[JobState.RUNNING]),
    ]


def tally(node: NodeOverview) -> str:
    """What came out of a node's jobs: `24 of 24`, `28 of 30, 2 failed`. What was left out or stopped is not counted as done."""
    failed = failed_count(node)
    done = node.counts.get(JobState.COMPLETED, 0)
    return f"{done:,} of {node.total:,}" + (f", {failed:,} failed" if failed else "")


def failed_count(node: NodeOverview) -> int:
    """How many jobs of a node failed."""
    return node.counts.get(JobState.FAILED, 0) + node.counts.get(JobState.QUARANTINED, 0)


def state_words(node: NodeOverview) -> str:
    """The state of a node in words, with the rows that were left out: `not started · 2 rows left out`."""
    left_out, state = node.counts.get(JobState.SKIPPED, 0), node_state(node)
    if state != "open" or not left_out:
        return WORDS[state]
    worked = node.done > left_out
    return f"{WORDS['open' if worked else 'pending']} · {left_out:,} {'row' if left_out == 1 else 'rows'} left out"


def elapsed_seconds(overview: Overview, age: float = 0.0) -> float:
    """The duration of the run so far, by the database's clock, `age` seconds after the overview was read."""
    if overview.started is None:
        return 0.0
    # A back end of the release before does not tell its time.
    now = time() if overview.now is None else overview.now + age
    return max(0.0, (overview.finished or now) - overview.started)


def price(dollars: float) -> str:
    """Dollars to two digits, small amounts to four; what is less than those show is not shown as nothing."""
    if 0 < dollars < 0.0001:
        return "under $0.0001"
    return f"${dollars:,.4f}" if 0 < dollars < 0.1 else f"${dollars:,.2f}"


def money_words(paid: Mapping[str, int | None], budget: int | None = None, charged: int | None = None) -> str:
    """What was spent, of a budget all that is charged to it, how many attempts cost something unknown, how many results came from
    the cache and what these saved; what is nothing or not known is left out. Amounts are in whole 1e-9 dollars."""
    spent, unpriced, from_cache, saved = (paid.get(name) or 0 for name in PAID)
    of = f"{price((charged or 0) / NANO)} of {price(budget / NANO)} spent" if budget is not None else ""
    return " · ".join(
        part
        for part, counts in (
            (of or f"{price(spent / NANO)} spent", bool(of) or spent),
            (f"{unpriced:,} of unknown cost", unpriced),
            (f"{from_cache:,} from the cache{f', {price(saved / NANO)} saved' if saved else ''}", from_cache),
        )
        if counts
    )


def is_nearly_spent(budget: int | None, charged: int | None) -> bool:
    """Whether so much of a budget is spent that a person should know."""
    return budget is not None and (charged or 0) >= NEARLY * budget


def branch_counts(node: NodeOverview) -> str:
    """The number of times that a conditional took each branch: `9 then, 15 otherwise`."""
    return ", ".join(f"{count} {branch}" for branch, count in sorted(node.branches.items(), reverse=True))


def progress(done: float, of: float | None) -> str:
    """How far a job says it is: `120 of 500`, or `120` where it does not say of how many."""
    return f"{_number(done)} of {_number(of)}" if of is not None else _number(done)


def live_words(node: NodeOverview) -> str:
    """How far the running jobs of a node are together, and the last line that one of them printed."""
    told = "" if node.progress_done is None else progress(node.progress_done, node.progress_of)
    return " · ".join(part for part in (told, node.printed) if part)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def clip(text: str | None, length: int = TEXT_SHOWN) -> str | None:
    """Cut a text to the length that a card or panel can use."""
    return text if text is None or len(text) <= length else text[: length - 1] + "…"
