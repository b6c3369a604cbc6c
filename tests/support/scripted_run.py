"""A run that follows a script, for the tests of displays. It is a real `Live` over Overviews written by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from xtyl_engine.errors import ControlRefused, RunNotFound
from xtyl_engine.events import Event, EventKind
from xtyl_engine.queries.executions import Result, Snapshot
from xtyl_engine.queries.views import Attempt, Execution, JobDetail, JobPage, NodeOverview, Option, Overview, Review
from xtyl_engine.states import EXECUTION_TRANSITIONS, ExecutionState, JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.plan import Plan, Reading, make_plan
from xtyl_nb.drawing.layout import rank_levels
from xtyl_nb.drawing.run_picture import Exhibit
from xtyl_nb.drawing.timeline import Bar, Timeline

STARTED = 1_700_000_000.0
SUMMER: dict[str, tuple[str, dict[str, Any]]] = {
    "headline": ("generate_copy", {"prompt": "A {{ tone }} headline for {{ product }}", "n": 3}),
    "poster": ("generate_image", {"prompt": "Poster for {{ product }}: {{ headline.text }}", "over": "headline"}),
    "premium": ("conditional", {"when": "{{ price > 100 }}"}),
    "pick": ("review", {"of": "poster", "choose": 1}),
    "score": ("call", {"function": "score"}),
    "kit": ("attach", {"assets": {"title": "{{ pick.headline.text }}"}}),
}
SUMMER_EDGES = (
    ("headline", "poster", None),
    ("headline", "premium", None),
    ("poster", "pick", None),
    ("premium", "score", "then"),
    ("pick", "kit", None),
    ("score", "kit", None),
)


def plan_of(nodes: Mapping[str, tuple[str, dict[str, Any]]], edges: Any, *, name: str = "summer-launch") -> Plan:
    """A plan, made without validation."""
    wired = tuple(Edge(source=source, target=target, branch=branch) for source, target, branch in edges)
    document = Document(
        name=name,
        nodes=tuple(Node(id=id, type=type, config=config) for id, (type, config) in nodes.items()),
        edges=wired,
    )
    depths = rank_levels(nodes, wired)
    return make_plan(
        document,
        order=sorted(nodes, key=depths.__getitem__),
        depths=depths,
        edges=wired,
        readings=dict.fromkeys(nodes, Reading()),
        expanders=frozenset({"headline"}),
        inputs=("product", "tone", "price"),
    )


def summer_plan() -> Plan:
    return plan_of(SUMMER, SUMMER_EDGES)


def node_overview(**fields: Any) -> NodeOverview:
    """A node's overview; states as keywords are counts."""
    counts = {JobState(key): fields.pop(key) for key in list(fields) if key in set(JobState)}
    if (started := fields.get("started")) is not None:
        over = sum(count for state, count in counts.items() if state.is_terminal)
        at_work = counts.get(JobState.RUNNING, 0) + counts.get(JobState.WAITING, 0)
        took = fields.get("finished", started) - started
        fields = {"worked": over * took, "at_work": at_work, "starts": at_work * started} | fields
    return NodeOverview(counts=counts, **fields)


def overview_of(plan: Plan, state: str = "running", *, sequence: int = 1, **fields: Any) -> Overview:
    """An overview whose totals are the sums of its nodes'."""
    nodes = {id: fields.get("nodes", {}).get(id, node_overview(blocked=2)) for id in plan.nodes}
    failed = sum(node.counts.get(JobState.FAILED, 0) for node in nodes.values())
    values: dict[str, Any] = {
        "id": "run-1",
        "name": plan.name,
        "state": ExecutionState(state),
        "sequence": sequence,
        "total": sum(node.total for node in nodes.values()),
        "done": sum(node.done for node in nodes.values()),
        "failed": failed,
        "rows": 2,
        "started": STARTED,
        "finished": STARTED + 41 if ExecutionState(state).is_terminal else None,
    }
    return Overview(**(values | fields | {"nodes": nodes}))


def draw_image(path: Path, *, top: str, bottom: str, size: int = 512) -> str:
    """A small poster."""
    image = Image.linear_gradient("L").resize((size, size))
    poster = Image.composite(Image.new("RGB", image.size, bottom), Image.new("RGB", image.size, top), image)
    ImageDraw.Draw(poster).ellipse((size // 3, size // 5, size * 2 // 3, size // 5 + size // 3), fill="#fff6")
    poster.save(path)
    return str(path)


def review_of(images: list[str], *, item: str = "0", label: str = "Aurora lamp", **fields: Any) -> Review:
    texts = ("Light that leaves the lamp behind", "For rooms that dream", "Dawn, on a switch")
    options = tuple(Option(index=place, text=texts[place % 3], image=image) for place, image in enumerate(images))
    given: dict[str, Any] = {"node": "pick", "item": item, "row": int(item), "label": label, "choose": 1}
    return Review(**(given | {"options": options} | fields))


class ScriptedRun:
    """Shows one overview after another; an approval or `step` moves on. Controls are kept, and refused when illegal.
    `ended_unseen` lets the run end before its watchers hear of it; `waits` counts how often one has waited for news."""

    def __init__(self, plan: Plan, *overviews: Overview, id: str = "run-1"):
        self.id = id
        self._plan = plan
        self.controls: list[tuple[Any, ...]] = []
        self._script = list(overviews)
        self._at = 0
        self._moved = threading.Condition()
        self.ended_unseen = False
        self.waits = 0

    def overview(self) -> Overview:
        return replace(self._script[self._at], sequence=self._at)

    def _changed(self, after: int, timeout: float) -> bool:
        self.waits += 1
        with self._moved:
            return self._moved.wait_for(lambda: self._at > after, timeout)

    def step(self) -> None:
        with self._moved:
            self._at = min(self._at + 1, len(self._script) - 1)
            self._moved.notify_all()

    def step_unseen(self) -> None:
        """Go on without waking the waiting display."""
        self._at += 1

    def become(self, **fields: Any) -> None:
        """Show something else from now on, without an event."""
        self._script[self._at] = replace(self._script[self._at], **fields)

    def another(self, node: str, *, comment: Any = None, item: Any = None) -> None:
        self.controls.append(("another", node, comment, item))

    def pause(self) -> None:
        self._move("pause")

    def resume(self) -> None:
        self._move("resume")

    def stop(self) -> None:
        self._move("stop")

    def retry(self) -> None:
        self._move("reopen")

    def approve(
        self,
        node: str,
        *,
        choose: list[int],
        edits: Any = None,
        comment: Any = None,
        row_position: Any = None,
        item: Any = None,
        timeout: Any = None,
    ) -> None:
        said = () if comment is None else (comment,)
        self.controls.append(("approve", node, item, choose, edits, *said))
        self.step()

    def reject(self, node: str, *, reason: str, item: str | None = None, timeout: Any = None) -> None:
        self.controls.append(("reject", node, item, reason))
        self.step()

    def _reviews_after(self, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        reviews = self.overview().reviews
        places = [(review.node, review.item) for review in reviews]
        start = places.index(after) + 1 if after in places else 0
        return reviews[start : start + count]

    def _job_page(self, node: str, start: int = 0) -> JobPage:
        """Two jobs, one of them failed; none for an unknown node."""
        if node not in self._plan.nodes:
            raise RunNotFound(f"there is no node {node!r} in this run", hint="Look at its nodes.")
        return JobPage(total=2, start=start, jobs=(self.inspect(node, item="1"), self.inspect(node, item="0"))[start:])

    def inspect(self, node: str, *, item: str) -> JobDetail:
        common: dict[str, Any] = {
            "node": node,
            "item": item,
            "label": f"<b>row {item}</b>",
            "because": "first",
            "started": STARTED,
        }
        if item == "0":
            facts: dict[str, Any] = {
                "text": "Hello\n<script>alert(1)</script>",
                "finished": STARTED + 2,
                "attempts_made": 1,
            }
            asked = {"prompt": "A headline for <i>Aurora</i>", "model": None}
            return JobDetail(state=JobState.COMPLETED, asked=asked, cost=0.01, tokens=12, **common, **facts)
        tried = (
            Attempt(1, "first", STARTED, STARTED + 1, "retrying", "busy"),
            Attempt(2, "retry", STARTED + 2, None, None, None),
        )
        facts = {
            "error": "it broke",
            "traceback": "Traceback: <b>here</b>",
            "error_class": "permanent",
            "attempts": tried,
        }
        return JobDetail(state=JobState.FAILED, attempts_made=2, **common, **facts)

    def timeline(self) -> Timeline:
        def state(node: NodeOverview) -> str:
            return next(
                (str(each) for each in (JobState.WAITING, JobState.RUNNING) if node.counts.get(each)), "completed"
            )

        bars = [
            Bar(
                node=id,
                item="0",
                state=state(node),
                start=node.started - STARTED,
                end=(node.finished or STARTED + 41) - STARTED,
            )
            for id, node in self.overview().nodes.items()
            if node.started is not None
        ]
        return Timeline(bars, list(self._plan.nodes))

    def _original(self, path: str) -> str:
        return path

    def _exhibits(self, limit: int) -> list[Exhibit]:
        images = {id: node.images for id, node in self.overview().nodes.items() if node.images}
        found = [Exhibit(path=path, node=id, item="0", label="Aurora lamp") for id in images for path in images[id]]
        return found[:limit]

    def _snapshot(self) -> Snapshot:
        """Two rows; a job for each of a node's states, without outputs."""
        now = self.overview()
        states = {
            node: [state for state, count in each.counts.items() for _ in range(count)]
            for node, each in now.nodes.items()
        }
        results = [
            Result(node=node, item=str(place % now.rows), state=state, because="first", error=None)
            for node, found in states.items()
            for place, state in enumerate(found)
        ]
        facts: dict[str, Any] = {
            "id": self.id,
            "name": now.name,
            "template_id": "",
            "epoch": 0,
            "shape": {},
            "error": None,
        }
        facts |= {name: getattr(now, name) for name in ("state", "rows", "total", "done", "failed", "sequence")}
        execution = Execution(created=STARTED, started=now.started, finished=now.finished, **facts)
        rows: list[tuple[Any, dict[str, Any]]] = [(place, {"product": f"Lamp {place}"}) for place in range(now.rows)]
        return Snapshot(execution=execution, rows=rows, results=results)

    @property
    def _store(self) -> ArtifactStore:
        return ArtifactStore(Path("no-files"))

    def _recent_events(self) -> list[Event]:
        kinds = (EventKind.SUBMITTED, EventKind.JOB_STARTED)
        return [
            Event(
                execution_id=self.id,
                sequence=place + 1,
                time=STARTED,
                kind=kind,
                node="headline",
                item="0",
                data={"attempt": 1},
            )
            for place, kind in enumerate(kinds)
        ]

    def _move(self, name: str) -> None:
        now = self._script[-1].state if self.ended_unseen else self.overview().state
        if now not in EXECUTION_TRANSITIONS[name].sources:
            raise ControlRefused(f"a {now} run cannot {name}", hint="Look at run.state first.")
        self.controls.append((name,))
        with self._moved:
            target = ExecutionState(EXECUTION_TRANSITIONS[name].target)
            self._script.insert(self._at + 1, replace(self._script[self._at], state=target))
            self._at += 1
            self._moved.notify_all()
