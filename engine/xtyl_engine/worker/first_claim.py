"""Whether a worker has worked. It notes its first claim in its home, and the supervisor that started it reads that when it has
ended: a job may have ended it. SQL could not tell: its jobs may have finished or been given back, in processes that it forked.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from xtyl_engine.values.atomic_write import write_atomically

log = logging.getLogger("xtyl")


def note_claim(home: Path) -> None:
    """Note that this process has claimed a job, by the worker that leads its session and forked it."""
    try:
        write_atomically(_note(home), str(os.getsid(0)).encode())
    except OSError as error:
        log.warning("that this worker has begun to work could not be noted: %s", error)


def has_claimed(home: Path, worker: int) -> bool:
    """Whether this worker, or a process that it forked, has claimed a job since `forget_claims`."""
    try:
        return _note(home).read_text() == str(worker)
    except OSError:
        return False


def forget_claims(home: Path) -> None:
    """Begin anew, for another worker: it may get the pid of one before."""
    with suppress(OSError):
        _note(home).unlink()


def _note(home: Path) -> Path:
    return home / "claimed"
