"""The names of worker processes, and what their locks say of them."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from owner_process import OwnerProcess
from xtyl_engine.values.locks import holder
from xtyl_engine.worker.owners import Owners, Pulse, lives

Start = Callable[[Path], OwnerProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts other processes that own claims; they end with the test."""
    started: list[OwnerProcess] = []

    def make(home: Path) -> OwnerProcess:
        started.append(OwnerProcess(home))
        return started[-1]

    yield make
    for each in started:
        each.kill()


def test_a_process_lives_until_it_is_killed(tmp_path: Path, start: Start) -> None:
    """Its lock is held while it works and while it is frozen, and free as soon as it is killed, though a child of it lives."""
    owners, other = Owners(tmp_path), start(tmp_path)
    assert owners.pulse(other.name) is Pulse.ALIVE
    child = other.fork()
    os.kill(other.pid, signal.SIGSTOP)
    assert owners.pulse(other.name) is Pulse.ALIVE
    other.kill()
    os.kill(child, 0)
    assert owners.pulse(other.name) is Pulse.ENDED
    os.kill(child, signal.SIGKILL)


def lock_of(home: Path, name: str) -> Path:
    return home / "owners" / f"{name.split(':')[2]}.lock"


def test_a_lock_made_anew_leaves_no_handle_open(tmp_path: Path) -> None:
    """However often its file is removed, a process has one handle of its lock."""
    owners = Owners(tmp_path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        lock_of(tmp_path, owners.name).unlink()
        owners.keep()
    assert lock_of(tmp_path, owners.name).exists()
    assert len(os.listdir("/dev/fd")) == before


def test_a_process_that_reads_its_lock_lives(tmp_path: Path, start: Start) -> None:
    """A step that reads the files of its home gives the lock up: its pid says that it lives, and the next beat takes it again."""
    owners, other = Owners(tmp_path), start(tmp_path)
    other.do("read")
    assert holder(lock_of(tmp_path, other.name)) is None
    assert owners.pulse(other.name) is Pulse.ALIVE
    other.do("keep")
    assert holder(lock_of(tmp_path, other.name)) == other.pid
    other.do("keep")
    other.kill()
    assert owners.pulse(other.name) is Pulse.ENDED


def test_a_removed_lock_is_made_anew_by_the_next_beat(tmp_path: Path, start: Start) -> None:
    """Until then its leases alone count."""
    owners, other = Owners(tmp_path), start(tmp_path)
    other.do("remove")
    assert owners.pulse(other.name) is Pulse.UNKNOWN
    other.do("keep")
    assert owners.pulse(other.name) is Pulse.ALIVE
    other.kill()
    assert owners.pulse(other.name) is Pulse.ENDED


def test_a_free_lock_alone_is_known_of_a_process_among_other_pids(tmp_path: Path, start: Start) -> None:
    """A pid from another container, or of a release that wrote none, says nothing; one that another process has now, that it
    ended."""
    owners, other = Owners(tmp_path), start(tmp_path)
    other.do("read")
    lock = lock_of(tmp_path, other.name)
    pid, began, space = lock.read_text().split()
    lock.write_text(f"{pid} {began} pid:[1]")
    assert owners.pulse(other.name) is Pulse.FREE
    lock.write_text("")
    assert owners.pulse(other.name) is Pulse.FREE
    assert lives(tmp_path, other.name) is None
    lock.write_text(f"{pid} {began}1 {space}")
    assert owners.pulse(other.name) is Pulse.ENDED


def test_nothing_is_known_of_those_who_cannot_be_asked(tmp_path: Path, start: Start) -> None:
    """An owner of another boot, of another home, of the release before, or with a senseless name is left to its lease."""
    owners, elsewhere = Owners(tmp_path / "here"), start(tmp_path / "there")
    here = start(tmp_path / "here").name
    host, pid, word, boot = here.split(":")
    for name in (
        elsewhere.name,
        f"{host}:{pid}:{word}:{boot[::-1]}",
        f"{host}:{pid}:{word}",
        f"{host}:{pid}:../x:{boot}",
        "",
        ":::",
    ):
        assert owners.pulse(name) is Pulse.UNKNOWN
    assert owners.pulse(here) is Pulse.ALIVE


def test_a_name_says_where_its_process_is(tmp_path: Path) -> None:
    """Host and process come first, as in the names of the release before, and no two names are alike."""
    first, second = Owners(tmp_path), Owners(tmp_path)
    assert first.name.split(":")[1] == second.name.split(":")[1] == str(os.getpid())
    assert first.name != second.name


def test_locks_of_ended_processes_are_removed(tmp_path: Path, start: Start) -> None:
    """Those stay of processes that live, and of ended ones whose jobs are not put back yet."""
    gone, missed, living = (start(tmp_path) for _ in range(3))
    gone.kill()
    missed.kill()
    owners = Owners(tmp_path)
    owners.tidy(lambda: [missed.name, "worker-of-another-kind"])
    pulses = [owners.pulse(each.name) for each in (gone, missed, living)]
    assert pulses == [Pulse.UNKNOWN, Pulse.ENDED, Pulse.ALIVE]


def test_a_home_that_takes_no_locks_is_said_and_does_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The name then promises no lock, and the log says what follows from that."""
    (tmp_path / "owners").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, "xtyl"):
        owners = Owners(tmp_path)
    assert len(owners.name.split(":")) == 3
    assert "noticed when its leases run out" in caplog.text
    assert owners.pulse(owners.name) is Pulse.UNKNOWN
    owners.tidy(list)
