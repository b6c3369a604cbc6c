"""Jobs seen closely, as plain JSON for the widget's panel: a page of a node's jobs, and one job with all that is known of it."""

from __future__ import annotations

from xtyl_engine.events import Event
from xtyl_engine.overview import JobDetail, JobPage
from xtyl_nb.thumbnail import thumbnail
from xtyl_nb.view import Json, asked_lines, clip

LINE_SHOWN = 160
TEXT_SHOWN = 20_000
SMALL_PIXELS, LARGE_PIXELS = 64, 384
IMAGES_SHOWN = 12


def page_json(page: JobPage, began: float | None) -> Json:
    """A page of jobs; times are seconds since the run began."""
    return {"total": page.total, "start": page.start, "jobs": [_line(job, began) for job in page.jobs]}


def detail_json(job: JobDetail, began: float | None) -> Json:
    """One job. What it was asked comes with its templates filled in."""
    return _line(job, began) | {
        "asked": asked_lines(job.asked, TEXT_SHOWN),
        "text": clip(job.text, TEXT_SHOWN),
        "images": _images(job.images[:IMAGES_SHOWN], LARGE_PIXELS),
        "cached": job.cached,
        "provider": job.provider,
        "model": job.model,
        "tokens": job.tokens,
        "cost": job.cost,
        "error": clip(job.error, TEXT_SHOWN),
        "error_class": job.error_class,
        "traceback": clip(job.traceback, TEXT_SHOWN),
        "attempts": [
            {
                "number": attempt.number,
                "because": attempt.because,
                "start": attempt.started - (began or attempt.started),
                "seconds": None if attempt.finished is None else attempt.finished - attempt.started,
                "outcome": attempt.outcome or "running",
                "error": clip(attempt.error, LINE_SHOWN),
            }
            for attempt in job.attempts
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


def _line(job: JobDetail, began: float | None) -> Json:
    words = job.error or job.text
    return {
        "item": job.item,
        "label": clip(job.label, 80),
        "state": job.state.value,
        "start": None if job.started is None else job.started - (began or job.started),
        "end": None if job.finished is None else job.finished - (began or job.finished),
        "tries": job.attempts_made,
        "line": clip(words.strip().splitlines()[0] if words and words.strip() else None, LINE_SHOWN),
        "thumb": next(iter(_images(job.images[:1], SMALL_PIXELS)), None),
    }


def _images(paths: tuple[str, ...], size: int) -> list[str]:
    return [image for path in paths if (image := thumbnail(path, size))]
