"""The jobs of a node as plain JSON for the widget's panel: a page of them, one with all its details, and their places in time. It
reads nothing from a back end itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xtyl_engine.events import Event
from xtyl_engine.queries.views import Attempt, Decision, JobDetail, JobPage
from xtyl_engine.states import End
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.timeline import Bar, lanes
from xtyl_nb.drawing.words import Json, clip, price, progress
from xtyl_nb.widget.state import asked_lines

LINE_SHOWN = 160
TEXT_SHOWN = 20_000
SMALL_PIXELS, LARGE_PIXELS = 64, 384
IMAGES_SHOWN = 12
BARS_SHOWN = 150
PRESSING = ("completed", "skipped", "stopped", "ready", "running", "waiting", "quarantined", "failed")


def page_json(page: JobPage, began: float | None) -> Json:
    """A page of jobs; times are seconds since the run began."""
    return {"total": page.total, "start": page.start, "jobs": [_line(job, began) for job in page.jobs]}


def detail_json(job: JobDetail, began: float | None) -> Json:
    """One job. Its parameters have their Jinja rendered."""
    return _line(job, began) | {
        "asked": asked_lines(job.asked, TEXT_SHOWN),
        "text": clip(job.text, TEXT_SHOWN),
        "images": _images(job.images[:IMAGES_SHOWN], LARGE_PIXELS),
        **{name: getattr(job, name) for name in ("cached", "provider", "model", "tokens", "cost", "error_class")},
        "paid": job_money(job),
        "warning": job.warning,
        "error": clip(job.error, TEXT_SHOWN),
        "traceback": clip(job.traceback, TEXT_SHOWN),
        "attempts": [
            {
                "number": attempt.number,
                "because": attempt.because,
                "start": attempt.started - (began or attempt.started),
                "seconds": None if attempt.finished is None else attempt.finished - attempt.started,
                "outcome": attempt.outcome or "running",
                "error": clip(attempt.error, LINE_SHOWN),
                "printed": _end(attempt.printed),
                "answer": clip(attempt.answer, TEXT_SHOWN),
                "request": " · ".join(filter(None, (attempt.request_id, *attempt_money(attempt)))),
                "notes": list(attempt.notes),
                "reached": None if attempt.done is None else progress(attempt.done, attempt.of),
            }
            for attempt in job.attempts
        ],
        "decision": job.decision and decision_json(job.decision, began),
    }


def job_money(job: JobDetail) -> str:
    """What a job used and cost, in words: its tokens, dollars, where the price comes from, what is not known."""
    read, cached, written, drawn = job.input_tokens, job.cached_tokens, job.output_tokens, job.image_tokens
    kinds = {"in": read, "of these cached": cached, "out": written, "of an image": drawn}
    told = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    tokens = f"{', '.join(told)} tokens" if told else f"{job.tokens:,} tokens" if job.tokens is not None else ""
    cost = "" if job.cost is None else "$0" if job.cost == 0 else price(job.cost)
    unknown = f"{job.unpriced} of unknown cost" if job.unpriced else ""
    saved = f"{price(job.saved)} saved" if job.saved else ""
    return " · ".join(part for part in (tokens, cost, unknown, saved, job.price if job.cost else "") if part)


def attempt_money(attempt: Attempt) -> list[str]:
    """What an attempt cost, where that was told."""
    if attempt.cost_kind == "unknown":
        return ["of unknown cost"]
    return [] if attempt.cost is None or not attempt.cost else [price(attempt.cost)]


def decision_json(decision: Decision, began: float | None) -> Json:
    """A decision: the person, the choice, and the time."""
    return {
        "action": {"approve": "approved", "reject": "rejected"}.get(decision.action, decision.action),
        "by": clip(decision.by, 80),
        "at": max(0.0, decision.time - (began or decision.time)),
        "comment": clip(decision.comment, TEXT_SHOWN),
        "choice": list(decision.choice),
        "edits": [
            {"node": node, "before": clip(before, TEXT_SHOWN), "after": clip(after, TEXT_SHOWN)}
            for node, before, after in decision.edits
        ],
    }


def event_json(event: Event, began: float | None) -> Json:
    """One event, as a line of the log."""
    says = ", ".join(f"{name} {value}" for name, value in event.data.items())
    return {
        "number": event.sequence,
        "at": max(0.0, event.time - (began or event.time)),
        "kind": event.kind.value.replace("_", " "),
        "where": "" if event.node is None else f"{event.node} {event.item or ''}".strip(),
        "says": clip(says, LINE_SHOWN),
    }


def bars_json(bars: Sequence[Bar]) -> Json:
    """For each node, the bars of its jobs: start, end, state, lane; simultaneous jobs lie in lanes below each other. Jobs in one
    lane that are too short to tell apart share a bar, which looks like the most pressing of them."""
    least = max((bar.end for bar in bars), default=0.0) / BARS_SHOWN
    by_node: dict[str, list[Bar]] = {}
    for bar in sorted(bars, key=lambda bar: (bar.start, bar.end)):
        by_node.setdefault(bar.node, []).append(bar)
    return {node: _drawn(of_node, least) for node, of_node in by_node.items()}


def _drawn(bars: Sequence[Bar], least: float) -> list[list[Any]]:
    drawn: list[list[Any]] = []
    last: dict[int, list[Any]] = {}
    for bar, lane in zip(bars, lanes(bars), strict=True):
        state = bar.state if bar.state in PRESSING else "completed"
        before = last.get(lane)
        if before is not None and max(bar.start - before[1], before[1] - before[0], bar.end - bar.start) < least:
            before[1:3] = max(before[1], bar.end), max(before[2], state, key=PRESSING.index)
        else:
            last[lane] = [bar.start, bar.end, state, lane]
            drawn.append(last[lane])
    # A running job has no end yet: the page draws it up to its clock.
    return [[start, None if state in ("running", "waiting") else end, state, lane] for start, end, state, lane in drawn]


def _line(job: JobDetail, began: float | None) -> Json:
    # The first line of an error says what is wrong; the first line of a result, such as a dict, may be a bracket.
    words = job.error.strip().partition("\n")[0] if job.error else " ".join((job.text or "")[: 4 * LINE_SHOWN].split())
    return {
        "item": job.item,
        "label": clip(job.label, 80),
        # A review that rejected everything is completed, but a person looks for its rejection.
        "state": "rejected" if job.because == End.REJECTED else job.state.value,
        "start": None if job.started is None else job.started - (began or job.started),
        "end": None if job.finished is None else job.finished - (began or job.finished),
        "tries": job.attempts_made,
        "line": clip(words, LINE_SHOWN) or None,
        "thumb": next(iter(_images(job.images[:1], SMALL_PIXELS)), None),
    }


def _end(text: str | None) -> str | None:
    """As much of the end of a text as the panel shows."""
    if not text or len(text) <= TEXT_SHOWN:
        return text or None
    return f"… run.logs() shows all\n{text[-TEXT_SHOWN:]}"


def _images(paths: tuple[str, ...], size: int) -> list[str]:
    return [image for path in paths if (image := thumbnail(path, size))]
