"""A child that dies is started again, until it has died too often by its own fault."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from subprocess import PIPE

import pytest

from servers import line_of, wait_until
from xtyl_engine.embedded.processes import MOST_DEATHS, Child, GaveUp, OrphanReaper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[OrphanReaper]:
    made = OrphanReaper(1, tmp_path / "lock")
    yield made
    made.close()


def dying(keeper: OrphanReaper, has_worked: Callable[[int], bool]) -> Child:
    return Child("worker", lambda: subprocess.Popen(["false"]), keeper, has_worked)


def test_a_child_that_dies_too_often_is_given_up(keeper: OrphanReaper) -> None:
    """Its deaths at start, or while it has nothing to do, are its own fault."""
    child = dying(keeper, lambda pid: False)
    with pytest.raises(GaveUp, match=f"the worker ended {MOST_DEATHS} times within 60 s, last with status 1"):
        wait_until(lambda: child.tend() and child.restarts > MOST_DEATHS)
    assert child.restarts == MOST_DEATHS


def test_a_child_that_dies_of_its_work_is_started_at_once_and_however_often(keeper: OrphanReaper) -> None:
    """The jobs that ran in it answer for such a death; deaths of its own count as before."""
    asked: list[int] = []

    def has_worked(pid: int) -> bool:
        asked.append(pid)
        return len(asked) < 4 * MOST_DEATHS

    child = dying(keeper, has_worked)
    wait_until(lambda: child.tend() and len(asked) == 3 * MOST_DEATHS)
    assert len(set(asked)) == 3 * MOST_DEATHS
    with pytest.raises(GaveUp):
        wait_until(lambda: child.tend() and child.restarts > 9 * MOST_DEATHS)
    assert child.restarts == 5 * MOST_DEATHS - 1


def test_a_reaper_kills_what_does_not_end_in_time(tmp_path: Path) -> None:
    """Of two workers left behind, the one that ends by itself is let, and the one that ignores its signal is killed."""
    made = OrphanReaper(1, tmp_path / "lock")
    workers = [
        subprocess.Popen(["sh", "-c", f"{what}; echo; read word"], stdin=PIPE, stdout=PIPE, start_new_session=True)
        for what in ("trap 'exit 7' TERM", "trap '' TERM")
    ]
    for worker in workers:
        line_of(worker)
    made.tell("worker", [worker.pid for worker in workers])
    made.close()
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [7, -SIGKILL]
