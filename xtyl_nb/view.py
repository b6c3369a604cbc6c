"""A run as the front ends show it: plain JSON for the widget, words for all of them. Nothing here draws or waits."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from string import digits
from time import time
from typing import Any

from xtyl_engine.nodes.registry import type_facts
from xtyl_engine.queries.views import NodeOverview, Overview, Review
from xtyl_engine.states import JobState
from xtyl_engine.workflow.document import Edge
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.fold import Fold
from xtyl_nb.layout import Card, Layout, arrange
from xtyl_nb.thumbnail import thumbnail

Json = dict[str, Any]

THUMB_PIXELS = 120
THUMBS_SHOWN = 4
MANY_NODES = 100
REVIEWS_SHOWN = 6
OPTIONS_SHOWN = 60
LARGE_OPTIONS = 8
TEXT_SHOWN = 600
ROWS_NAMED = 3

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


def node_kind(type: str, config: Mapping[str, Any], branch: str | None = None) -> str:
    """The node's type, and the one parameter that says most about it; before them the branch that leads here."""
    parts = [f"{branch}: {type}" if branch else type]
    if type_facts(type).waits:
        parts.append(f"choose {config.get('choose', 1)}")
    elif isinstance(n := config.get("n"), int) and n > 1:
        parts.append(f"{n} each")
    if over := config.get("over"):
        parts.append(f"over {over}")
    return " · ".join(parts)


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


def draw_graph(plan: Plan, key: str, folded: Fold) -> Json:
    """What does not change while a run goes on: cards with their places, wires, and what each node was asked to do."""
    layout = lay_out(plan, folded)
    branches = layout.branches
    return {
        "key": key,
        "name": plan.name,
        "words": WORDS,
        "width": layout.width,
        "height": layout.height,
        "nodes": [_card(plan, members, layout.places[id], branches.get(id)) for id, members in folded.stacks.items()],
        "wires": [[wire.source, wire.target, wire.path] for wire in layout.wires],
    }


def lay_out(plan: Plan, folded: Fold) -> Layout:
    """Where the cards of a plan stand."""
    edges = folded.edges(plan_edges(plan))
    levels = folded.levels(plan, edges)
    height = {id: plan.nodes[id].kind.card_height for id in folded.stacks}
    return arrange([Card(id=id, level=levels[id], height=height[id]) for id in folded.stacks], edges)


def card_name(members: Sequence[str]) -> str:
    """What a card is called: by its node, or by the first and the last of several, whose number says enough."""
    first, last = members[0], members[-1]
    return first if len(members) == 1 else f"{first}…{last.removeprefix(first.rstrip(digits))}"


def card_kind(plan: Plan, members: Sequence[str], branch: str | None) -> str:
    """What the node of a card is, or how many of what it stands for; before that the branch that leads here."""
    node = plan.nodes[members[0]]
    if len(members) == 1:
        return node_kind(node.type, node.config, branch)
    return node_kind(f"{len(members)} × {node.type}", {}, branch)


def plan_edges(plan: Plan) -> list[Edge]:
    """Every edge of a plan, also those that references made."""
    links = (link for node in plan.nodes.values() for link in node.parents)
    return [Edge(source=link.source, target=link.target, branch=link.branch) for link in links]


def describe(overview: Overview, shown: Collection[str] = ()) -> Json:
    """Everything that may change about a run, as plain JSON. Of the reviews that wait the first few, which `waiting` names in
    order, and those `shown` before: somebody may be at one."""
    first = [review_key(each) for each in overview.reviews[:REVIEWS_SHOWN]]
    began = overview.started
    thumbs = THUMBS_SHOWN if len(overview.nodes) <= MANY_NODES else 1
    return {
        "state": overview.state.value,
        "total": overview.total,
        "done": overview.done,
        "failed": overview.failed,
        "rows": overview.rows,
        "elapsed": elapsed_seconds(overview),
        "started": began is not None,
        "waiting_for": overview.waiting_for,
        "error": clip(overview.error),
        "trouble": None,
        "nodes": {id: _node(node, began, thumbs, waiting_rows(overview, id)) for id, node in overview.nodes.items()},
        "reviews": reviews_json([each for each in overview.reviews if review_key(each) in {*first, *shown}]),
        "waiting": first,
        "reviews_total": sum(node.counts.get(JobState.WAITING, 0) for node in overview.nodes.values()),
    }


def waiting_rows(overview: Overview, node: str) -> str:
    """The first rows that wait for somebody at a node, by their labels."""
    labels = [review.label for review in overview.reviews if review.node == node]
    named = list(dict.fromkeys(labels))[:ROWS_NAMED]
    # Of many that wait an overview has the first.
    more = overview.nodes[node].counts.get(JobState.WAITING, 0) - sum(label in named for label in labels)
    return ", ".join(clip(label, 30) or "" for label in named) + (f" and {more} more" if named and more > 0 else "")


def branch_counts(node: NodeOverview) -> str:
    """How often a conditional took which branch: `9 then, 15 otherwise`."""
    return ", ".join(f"{count} {branch}" for branch, count in sorted(node.branches.items(), reverse=True))


def review_key(review: Review) -> str:
    """What the page calls a review."""
    return f"{review.node}/{review.item}"


def mark(offered: object) -> str:
    """A short word for what is offered to choose from, another one for anything else."""
    return blake2b(repr(offered).encode(), digest_size=8).hexdigest()


def reviews_json(reviews: Sequence[Review]) -> Json:
    """Decisions that are waited for, with what to choose from."""
    return {review_key(each): _review(each) for each in reviews}


def difference(before: Json, after: Json) -> Json:
    """What changed between two descriptions: nodes and reviews one by one, `gone` the reviews that ended."""
    patch = {key: value for key, value in after.items() if key not in ("nodes", "reviews") and before.get(key) != value}
    for part in ("nodes", "reviews"):
        if found := {id: value for id, value in after[part].items() if before[part].get(id) != value}:
            patch[part] = found
    if gone := [key for key in before["reviews"] if key not in after["reviews"]]:
        patch["gone"] = gone
    if patch.keys() <= {"elapsed"}:
        return {}
    return patch | {"elapsed": after["elapsed"]}


def asked_lines(config: Mapping[str, Any], length: int = TEXT_SHOWN) -> list[list[str]]:
    """A node's config as names and words: a function by its name, its arguments one by one, what was left out not at all."""
    lines: list[list[str]] = []
    for name, value in config.items():
        if name == "function" and isinstance(value, Mapping):
            lines.append([name, f"{value.get('name') or value.get('reference')}()"])
        elif name == "retry" and isinstance(value, Mapping):
            # Its attempts are those that may be made; the panel heads those that were so.
            lines.append([name, ", ".join(f"{key.replace('_', ' ')} {each}" for key, each in value.items())])
        elif isinstance(value, Mapping):
            lines += asked_lines(value, length)
        elif value is not None and value not in ("", [], ()):
            words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            lines.append([name, clip(words, length) or ""])
    return lines


def clip(text: str | None, length: int = TEXT_SHOWN) -> str | None:
    """No more text than a card or panel can use."""
    return text if text is None or len(text) <= length else text[: length - 1] + "…"


def _card(plan: Plan, members: Sequence[str], place: tuple[float, float], branch: str | None) -> Json:
    node, (x, y) = plan.nodes[members[0]], place
    return {
        "id": node.id,
        "name": card_name(members),
        "stack": len(members) > 1,
        "type": node.type,
        "kind": card_kind(plan, members, branch),
        "x": x,
        "y": y,
        "height": node.kind.card_height,
        "asked": [] if len(members) > 1 else asked_lines(node.config),
    }


def _node(node: NodeOverview, began: float | None, thumbs: int, waits: str) -> Json:
    images = (thumbnail(path, THUMB_PIXELS) for path in node.images[:thumbs])
    return {
        "state": node_state(node),
        "counts": {state.value: count for state, count in node.counts.items() if count},
        "spans": spans(node),
        "total": node.total,
        "done": node.done,
        "start": None if node.started is None else node.started - (began or node.started),
        "end": None if node.finished is None else node.finished - (began or node.finished),
        "worked": node.worked,
        "at_work": node.at_work,
        "starts": node.starts - node.at_work * (began or 0.0),
        "text": clip(node.text),
        "images": [image for image in images if image],
        "error": clip(node.error),
        "waits": waits,
        "branches": branch_counts(node),
    }


def _review(review: Review) -> Json:
    size = 512 if len(review.options) <= LARGE_OPTIONS else 200
    return {
        "node": review.node,
        "item": review.item,
        "row": review.row,
        "label": clip(review.label, 80),
        "choose": review.choose,
        "edit": review.edit,
        "instructions": clip(review.instructions),
        "mark": mark(review.options),
        "hidden": max(0, len(review.options) - OPTIONS_SHOWN),
        "options": [
            {"index": o.index, "mark": mark(o), "text": o.text, "image": thumbnail(o.image, size) if o.image else None}
            for o in review.options[:OPTIONS_SHOWN]
        ],
    }
