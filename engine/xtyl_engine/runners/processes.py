"""What the operating system offers for processes that start processes: to find all that came of one, to kill them, to adopt the
orphans among them, to end with the parent. It decides nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

PROCESSES = Path("/proc")
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
# A process that forks while it is looked for may need another look; one that is frozen does not fork.
_LOOKS = 5


def adopt_orphans() -> None:
    """Become the parent of all that come of this process and lose their own parent, where that is offered."""
    _control(_SET_SUBREAPER, 1)


def end_with_parent() -> None:
    """Let the system kill this process when its parent ends, where that is offered."""
    _control(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            _libc().prctl(option, value, 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    """Found once, by a launcher: each process that it forks needs it at once."""
    return ctypes.CDLL(None)


def kill_all_of(pid: int, *, itself: bool = True) -> None:
    """Kill a process, and with it all that came of it: its children and theirs, also those that left its group or session. The
    process leads a session, and is not waited for yet, so that its number is still its own."""
    for _ in range(_LOOKS):
        found = set(_came_of(pid))
        if itself:
            found.add(pid)
        alive = {each for each in found if _signalled(each, signal.SIGSTOP)}
        if not alive:
            break
        for each in alive:
            _signalled(each, signal.SIGKILL)
    with suppress(OSError):
        if itself:
            os.killpg(pid, signal.SIGKILL)


def _signalled(pid: int, number: signal.Signals) -> bool:
    """Whether a process took a signal; one that has ended and is not waited for yet does not count."""
    with suppress(OSError):
        if _state(pid) not in ("Z", "X"):
            os.kill(pid, number)
            return True
    return False


def _came_of(pid: int) -> Iterator[int]:
    """The processes that came of this one, as far as /proc tells: by parents, and by its session."""
    family: dict[int, list[int]] = {}
    session: list[int] = []
    for name in os.listdir(PROCESSES) if PROCESSES.is_dir() else ():
        if name.isdecimal() and len(fields := _fields(int(name))) > 3:
            family.setdefault(int(fields[1]), []).append(int(name))
            if int(fields[3]) == pid and int(name) != pid:
                session.append(int(name))
    unseen, seen = [pid, *session], {pid}
    while unseen:
        for child in family.get(unseen.pop(), ()):
            if child not in seen:
                seen.add(child)
                unseen.append(child)
    yield from (seen | set(session)) - {pid}


def _state(pid: int) -> str:
    return next(iter(_fields(pid)), "" if PROCESSES.is_dir() else "?")


def _fields(pid: int) -> list[str]:
    """State, parent, group and session, and what follows them."""
    try:
        # The name of the program stands in brackets before them, and may hold any character.
        return (PROCESSES / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
