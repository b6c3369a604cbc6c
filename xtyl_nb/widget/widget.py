"""The live picture of a run in a notebook. Python computes, JavaScript draws: the graph is sent once, then small patches; clicks
come back as messages and are answered to the page that sent them. A still picture beside the widget shows only when no kernel
feeds the widget.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4
from weakref import WeakSet

import anywidget
import traitlets
from IPython import get_ipython

from xtyl_engine.errors import DecisionRefused, WorkflowException
from xtyl_engine.queries.views import Overview
from xtyl_engine.states import JobState
from xtyl_nb.drawing.displayable import Live
from xtyl_nb.drawing.folding import fold
from xtyl_nb.drawing.run_picture import MOST_EXHIBITS, Exhibit, run_html
from xtyl_nb.drawing.words import Json, elapsed_seconds
from xtyl_nb.widget.audience import Audience, Cells
from xtyl_nb.widget.follower import Follower
from xtyl_nb.widget.job_panel import bars_json, decision_json
from xtyl_nb.widget.messages import CONTROLS, QUESTIONS, Question, words
from xtyl_nb.widget.run_table import RunTable
from xtyl_nb.widget.state import describe, difference, draw_graph, mark, rows_ready

STATIC = Path(__file__).parent / "static"
# The page gets one module, joined from these parts in this order.
PARTS = (
    "page state kernel still header graph tabs timeline events rows results panel waiting choice drafts large form "
    "facts review widget"
)
SETTLE_SECONDS = 2.0
VIEW_MIME = "application/vnd.jupyter.widget-view+json"

_shown: WeakSet[RunWidget] = WeakSet()
_cells = Cells()


def show(live: Live) -> None:
    """Display a run below the cell, live, with a still picture that stays in the saved notebook."""
    RunWidget(live).display()


def settle(id: str) -> None:
    """Draw the still pictures of a finished run once more, as output of the running cell: a program that executes notebooks
    without a page gets only the outputs of that cell."""
    for widget in tuple(_shown):
        if widget.live.id == id:
            # The follower may have ended, because no page was open.
            widget.follow()
            if widget.join(SETTLE_SECONDS):
                widget.snapshot()


def wake(id: str) -> None:
    """Make every widget of this run follow it again; call this when a finished run is resumed."""
    for widget in tuple(_shown):
        if widget.live.id == id:
            widget.follow()


class RunWidget(anywidget.AnyWidget):
    """One run, live. `graph` is sent once, and again when stacks are opened; `state` is computed for each page that asks,
    and patched in between."""

    _esm = "\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS.split())
    _css = STATIC / "widget.css"

    graph = traitlets.Dict().tag(sync=True)
    # Never assigned: the front end requests it when a page opens, and applies patches to its own copy.
    state = traitlets.Dict(read_only=True).tag(
        sync=True, to_json=lambda value, widget: widget.full_state(), from_json=lambda value, widget: widget.state
    )

    def __init__(self, live: Live):
        self.live = live
        self._lock = threading.RLock()
        self._number = 0
        self._still: Any = None
        self._still_shows: tuple[Any, ...] = ()
        self._still_mark = ""
        self._audience = Audience(_cells)
        self._overview = live.overview()
        self._read_at = monotonic()
        self._opened: set[str] = set()
        self._fold = fold(live._plan)
        self._current: Json = {"reviews": {}}
        self._current = self._described()
        self._key = uuid4().hex[:12]
        table = RunTable(live)
        self._own: Mapping[str, Question] = {
            "bars": self._bars,
            "still": self._renewed,
            **{name: self._of_table(getattr(table, name)) for name in ("rows", "results", "row", "file")},
        }
        self._follower = Follower(live, seen=self._see, failed=self._fail, is_watched=self._audience.is_there)
        super().__init__(graph=self._graph())
        self.on_msg(self._receive)
        _serve_while_busy(self.comm)
        if (shell := get_ipython()) is not None:
            _cells.listen(shell.events)
        _shown.add(self)
        self.follow()

    def __repr__(self) -> str:
        return f"RunWidget({self.live._plan.name})"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = {"text/plain": repr(self), VIEW_MIME: self._view_data(), "text/html": self._picture()}
        return data, {}

    def _ipython_display_(self) -> None:
        self.display()

    def display(self) -> None:
        """Emit two outputs: the widget, and the still picture that it hides while it is live."""
        from IPython.display import display

        emit: Callable[..., Any] = display
        emit({VIEW_MIME: self._view_data(), "text/plain": repr(self)}, raw=True)
        self._still = emit({"text/html": self._picture()}, raw=True, display_id=f"xtyl-{self._key}")
        self._still_shows = self._moment()

    def follow(self) -> None:
        """Keep the picture up to date until the run is over or no page is left."""
        self._follower.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the picture is final; False if it is not after `timeout` seconds."""
        return self._follower.join(timeout)

    def snapshot(self) -> None:
        """Update the still picture in the notebook."""
        with self._lock:
            self._still_shows = self._moment()
            if self._still is not None:
                self._still.update({"text/html": self._picture()}, raw=True)

    def full_state(self) -> Json:
        """The whole state for a newly opened page, with the number of the last patch in it."""
        with self._lock:
            elapsed = elapsed_seconds(self._overview, monotonic() - self._read_at)
            return self._current | {"number": self._number, "elapsed": elapsed}

    def _view_data(self) -> Json:
        return {"version_major": 2, "version_minor": 1, "model_id": self.model_id}

    def _picture(self) -> str:
        # Without a kernel, JupyterLab shows "Loading widget" or "model not found" in the output above.
        output = ".jp-OutputArea-child"
        hide = f"{output}:not(:has(.xtyl)):has(+ {output} .xtyl-still-{self._key}){{display:none}}"
        picture = run_html(self.live._plan, self._overview, self._exhibits())
        self._still_mark = mark(picture)
        return f'<div class="xtyl-still-{self._key} xtyl-is-{self._still_mark}"><style>{hide}</style>{picture}</div>'

    def _exhibits(self) -> list[Exhibit]:
        """Images for the sheet of a finished run; before that the cards show the latest ones."""
        if not self._overview.state.is_terminal:
            return []
        try:
            return self.live._exhibits(MOST_EXHIBITS + 1)
        except WorkflowException:
            return []

    def _graph(self) -> Json:
        return draw_graph(self.live._plan, self._key, self._fold) | {"opened": len(self._opened), "run": self.live.id}

    def _described(self) -> Json:
        ready = rows_ready(self.live._plan, self._overview)
        return describe(self._fold.overview(self._overview), self._current["reviews"], ready)

    def _moment(self) -> tuple[Any, ...]:
        """The values whose change makes the still picture be drawn again while the run goes on."""
        return self._overview.state, self._overview.waiting_for, len(self._overview.reviews)

    def _see(self, overview: Overview) -> None:
        with self._lock:
            # Two overviews may arrive in the wrong order.
            if overview.sequence < self._overview.sequence:
                return
            self._overview = overview
            self._read_at = monotonic()
            self._publish(self._described())
            if self._moment() != self._still_shows:
                self.snapshot()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._publish(self._current | {"trouble": f"{words(error)['error'].rstrip('.')}. Trying again."})

    def _publish(self, now: Json) -> None:
        if patch := difference(self._current, now):
            self._number += 1
            self._current = now
            self.send({"kind": "patch", "number": self._number, "patch": patch})

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        kind = message.get("kind") if isinstance(message, dict) else None
        if kind in ("opened", "ping"):
            self._hear(message)
        elif kind == "closed":
            if self._audience.leave(str(message.get("view"))):
                self._follower.stop()
        elif kind == "sync":
            self.send({"kind": "state", "state": self.full_state()})
        elif kind == "fold":
            self._refold(message.get("node"))
        elif (control := CONTROLS.get(str(kind))) is not None:
            self.send({"kind": "answer", "ask": message.get("ask")} | self._obey(control, message))
        elif (own := self._own.get(str(kind))) is not None:
            self.send({"kind": "answer", "ask": message.get("ask")} | self._reply(own, message))
        elif (question := QUESTIONS.get(str(kind))) is not None:
            self.send({"kind": "answer", "ask": message.get("ask")} | self._reply(question, message))

    def _refold(self, opened: Any) -> None:
        """Open one stack of cards, or fold all opened ones if none is named."""
        with self._lock:
            is_stack = isinstance(opened, str) and len(self._fold.stacks.get(opened, ())) > 1
            self._opened = self._opened | {opened} if is_stack else set()
            self._fold = fold(self.live._plan, self._opened)
            now = self._described()
            self._current = now | {"trouble": self._current["trouble"]}
            self.graph = self._graph()
            self.send({"kind": "state", "state": self.full_state()})

    def _hear(self, message: Json) -> None:
        """Answer a page that reports itself and the number of its last patch."""
        self._audience.hear(str(message.get("view")))
        self.follow()
        if message.get("number", self._number) != self._number:
            self.send({"kind": "state", "state": self.full_state()})
        if "ask" in message:
            self.send({"kind": "answer", "ask": message["ask"], "ok": True})

    def _bars(self, live: Live, message: Json, began: float | None) -> Json:
        """The bars of the timeline, by card."""
        card_of = self._fold.card_of
        return {"bars": bars_json([replace(bar, node=card_of[bar.node]) for bar in live.timeline().bars])}

    def _of_table(self, question: Callable[[Json, int], Json]) -> Question:
        """A question about the rows, at the moment that the page shows."""
        return lambda live, message, began: question(message, self._overview.sequence)

    def _renewed(self, live: Live, message: Json, began: float | None) -> Json:
        """The still picture, if the page's notebook holds an older one."""
        with self._lock:
            return {} if message.get("mark") == self._still_mark else {"html": self._picture()}

    def _reply(self, question: Question, message: Json) -> Json:
        try:
            return {"ok": True} | question(self.live, message, self._overview.started)
        except Exception as error:
            return {"ok": False} | words(error)

    def _obey(self, control: Callable[[Live, Json], object], message: Json) -> Json:
        try:
            control(self.live, message)
        except DecisionRefused as error:
            return {"ok": False} | words(error) | self._how_it_stands(message)
        except Exception as error:
            return {"ok": False} | words(error)
        self.follow()
        return {"ok": True}

    def _how_it_stands(self, message: Json) -> Json:
        """Whether a review still waits after a refused decision, and the decision that was made; the page first gets the missed
        state."""
        try:
            self._see(self.live.overview())
            self.send({"kind": "state", "state": self.full_state()})
            job = self.live.inspect(str(message["node"]), item=str(message["item"]))
        except Exception:
            # The refusal itself is answered in any case.
            return {}
        decision = job.decision and decision_json(job.decision, self._overview.started)
        return {"waits": job.state is JobState.WAITING, "decision": decision}


def _serve_while_busy(comm: Any) -> None:
    """Serve clicks on a subshell thread while a cell runs, as ipykernel 7.0 to 7.3 do by themselves; 7.4 sends them to the
    subshell that last used the comm, which is the busy one."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
