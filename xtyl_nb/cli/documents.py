"""What `--json` prints, for programs: docs/commands.md has the shapes. Fields may be added, and none goes or changes. Texts are
those of the run, and times are UTC in ISO 8601.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from xtyl_engine.queries.views import Execution, NodeOverview, Overview
from xtyl_engine.states import JobState
from xtyl_nb.drawing.words import node_state
from xtyl_nb.runs.listing import Listed, decisions


def as_text(document: Any, *, is_one_line: bool = False) -> str:
    """A document as text: indented, or on one line as one of many. What would act on a terminal is escaped as JSON does it."""
    text = json.dumps(document, ensure_ascii=False, indent=None if is_one_line else 2, default=str)
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def runs_document(listed: Iterable[Listed]) -> dict[str, Any]:
    """A list of runs."""
    return {"runs": [_run(each.execution, each.waiting_for, each.decisions) | {"done": each.done} for each in listed]}


def run_document(execution: Execution, overview: Overview) -> dict[str, Any]:
    """One run with its nodes and the reviews that wait, at most fifty of them."""
    about = _run(execution, overview.waiting_for, decisions(overview)) | {
        "state": overview.state.value,
        "jobs": overview.total,
        "done": overview.done,
        "failed": overview.failed,
        "error": overview.error,
        "started": moment(overview.started),
        "finished": moment(overview.finished),
    }
    reviews = [
        {
            "node": each.node,
            "item": each.item,
            "label": each.label,
            "choose": each.choose,
            "instructions": each.instructions,
            "options": [{"index": option.index, "text": option.text, "image": option.image} for option in each.options],
        }
        for each in overview.reviews
    ]
    return about | {"nodes": [_node(id, node) for id, node in overview.nodes.items()], "reviews": reviews}


def moment(seconds: float | None) -> str | None:
    """A time in ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _run(execution: Execution, waiting_for: str | None, decisions: int) -> dict[str, Any]:
    return {
        "id": execution.id,
        "name": execution.name,
        "project": execution.project,
        "state": execution.state.value,
        "waiting_for": waiting_for,
        "decisions": decisions,
        "rows": execution.rows,
        "jobs": execution.total,
        "done": execution.done,
        "failed": execution.failed,
        "error": execution.error,
        "created": moment(execution.created),
        "started": moment(execution.started),
        "finished": moment(execution.finished),
    }


def _node(id: str, node: NodeOverview) -> dict[str, Any]:
    failed = node.counts.get(JobState.FAILED, 0) + node.counts.get(JobState.QUARANTINED, 0)
    return {
        "id": id,
        "state": node_state(node),
        "jobs": node.total,
        "done": node.done,
        "failed": failed,
        "waiting": node.counts.get(JobState.WAITING, 0),
        "error": node.error,
        "cut": node.cut,
    }
