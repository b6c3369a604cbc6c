"""Progress with and without a terminal."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from scripted_run import ScriptedRun, node_overview, overview_of, review_of, summer_plan
from xtyl_engine.queries.views import Overview
from xtyl_nb.cli.progress import watch

PLAN = summer_plan()
DONE = {id: node_overview(completed=2) for id in PLAN.nodes}
WAITING = {"headline": node_overview(completed=2), "pick": node_overview(waiting=1, blocked=1)}


class Hasty(ScriptedRun):
    """Moves on by itself at each wait."""

    def _changed(self, after: int, timeout: float) -> bool:
        self.step()
        return True


class Interrupted(ScriptedRun):
    """A run during whose display Ctrl-C is pressed."""

    def _changed(self, after: int, timeout: float) -> bool:
        raise KeyboardInterrupt


def hasty(*overviews: Overview) -> Hasty:
    return Hasty(PLAN, *overviews)


def watched(live: ScriptedRun, *, terminal: bool) -> str:
    console = Console(file=StringIO(), force_terminal=terminal, width=120, height=40, color_system=None)
    watch(live, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_every_node_with_bar_and_counts() -> None:
    """One line per node: sign, name, bar, done of total, state."""
    text = watched(hasty(overview_of(PLAN), overview_of(PLAN, "completed", nodes=DONE)), terminal=True)
    line = next(line for line in reversed(text.splitlines()) if "headline" in line)
    assert "✓ headline" in line
    assert "━" * 24 in line
    assert "2/2" in line
    assert "completed" in line


def test_a_running_step_says_what_it_prints() -> None:
    """How far its jobs are, and the last line; markup in it is text."""
    running = {"score": node_overview(running=2, printed="[bold]epoch 3", progress_done=3.0, progress_of=20.0)}
    text = watched(hasty(overview_of(PLAN, nodes=running), overview_of(PLAN, "completed", nodes=DONE)), terminal=True)
    assert "3 of 20 · [bold]epoch 3" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_texts_that_were_cut_are_counted(terminal: bool) -> None:
    """A step that is over says how many of its texts `max_tokens` cut."""
    cut = DONE | {"headline": replace(node_overview(completed=2), cut=1200)}
    text = watched(hasty(overview_of(PLAN, "completed", nodes=cut)), terminal=terminal)
    assert (
        "headline: 1,200 cut at max_tokens" if terminal else "headline: completed, 2 / 2, 1,200 cut at max_tokens"
    ) in text


def test_what_waits_is_named() -> None:
    """Reviews are listed with the labels of their rows."""
    waiting = overview_of(PLAN, nodes=WAITING, reviews=(review_of([]),), waiting_for="a person")
    text = watched(hasty(waiting, overview_of(PLAN, "completed", nodes=DONE)), terminal=True)
    assert "waits for a person" in text
    assert "pick: Aurora lamp" in text


def test_without_a_terminal_each_change_of_a_node_is_one_line() -> None:
    """Plain lines, each said once, the run's end last."""
    waiting = overview_of(PLAN, nodes=WAITING, reviews=(review_of([]),))
    lines = watched(hasty(waiting, waiting, overview_of(PLAN, "completed", nodes=DONE)), terminal=False).splitlines()
    assert lines[:3] == ["headline: completed, 2 / 2", "pick: waits for you: Aurora lamp", "summer-launch: running"]
    assert lines.count("headline: completed, 2 / 2") == 1
    assert lines[-1] == "summer-launch: completed: 12 / 12 jobs"


def test_failures_are_said_in_one_line() -> None:
    """A failed node says why, even if its error has several lines."""
    nodes = DONE | {"score": node_overview(failed=2, error="Boom\n  [bold]at line 2")}
    lines = watched(hasty(overview_of(PLAN, "failed", nodes=nodes)), terminal=False).splitlines()
    assert "score: failed, 2 / 2: Boom [bold]at line 2" in lines
    assert lines[-1] == "summer-launch: failed: 12 / 12 jobs, 2 failed"


def test_an_interrupt_ends_the_watching_only() -> None:
    """Ctrl-C says that the run goes on, and how to stop it."""
    live = Interrupted(PLAN, overview_of(PLAN))
    for terminal in (True, False):
        assert "the run goes on. To stop it: xtyl stop run-1" in watched(live, terminal=terminal)
    assert live.controls == []
