"""What the operating system says of the machine: which boot this is, how long ago it was, how many processors and how much memory
this process may use, by the limits of its container, and who is at the other end of a socket. It measures only; others decide
what to make of it.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
BOOT = PROCESSES / "sys/kernel/random/boot_id"
ASK_SECONDS = 5.0
# macOS has no such name; there CLOCK_MONOTONIC counts sleep, and `time.monotonic()` is another clock, which does not.
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_id() -> str:
    """A name for the time from this boot of the machine to the next, alike for all its processes; empty if there is none."""
    return _asked("sysctl", "-n", "kern.bootsessionuuid") if sys.platform == "darwin" else _text(BOOT)


def since_boot() -> float:
    """Seconds since the machine started, with those in which it was suspended. No clock that is set moves it."""
    return time.clock_gettime(_SINCE_BOOT)


def process_space() -> str:
    """A name for the processes that know one another by their pids; a container has its own."""
    try:
        return os.readlink(PROCESSES / "self/ns/pid")
    except OSError:
        return sys.platform


def process_start(pid: int) -> str:
    """When the process with this pid started, as a word that differs for a later process of the same pid; empty if there is none.
    One that has ended and is not waited for yet is none."""
    if sys.platform == "darwin":
        state, _, start = _asked("ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)).partition(" ")
    else:
        # The name of the program stands in brackets before them, and may hold any character.
        state, *fields = _text(PROCESSES / f"{pid}/stat").rpartition(")")[2].split() or [""]
        start = fields[18] if fields else ""
    return "" if state[:1] in ("Z", "X") else "-".join(start.split())


def peer_process(connection: socket.socket) -> int:
    """The pid of the process at the other end of a unix socket; for a listener's connection, of the one that listens."""
    if sys.platform == "darwin":
        # SOL_LOCAL and LOCAL_PEERPID, which the socket module does not name.
        return _of_peer(connection, 0, 2, "i")[0]
    return _of_peer(connection, socket.SOL_SOCKET, socket.SO_PEERCRED, "3i")[0]


def peer_user(connection: socket.socket) -> int:
    """The user of the process at the other end of a unix socket."""
    if sys.platform == "darwin":
        # SOL_LOCAL and LOCAL_PEERCRED, which has 76 bytes; a version comes first, then the user.
        return _of_peer(connection, 0, 1, "2I68x")[1]
    return _of_peer(connection, socket.SOL_SOCKET, socket.SO_PEERCRED, "3i")[1]


def processors(cgroups: Path = CGROUPS) -> int:
    """How many processors this process may keep busy, one at least."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    granted = _granted(cgroups)
    return max(1, count if granted is None else min(count, int(granted)))


def memory_bytes(cgroups: Path = CGROUPS) -> int:
    """How much memory this process may use, together with the processes that share its limit."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (_number(cgroups / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    return min([physical, *(limit for limit in limits if limit)])


def memory_available(cgroups: Path = CGROUPS, processes: Path = PROCESSES) -> int | None:
    """How much memory this process and those that share its limit may still take; None where that is not known."""
    words = _text(processes / "meminfo").partition("MemAvailable:")[2].split()
    free = [int(words[0]) * 1024] if words else []
    if limit := _number(cgroups / "memory.max"):
        # Files that were read are given up for what needs the room.
        files = _text(cgroups / "memory.stat").partition("inactive_file ")[2].split()
        free.append(limit - (_number(cgroups / "memory.current") or 0) + (int(files[0]) if files else 0))
    return min(free, default=None)


def _granted(cgroups: Path) -> float | None:
    """The processors that a container is granted, as a quota of time per period; None without a limit."""
    quota, _, period = _text(cgroups / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(cgroups / "cpu/cpu.cfs_quota_us"), _text(cgroups / "cpu/cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _of_peer(connection: socket.socket, level: int, option: int, form: str) -> tuple[int, ...]:
    return struct.unpack(form, connection.getsockopt(level, option, struct.calcsize(form)))


def _asked(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
