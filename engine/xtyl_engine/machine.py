"""How many processors and how much memory this process may use, by the operating system and by the limits of its
container. It measures only; `settings` and the worker decide how much to use.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


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
