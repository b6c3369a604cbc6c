"""What a supervisor learns of a worker that has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from xtyl_engine.worker.first_claim import forget_claims, has_claimed, note_claim

CODE = (
    "import os, sys, pathlib, xtyl_engine.worker.first_claim as f; os.fork() or f.note_claim(pathlib.Path(sys.argv[1]))"
)


def worker(home: Path) -> int:
    """A worker whose forked process has claimed a job, and that has ended; its pid."""
    started = subprocess.Popen([sys.executable, "-c", CODE, str(home)], start_new_session=True, stderr=subprocess.PIPE)
    started.communicate()
    return started.pid


def test_a_worker_has_worked_if_a_process_that_it_forked_has(tmp_path: Path) -> None:
    """The note outlives both, and says nothing of another worker, nor of a later one with the same pid."""
    home = tmp_path
    pid = worker(home)
    assert has_claimed(home, pid)
    assert not has_claimed(home, os.getpid())
    forget_claims(home)
    assert not has_claimed(home, pid)
    forget_claims(home)


def test_a_home_that_takes_no_note_costs_no_job(tmp_path: Path) -> None:
    """The worker goes on; its end then counts like one of its own fault."""
    note_claim(tmp_path / "missing")
    assert not has_claimed(tmp_path / "missing", os.getsid(0))
