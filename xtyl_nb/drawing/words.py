"""A run as the front ends show it: plain JSON for the widget, words for all of them. Nothing here draws or waits."""

from __future__ import annotations

from time import time
from typing import Any

from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_engine.states import JobState

Json = dict[str, Any]

TEXT_SHOWN = 600

WORDS = {
    "pending": "not started",
    "ready": "ready",
    "running": "running",
    "waiting": "waits for you",
    "open": "partly done",
    "completed": "completed",
    "failed": "failed",
    "skipped": "skipped",
    "stopped": "stopped",
    "paused": "paused",
}


def node_state(node: NodeOverview) -> str:
    """The one word, a key of WORDS, for all of a node's jobs: the most pressing."""
    counts = {state: node.counts.get(state, 0) for state in JobState}
    if counts[JobState.WAITING]:
        return "waiting"
    if counts[JobState.RUNNING]:
        return "running"
    if counts[JobState.READY]:
        return "ready"
    if counts[JobState.BLOCKED]:
        return "open" if node.done else "pending"
    if counts[JobState.FAILED] or counts[JobState.QUARANTINED]:
        return "failed"
    for state in (JobState.STOPPED, JobState.COMPLETED, JobState.SKIPPED):
        if counts[state]:
            return state.value
    return "pending"


def spans(node: NodeOverview) -> list[tuple[str, int]]:
    """How many of a node's jobs to paint in which colour, in the order they are painted."""
    counts = {state: node.counts.get(state, 0) for state in JobState}
    return [
        ("completed", counts[JobState.COMPLETED]),
        ("skipped", counts[JobState.SKIPPED] + counts[JobState.STOPPED]),
        ("failed", counts[JobState.FAILED] + counts[JobState.QUARANTINED]),
        ("waiting", counts[JobState.WAITING]),
        ("running", counts[JobState.RUNNING]),
    ]


def elapsed_seconds(overview: Overview) -> float:
    """How long the run has taken so far, by the server's clock."""
    if overview.started is None:
        return 0.0
    return max(0.0, (overview.finished or time()) - overview.started)


def branch_counts(node: NodeOverview) -> str:
    """How often a conditional took which branch: `9 then, 15 otherwise`."""
    return ", ".join(f"{count} {branch}" for branch, count in sorted(node.branches.items(), reverse=True))


def clip(text: str | None, length: int = TEXT_SHOWN) -> str | None:
    """No more text than a card or panel can use."""
    return text if text is None or len(text) <= length else text[: length - 1] + "…"
