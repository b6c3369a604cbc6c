"""The command line that starts a worker, and the memory limit of its processes. It starts nothing itself, and loads no Celery."""

from __future__ import annotations

import os
import signal
import sys

from xtyl_engine.machine import memory_bytes
from xtyl_engine.settings import PREFORK, Settings

NOTIFICATIONS_PER_CHILD = 10_000
# A worker that gets it keeps its jobs until they are done, unlike one that gets SIGTERM.
RETIRE = signal.SIGUSR2

LEAST_MEGABYTES = 256


def worker_command(settings: Settings, *, is_watched: bool = False) -> list[str]:
    """The command line of a worker; its settings are in its environment. With `is_watched` it reports itself and its
    notifications to Celery's monitors, at three small messages for each, under a name that is unique on its host."""
    # -P: Python files in the current folder must shadow nothing. Nor does `begin` import from there, as Celery does for -A.
    start = [sys.executable, "-P", "-m", "xtyl_engine.worker.begin", "worker"]
    pool = ["--pool", settings.pool, "--concurrency", str(settings.slots), "--loglevel", "INFO"]
    if settings.pool == PREFORK:
        # A process ends between two notifications, and so frees memory that users' functions leak.
        most = 1024 * child_megabytes(settings)
        pool += ["--max-tasks-per-child", str(NOTIFICATIONS_PER_CHILD), "--max-memory-per-child", str(most)]
    name = f"{settings.pool}-{os.getpid()}@%h"
    watch = ["--task-events", "--hostname", name] if is_watched else ["--without-heartbeat"]
    return [*start, *pool, "--without-gossip", "--without-mingle", *watch]


def child_megabytes(settings: Settings) -> int:
    """The memory limit of one process of a prefork worker; by default all of them share four fifths of the machine's memory."""
    share = memory_bytes() * 4 // 5 // settings.slots // 1024**2
    return settings.child_megabytes or max(LEAST_MEGABYTES, share)
