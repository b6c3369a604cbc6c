"""The command line of a worker, and how large its processes may grow."""

from __future__ import annotations

import os
import sys

from xtyl_engine.machine import memory_bytes
from xtyl_engine.settings import PREFORK, Settings

HINTS_PER_CHILD = 10_000


LEAST_MEGABYTES = 256


def worker_command(settings: Settings, *, is_watched: bool = False) -> list[str]:
    """The command line of a worker; its settings come by its environment. A watched one tells Celery's monitors of itself and its
    hints, which costs three small messages each, and has a name of its own among others on its host."""
    # -P: a celery.py in the folder we were started from must not shadow the real one.
    start = [sys.executable, "-P", "-m", "celery", "-A", "xtyl_engine.worker.task", "worker"]
    pool = ["--pool", settings.pool, "--concurrency", str(settings.slots), "--loglevel", "INFO"]
    if settings.pool == PREFORK:
        # What users' functions leak is given back with the process, once it is between two hints.
        most = 1024 * child_megabytes(settings)
        pool += ["--max-tasks-per-child", str(HINTS_PER_CHILD), "--max-memory-per-child", str(most)]
    name = f"{settings.pool}-{os.getpid()}@%h"
    watch = ["--task-events", "--hostname", name] if is_watched else ["--without-heartbeat"]
    return [*start, *pool, "--without-gossip", "--without-mingle", *watch]


def child_megabytes(settings: Settings) -> int:
    """How large a process of a prefork worker may grow: where nothing is set, all of them to four fifths of the memory."""
    share = memory_bytes() * 4 // 5 // settings.slots // 1024**2
    return settings.child_megabytes or max(LEAST_MEGABYTES, share)
