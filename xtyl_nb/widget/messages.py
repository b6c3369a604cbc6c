"""The questions and orders that a page may send about a run. Messages come from outside: anything invalid in them raises, and the
widget answers with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xtyl_engine.errors import DecisionRefused, WaitTimeout, WorkflowException
from xtyl_engine.queries.views import JobPage, Option
from xtyl_nb.drawing.displayable import Live
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.words import Json
from xtyl_nb.widget.job_panel import detail_json, event_json, page_json
from xtyl_nb.widget.state import REVIEWS_SHOWN, mark, review_key, reviews_json

MOST_JOBS = 2_000
MOST_REVIEWS = 500
PAGE_PIXELS = 1600
Question = Callable[[Live, Json, float | None], Json]


def _page(live: Live, message: Mapping[str, Any], began: float | None) -> Json:
    """Jobs from `start` on, at least `count` of them if there are as many, so that a shown list does not get shorter."""
    node, start, count = str(message["node"]), int(message.get("start") or 0), int(message.get("count") or 1)
    page = live._job_page(node, start)
    jobs, seen = {job.item: job for job in page.jobs}, len(page.jobs)
    while page.jobs and seen < min(count, MOST_JOBS):
        page = live._job_page(node, start + seen)
        jobs |= {job.item: job for job in page.jobs}
        seen += len(page.jobs)
    return page_json(JobPage(total=page.total, start=start, jobs=tuple(jobs.values())), began)


def _waiting(live: Live, message: Mapping[str, Any], began: float | None) -> Json:
    """The open reviews after a given one, in order; with the options that the page does not have yet."""
    node, _, item = str(message.get("after") or "").rpartition("/")
    found = live._reviews_after((node, item) if node else None, int(message.get("count") or REVIEWS_SHOWN))
    has = dict(message.get("have") or {})
    news = [each for each in found if has.get(review_key(each)) != mark(each.options)]
    return {"keys": [review_key(each) for each in found], "reviews": reviews_json(news)}


def _job(live: Live, message: Mapping[str, Any], began: float | None) -> Json:
    return {"job": detail_json(live.inspect(str(message["node"]), item=str(message["item"])), began)}


def _events(live: Live, message: Mapping[str, Any], began: float | None) -> Json:
    return {"events": [event_json(event, began) for event in reversed(live._recent_events())]}


def _image(live: Live, message: Mapping[str, Any], began: float | None) -> Json:
    """An image in the largest size that a page can use: the n-th image of a job, or the image of an option of an open review."""
    node, item, option = str(message["node"]), str(message["item"]), message.get("option")
    if option is None:
        images = dict(enumerate(live.inspect(node, item=item).images))
        path = images.get(int(message["image"]))
    else:
        options = {each.index: each.image for each in _options(live, node, item)}
        path = options.get(int(option))
    return {"image": thumbnail(live._original(path), PAGE_PIXELS) if path else None}


def _options(live: Live, node: str, item: str) -> Sequence[Option]:
    after = None
    while page := live._reviews_after(after, MOST_REVIEWS):
        for review in page:
            if (review.node, review.item) == (node, item):
                return review.options
        after = (page[-1].node, page[-1].item)
    return ()


QUESTIONS: Mapping[str, Question] = {
    "jobs": _page, "job": _job, "events": _events, "reviews": _waiting, "image": _image,
}  # fmt: skip


def _approve(live: Live, message: Mapping[str, Any]) -> None:
    edits = {
        int(index): {str(name): str(one) for name, one in text.items()} if isinstance(text, dict) else str(text)
        for index, text in dict(message.get("edits") or {}).items()
    }
    choose = [int(index) for index in message["choose"]]
    comment = str(message.get("comment") or "") or None
    node, item = str(message["node"]), str(message["item"])
    with _at_once(node):
        live.approve(node, choose=choose, edits=edits or None, comment=comment, item=item, timeout=0)


def _reject(live: Live, message: Mapping[str, Any]) -> None:
    node, item = str(message["node"]), str(message["item"])
    with _at_once(node):
        live.reject(node, reason=str(message.get("reason") or ""), item=item, timeout=0)


@contextmanager
def _at_once(node: str) -> Iterator[None]:
    """Refuse a decision that would have to wait for its review: waiting, as in Python, would block the kernel here."""
    try:
        yield
    except WaitTimeout as error:
        raise DecisionRefused(f"{node} does not wait for a decision now", hint="Wait: it may open again.") from error


def _another(live: Live, message: Mapping[str, Any]) -> None:
    live.another(str(message["node"]), comment=str(message.get("comment") or "") or None, item=str(message["item"]))


CONTROLS: Mapping[str, Callable[[Live, Json], object]] = {
    "pause": lambda live, message: live.pause(),
    "resume": lambda live, message: live.resume(),
    "stop": lambda live, message: live.stop(),
    "retry": lambda live, message: live.retry(),
    "approve": _approve,
    "reject": _reject,
    "another": _another,
}


def words(error: Exception) -> Json:
    """The words of an error for a page."""
    if isinstance(error, WorkflowException):
        return {"error": error.message, "hint": error.hint}
    return {"error": f"{type(error).__name__}: {error}.", "hint": None}
