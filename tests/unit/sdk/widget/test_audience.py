"""A widget is followed while a page may be open, and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from IPython.core.events import EventManager, available_events

from scripted_run import ScriptedRun, overview_of, summer_plan
from servers import wait_until
from xtyl_engine.queries.views import Overview
from xtyl_nb.widget.audience import SILENCE_SECONDS, Audience, Cells
from xtyl_nb.widget.follower import Follower

PLAN = summer_plan()
DEADLINE_SECONDS = 20


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_page_that_is_heard_of_is_there_and_one_that_is_not_is_gone() -> None:
    """Each report keeps it for a quarter of an hour; a new widget waits as long for its first page."""
    clock = Clock()
    audience = Audience(Cells(clock), clock)
    assert audience.is_there()
    clock.wait(SILENCE_SECONDS - 1)
    audience.hear("a")
    clock.wait(SILENCE_SECONDS - 1)
    assert audience.is_there()
    clock.wait(2)
    assert not audience.is_there()
    audience.hear("a")
    assert audience.is_there()


def test_the_last_page_to_close_is_known_beside_tabs_that_said_nothing() -> None:
    """A tab that vanished long ago does not count."""
    clock = Clock()
    audience = Audience(Cells(clock), clock)
    audience.hear("vanished")
    clock.wait(SILENCE_SECONDS + 1)
    for view in ("a", "b"):
        audience.hear(view)
    assert not audience.leave("a")
    assert audience.leave("b")


def test_a_cell_that_runs_for_hours_is_no_silence() -> None:
    """On ipykernel 6 no page is heard meanwhile; the quarter of an hour begins at the end of the cell."""
    clock, events = Clock(), EventManager(None, available_events)  # type: ignore[arg-type]
    cells = Cells(clock)
    audience = Audience(cells, clock)
    cells.listen(events)
    clock.wait(10 * SILENCE_SECONDS)
    assert audience.is_there()
    events.trigger("post_execute")
    clock.wait(SILENCE_SECONDS - 1)
    assert audience.is_there()
    clock.wait(2)
    assert not audience.is_there()
    events.trigger("pre_execute")
    assert audience.is_there()


def follower(live: ScriptedRun, seen: Callable[[Overview], None], is_watched: Callable[[], bool]) -> Follower:
    return Follower(live, seen=seen, failed=lambda error: None, is_watched=is_watched)


def test_a_run_without_a_page_is_not_followed() -> None:
    """The thread ends although the run waits; a later start shows the present state."""
    live = ScriptedRun(PLAN, overview_of(PLAN), overview_of(PLAN, "paused"))
    seen: list[Overview] = []
    watched = threading.Event()
    watched.set()
    follow = follower(live, seen.append, watched.is_set)
    follow.start()
    wait_until(lambda: seen)
    watched.clear()
    assert follow.join(DEADLINE_SECONDS)
    live.step()
    assert [each.state for each in seen] == ["running"]
    watched.set()
    follow.start()
    wait_until(lambda: len(seen) > 1)
    assert seen[-1].state == "paused"
    follow.stop()
    assert follow.join(DEADLINE_SECONDS)
