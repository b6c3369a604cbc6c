"""The state of a run as plain JSON for the widget, and the changes between two such states. It sends nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from xtyl_engine.queries.views import NodeOverview, Overview, Review
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import is_artifact, kind_of_file, with_references
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.drawing.cards import card_kind, card_name, page_layouts
from xtyl_nb.drawing.folding import Fold
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.words import (
    NANO,
    PAID,
    TEXT_SHOWN,
    WORDS,
    Json,
    branch_counts,
    clip,
    elapsed_seconds,
    is_nearly_spent,
    live_words,
    money_words,
    node_state,
    price,
    spans,
    state_words,
    tally,
)

THUMB_PIXELS = 120


THUMBS_SHOWN = 4


LINE_SHOWN = 160


MANY_NODES = 100


REVIEWS_SHOWN = 6


OPTIONS_SHOWN = 60


LARGE_OPTIONS = 8


ROWS_NAMED = 3


def draw_graph(plan: Plan, key: str, folded: Fold) -> Json:
    """The parts that do not change while a run goes on: cards with their places, wires, and the parameters of each node."""
    layouts = page_layouts(plan, folded)
    branches = layouts[0].branches
    return {
        "key": key,
        "name": plan.name,
        "words": WORDS,
        "nodes": [_card(plan, members, branches.get(id)) for id, members in folded.stacks.items()],
        "wires": [[wire.source, wire.target] for wire in layouts[0].wires],
        "layouts": [
            {
                "width": layout.width,
                "height": layout.height,
                "places": [layout.places[id] for id in folded.stacks],
                "paths": [wire.path for wire in layout.wires],
            }
            for layout in layouts
        ],
    }


def rows_ready(plan: Plan, overview: Overview) -> int | None:
    """How many rows have all their results; None where the counts of the nodes do not tell it: where a last node makes lists, or
    may be skipped."""
    last = [node for node in plan.nodes.values() if not node.children]
    if any(len(node.axes) > 1 or node.id in plan.guarded for node in last) or plan.guarded:
        return None
    return min(overview.nodes[node.id].counts.get(JobState.COMPLETED, 0) for node in last)


def describe(overview: Overview, shown: Collection[str] = (), ready: int | None = None) -> Json:
    """Everything that may change about a run, as plain JSON. It holds the first few open reviews, which `waiting` names in order,
    and those `shown` before, because a person may be at one. `ready` is how many rows have all their results."""
    first = [review_key(each) for each in overview.reviews[:REVIEWS_SHOWN]]
    began = overview.started
    thumbs = THUMBS_SHOWN if len(overview.nodes) <= MANY_NODES else 1
    return {
        "state": overview.state.value,
        "total": overview.total,
        "done": overview.done,
        "failed": overview.failed,
        "rows": overview.rows,
        "ready": ready,
        "elapsed": elapsed_seconds(overview),
        "started": began is not None,
        "waiting_for": overview.waiting_for,
        "money": money_words({name: overview.paid(name) for name in PAID}, overview.budget, overview.charged),
        "short": is_nearly_spent(overview.budget, overview.charged),
        "error": clip(overview.error),
        "trouble": None,
        "nodes": {id: _node(node, began, thumbs, waiting_rows(overview, id)) for id, node in overview.nodes.items()},
        "reviews": reviews_json([each for each in overview.reviews if review_key(each) in {*first, *shown}]),
        "waiting": first,
        "reviews_total": sum(node.counts.get(JobState.WAITING, 0) for node in overview.nodes.values()),
    }


def waiting_rows(overview: Overview, node: str) -> str:
    """The labels of the first rows that wait for a person at a node."""
    labels = [review.label for review in overview.reviews if review.node == node]
    named = list(dict.fromkeys(labels))[:ROWS_NAMED]
    # An overview holds only the first of many open reviews.
    more = overview.nodes[node].counts.get(JobState.WAITING, 0) - sum(label in named for label in labels)
    return ", ".join(clip(label, 30) or "" for label in named) + (f" and {more} more" if named and more > 0 else "")


def review_key(review: Review) -> str:
    """The name of a review in the page."""
    return f"{review.node}/{review.item}"


def mark(offered: object) -> str:
    """A short digest of a review's options; it differs when they differ."""
    return blake2b(repr(offered).encode(), digest_size=8).hexdigest()


def reviews_json(reviews: Sequence[Review]) -> Json:
    """Open reviews with their options."""
    return {review_key(each): _review(each) for each in reviews}


def difference(before: Json, after: Json) -> Json:
    """The changes between two descriptions: nodes and reviews one by one; `gone` names the reviews that ended."""
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
    """A node's config as names and words: a function by its name, its arguments one by one, without omitted parameters."""
    lines: list[list[str]] = []
    for name, value in config.items():
        if name == "function" and isinstance(value, Mapping):
            lines.append([name, f"{value.get('name') or value.get('reference')}()"])
        elif name == "retry" and isinstance(value, Mapping):
            # These are the allowed attempts; the panel uses the plain word for those that were made.
            lines.append([name, ", ".join(f"{key.replace('_', ' ')} {each}" for key, each in value.items())])
        elif isinstance(value, Mapping) and not is_artifact(value):
            lines += asked_lines(value, length)
        elif value is not None and value not in ("", [], ()):
            value = with_references(value, kind_of_file)
            words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            lines.append([name, clip(words, length) or ""])
    return lines


def _card(plan: Plan, members: Sequence[str], branch: str | None) -> Json:
    node = plan.nodes[members[0]]
    return {
        "id": node.id,
        "name": card_name(members),
        "stack": len(members) > 1,
        "type": node.type,
        "kind": card_kind(plan, members, branch),
        "members": list(members),
        "height": node.kind.card_height,
        "asked": [] if len(members) > 1 else asked_lines(node.config),
    }


def _node(node: NodeOverview, began: float | None, thumbs: int, waits: str) -> Json:
    images = (thumbnail(path, THUMB_PIXELS) for path in node.images[:thumbs])
    worked, at_work, starts = node.work
    return {
        "state": node_state(node),
        "counts": {state.value: count for state, count in node.counts.items() if count},
        "spans": spans(node),
        "total": node.total,
        "done": node.done,
        "tally": tally(node),
        "words": state_words(node),
        "start": None if node.started is None else node.started - (began or node.started),
        "end": None if node.finished is None else node.finished - (began or node.finished),
        "worked": worked,
        "at_work": at_work,
        "starts": starts - at_work * (began or 0.0),
        "until": None if node.busy_until is None else node.busy_until - (began or 0.0),
        "exact": node.is_exact,
        "says": clip(live_words(node), LINE_SHOWN),
        "said_at": node.printed_at,
        "text": clip(node.said),
        "cut": node.cut_words,
        "images": [image for image in images if image],
        "error": clip(node.error),
        "waits": waits,
        "branches": branch_counts(node),
        "money": price(node.spent / NANO) if node.spent else "",
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
            {
                "index": o.index,
                "mark": mark(o),
                "text": o.text,
                "image": thumbnail(o.image, size) if o.image else None,
                "fields": [list(field) for field in o.fields],
            }
            for o in review.options[:OPTIONS_SHOWN]
        ],
    }
