"""The rows of a run for the page: a matrix of rows by steps, and what came of each row. A run is read once for each of its
moments that a page looks at; only the cells that are shown are drawn.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from xtyl_engine.errors import LimitExceeded
from xtyl_engine.nodes.review import MOST_SHOWN
from xtyl_engine.queries.executions import Result, Snapshot
from xtyl_engine.queries.overview import readable_label
from xtyl_engine.states import End, JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact, kind_of_file, with_references
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan, PlanNode, head, place_of, shared_axes
from xtyl_engine.workflow.unfolding import is_unfolded
from xtyl_nb.drawing.displayable import Live
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.words import Json, clip

MOST_ROWS = 200
MOST_FACTS, FACT_SHOWN = 3, 40
LINE_SHOWN, TEXT_SHOWN = 120, 4_000
CELL_THUMBS, CELL_PIXELS, CARD_PIXELS = 3, 64, 384
MOST_FILE_BYTES = 32 * 1024 * 1024
# A row stands as its most pressing job does.
PRESSING = (
    JobState.FAILED,
    JobState.QUARANTINED,
    JobState.WAITING,
    JobState.RUNNING,
    JobState.STOPPED,
    JobState.READY,
    JobState.BLOCKED,
)
_RANKS = {state: rank for rank, state in enumerate(PRESSING)}


class RunTable:
    """The rows of one run. Its pages may be asked for in any thread, one at a time."""

    def __init__(self, live: Live):
        self._live = live
        self._moment: int | None = None
        self._table: _RowsNow | None = None

    def rows(self, message: Mapping[str, Any], moment: int) -> Json:
        """Rows from `start` on, of those in the state `show` that have the text `find` in them, with a cell for each step."""
        table = self._at(moment)
        found = table.matching(str(message.get("show") or ""), str(message.get("find") or ""))
        start, count = int(message.get("start") or 0), min(int(message.get("count") or MOST_ROWS), MOST_ROWS)
        shown = found[start : start + count]
        table.prepare(shown)
        return {
            "total": len(found),
            "start": start,
            "counts": table.counts,
            "columns": table.facts_shown,
            "steps": [node.id for node in table.steps],
            "rows": [table.line(row) for row in shown],
        }

    def results(self, message: Mapping[str, Any], moment: int) -> Json:
        """What came of the rows from `start` on: those that have something to show."""
        table = self._at(moment)
        start, count = int(message.get("start") or 0), min(int(message.get("count") or MOST_ROWS), MOST_ROWS)
        shown = range(start, min(start + count, len(table.labels)))
        table.prepare(shown)
        return {"total": len(table.labels), "start": start, "results": [table.card(row) for row in shown]}

    def row(self, message: Mapping[str, Any], moment: int) -> Json:
        """What a person knows of the row of a review: its columns, and for each option the job that made it."""
        node, item = str(message["node"]), str(message["item"])
        table, review = self._at(moment), self._live._plan.nodes[node]
        return {
            "facts": table.facts(int(item.partition(".")[0]), review.config.get("show")),
            "sources": [[job.node, job.item] for job in table.options(review, item)],
        }

    def file(self, message: Mapping[str, Any], moment: int) -> Json:
        """An image of a row's result as it came, as a data URI."""
        path = self._at(moment).images(int(message["row"]))[int(message["place"])]
        file = Path(self._live._original(path))
        if (size := file.stat().st_size) > MOST_FILE_BYTES:
            raise LimitExceeded(f"the file has {size:,} bytes", hint=f"Find it at {file}, or save all with run.save().")
        kind = file.suffix.removeprefix(".").replace("jpg", "jpeg")
        return {"name": file.name, "data": f"data:image/{kind};base64,{b64encode(file.read_bytes()).decode()}"}

    def _at(self, moment: int) -> _RowsNow:
        if self._table is None or self._moment != moment:
            self._moment, self._table = moment, _RowsNow(self._live._snapshot(), self._live._plan, self._live._store)
        return self._table


class _RowsNow:
    """The rows at one moment."""

    def __init__(self, snapshot: Snapshot, plan: Plan, store: ArtifactStore):
        self._plan, self._store = plan, store
        self.labels = [readable_label(label, values) for label, values in snapshot.rows]
        self._values = [values for _, values in snapshot.rows]
        self.steps = [node for id, node in plan.nodes.items() if not is_unfolded(id)]
        self._jobs: dict[tuple[int, str], list[Result]] = {}
        pressing = [len(PRESSING)] * len(self.labels)
        rejected = set()
        for result in snapshot.results:
            row = int(result.item.partition(".")[0])
            self._jobs.setdefault((row, result.node), []).append(result)
            pressing[row] = min(pressing[row], _RANKS.get(result.state, len(PRESSING)))
            if result.because == End.REJECTED:
                rejected.add(row)
        for jobs in self._jobs.values():
            if len(jobs) > 1:
                jobs.sort(key=lambda each: place_of(each.item))
        self.states = [_row_state(rank, row in rejected) for row, rank in enumerate(pressing)]
        last = [node for node in self.steps if node.kind.delivers] or [n for n in self.steps if not n.children]
        self._last: Sequence[PlanNode] = last

    @cached_property
    def counts(self) -> Json:
        """How many rows there are in each state."""
        names = ("failed", "waiting", "rejected", "ready")
        return {"": len(self.states)} | {name: self.states.count(name) for name in names}

    @cached_property
    def facts_shown(self) -> list[str]:
        """The first columns with short values, besides the label."""
        first = self._values[:MOST_ROWS]
        names = dict.fromkeys(name for values in first for name in values)
        short = [name for name in names if all(_is_short(values.get(name)) for values in first)]
        labels = self.labels[:MOST_ROWS]
        return [name for name in short if [_words(values.get(name)) for values in first] != labels][:MOST_FACTS]

    def facts(self, row: int, names: Sequence[str] | None) -> list[list[str]]:
        """The names and values of some columns of a row, or of all that are short."""
        values = self._values[row]
        shown = [name for name in values if _is_short(values[name])][:MOST_SHOWN] if names is None else names
        return [[name, clip(_words(values.get(name)), LINE_SHOWN) or ""] for name in shown]

    def options(self, review: PlanNode, item: str) -> list[Result]:
        """The jobs that made the options of a review, in their order."""
        made = self._of(int(item.partition(".")[0]), str(review.config["of"]))
        below = shared_axes(self._plan.nodes[str(review.config["of"])].axes, review.axes)
        return [job for job in made if job.state is JobState.COMPLETED and head(job.item, below) == head(item, below)]

    def matching(self, show: str, find: str) -> list[int]:
        """The rows in a state that have a text in them, in whatever case."""
        rows = [row for row, state in enumerate(self.states) if show in ("", state)]
        wanted = find.strip().casefold()
        return [row for row in rows if wanted in self._texts[row]] if wanted else rows

    def prepare(self, rows: Iterable[int]) -> None:
        """Prepare to read the files of some rows."""
        jobs = (job for row in rows for node in self.steps for job in self._of(row, node.id))
        self._store.prepare(job.output for job in jobs if job.output is not None)

    def line(self, row: int) -> Json:
        """One row of the matrix."""
        return {
            "row": row,
            "label": self.labels[row],
            "facts": [_words(self._values[row].get(name)) for name in self.facts_shown],
            "state": self.states[row],
            "cells": [self._cell(row, node) for node in self.steps],
        }

    def card(self, row: int) -> Json:
        """What came of one row."""
        texts = list(self._result_texts(row))
        failed = next((job for node in self.steps for job in self._of(row, node.id) if job.error), None)
        is_lost = failed is not None and failed.state is not JobState.COMPLETED
        return {
            "row": row,
            "label": self.labels[row],
            "facts": [_words(self._values[row].get(name)) for name in self.facts_shown],
            "state": self.states[row],
            "title": clip(texts[0][1], LINE_SHOWN) if texts else None,
            "texts": [[name, clip(text, TEXT_SHOWN)] for name, text in texts],
            "images": [image for path in self.images(row)[:CELL_THUMBS] if (image := thumbnail(path, CARD_PIXELS))],
            "by": self._decided_by(row),
            "error": {"node": failed.node, "item": failed.item, "says": clip(failed.error, LINE_SHOWN)}
            if failed is not None and is_lost
            else None,
        }

    def images(self, row: int) -> list[str]:
        """The paths of the images in a row's result."""
        found = (path for node in self._last for value in self._outputs(row, node.id) for path in self._paths(value))
        return list(dict.fromkeys(found))

    @cached_property
    def _texts(self) -> list[str]:
        """All words of each row, to search in."""
        return [
            " ".join(
                [
                    label,
                    *(_words(value) for value in self._values[row].values()),
                    *(self._said(job) for node in self.steps for job in self._of(row, node.id)),
                ]
            ).casefold()
            for row, label in enumerate(self.labels)
        ]

    def _of(self, row: int, node: str) -> list[Result]:
        return self._jobs.get((row, node), [])

    def _cell(self, row: int, node: PlanNode) -> Json:
        jobs = self._of(row, node.id)
        states = {job.state for job in jobs}
        pressing = next((state for state in PRESSING if state in states), None)
        shown = next((job for job in jobs if job.state is pressing), None) or next(
            (job for job in jobs if job.state is JobState.COMPLETED), jobs[0] if jobs else None
        )
        thumbs = [path for job in jobs for value in self._value(job) for path in self._paths(value)][:CELL_THUMBS]
        return {
            "state": self._word(shown),
            "text": clip(self._said(shown), LINE_SHOWN) if shown else None,
            "thumbs": [image for path in thumbs if (image := thumbnail(path, CELL_PIXELS))],
            "more": max(0, len(jobs) - 1),
            "item": shown and shown.item,
        }

    @staticmethod
    def _word(job: Result | None) -> str:
        if job is None:
            return "skipped"
        if job.because == End.REJECTED and job.state is JobState.COMPLETED:
            return "rejected"
        return "failed" if job.state is JobState.QUARANTINED else str(job.state)

    def _said(self, job: Result) -> str:
        """The words of one job: its error's first line, or its result."""
        if job.error and job.state is not JobState.COMPLETED:
            return job.error.strip().partition("\n")[0]
        return next((self._main(job.node, value) for value in self._value(job)), "")

    def _main(self, node: str, value: Mapping[str, Any]) -> str:
        if "rejected" in value and self._plan.nodes[node].kind.waits:
            return str(value["rejected"] or "rejected")
        return _words(self._plan.main_value(node, value))

    def _value(self, job: Result) -> Iterator[Mapping[str, Any]]:
        if job.state is JobState.COMPLETED and job.output is not None:
            yield unspill(job.output, self._store)

    def _outputs(self, row: int, node: str) -> Iterator[Mapping[str, Any]]:
        for job in self._of(row, node):
            if job.because != End.REJECTED:
                yield from self._value(job)

    def _result_texts(self, row: int) -> Iterator[tuple[str, str]]:
        for node in self._last:
            for value in self._outputs(row, node.id):
                if node.kind.delivers:
                    yield from ((name, words) for name, each in value.items() if (words := _words(each)))
                elif words := self._main(node.id, value):
                    yield node.id, words

    def _decided_by(self, row: int) -> str | None:
        people = (value.get("by") for node in self.steps if node.kind.waits for value in self._outputs(row, node.id))
        return next((str(person) for person in people if person), None)

    def _paths(self, value: Any) -> Iterator[str]:
        if is_artifact(value):
            if str(value.get("media_type", "")).startswith("image/"):
                yield str(self._store.path(value))
            return
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for part in parts:
            yield from self._paths(part)


def _row_state(rank: int, is_rejected: bool) -> str:
    """The state of a row with this most pressing job."""
    if rank == len(PRESSING):
        return "rejected" if is_rejected else "ready"
    return "failed" if PRESSING[rank] is JobState.QUARANTINED else str(PRESSING[rank])


def _words(value: Any) -> str:
    """A value in words; an image in none, for it is shown."""
    if value is None or is_artifact(value):
        return "" if value is None or str(value.get("media_type", "")).startswith("image/") else kind_of_file(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " · ".join(filter(None, map(_words, value)))
    return json.dumps(with_references(value, kind_of_file), ensure_ascii=False, default=str)


def _is_short(value: Any) -> bool:
    return not isinstance(value, (dict, list)) and len(_words(value)) <= FACT_SHOWN
