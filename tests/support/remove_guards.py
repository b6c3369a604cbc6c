"""Takes one guard after the other out of a copy of the engine and runs the tests against it: each must turn one red.
`python tests/support/remove_guards.py` prints a table in Markdown, and fails when no test misses a guard.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from repository import ROOT

TESTS = [
    "tests/unit/scheduler/test_transitions.py",
    "tests/unit/scheduler/test_commit.py",
    "tests/unit/scheduler/test_apply_outcomes_late.py",
    "tests/unit/scheduler/test_apply_outcomes_given_back.py",
    "tests/unit/scheduler/test_isolation.py",
    "tests/unit/scheduler/test_long_control.py",
    "tests/unit/worker/test_execute_fences.py",
    "tests/unit/worker/test_losses.py",
    "tests/unit/worker/test_owners.py",
    "tests/unit/scheduler/rate_limits/test_bucket.py",
    "tests/unit/scheduler/rate_limits/test_permits.py",
    "tests/unit/scheduler/test_spending.py",
    "tests/points/test_controls.py",
]


PG = "postgres"


@dataclass(frozen=True, slots=True)
class Guard:
    """A piece of the engine's source, and the source without the guard."""

    name: str
    file: str
    found: str
    left: str
    tests: str = "not postgres"


TRANSITIONS = [
    "unblock",
    "claim",
    "wait",
    "retry",
    "release",
    "fail",
    "decide",
    "another",
    "lose",
    "quarantine",
    "stop",
    "go_on",
]
GUARD = "guard(_J.state, JOB_TRANSITIONS[name])"
GUARDS = [
    *[
        Guard(
            f"{name}: the state it may leave",
            "scheduler/transitions.py",
            GUARD,
            f'(true() if name == "{name}" else {GUARD})',
        )
        for name in TRANSITIONS
    ],
    Guard("budget: no more than is left", "scheduler/spending.py", "most - before > locked.budget.left", "False"),
    Guard("budget: what did not start is free", "scheduler/spending.py", "if not outcome.may_have_started", "if False"),
    Guard("budget: only what is refused is free", "scheduler/spending.py", "if outcome.is_refused", "if True"),
    Guard("budget: what is held twice counts once", "scheduler/spending.py", "held += most - before", "held += most"),
    Guard(
        "budget: what was paid before the first one counts",
        "scheduler/spending.py",
        "locked.transaction.run(_CHARGE_PAID, {",
        "dict({",
    ),
    Guard("complete: the state it may leave", "scheduler/transitions.py", ", job_in(JobState(source)))", ")"),
    Guard(
        "skip: the state it may leave", "scheduler/transitions.py", 'guard(_J.state, JOB_TRANSITIONS["skip"])', "true()"
    ),
    Guard(
        "reopen: the states it may leave",
        "scheduler/transitions.py",
        'or_(guard(_J.state, JOB_TRANSITIONS["reopen"]), IS_DOOMED)',
        "true()",
    ),
    Guard("retry, fail, wait, release: my attempt", "scheduler/transitions.py", ', _J.attempt == B("number"))', ")"),
    Guard("lose: no beat since the look", "scheduler/transitions.py", '(_MINE, _J.lease == B("lease"))', "(_MINE)"),
    Guard(
        "lose: my look's owner and attempt",
        "scheduler/transitions.py",
        "_IS_LOST = and_(_MINE, ",
        "_IS_LOST = and_(_JOB, ",
    ),
    Guard(
        "unblock: the last parent",
        "scheduler/transitions.py",
        '_IS_FREED = and_(_J.pending == B("by"), ',
        "_IS_FREED = and_(",
    ),
    Guard(
        "claim: the retry's time has come",
        "database/statements.py",
        ', _J.due <= B("now"))\n    .order_by',
        ")\n    .order_by",
    ),
    Guard(
        "claim: the execution goes on",
        "scheduler/claim.py",
        "    if locked.state not in OPEN_TO_CLAIMS:\n        return 0\n",
        "",
    ),
    Guard(
        "go on: the attempt is in flight",
        "scheduler/transitions.py",
        "and_(_JOB, _IS_IN_FLIGHT)",
        "_JOB",
    ),
    Guard(
        "close: the attempt is still open",
        "database/statements.py",
        "END_ATTEMPT.where(attempts.c.outcome.is_(None))",
        "END_ATTEMPT",
    ),
    Guard("start: the licence", "scheduler/commit.py", "while since_boot() - asked > LICENCE_SECONDS:", "while False:"),
    Guard("renew: the execution goes on", "scheduler/commit.py", "locked.state in OPEN_TO_CLAIMS and bool(", "bool("),
    Guard(
        "late result: the first alone",
        "scheduler/transitions.py",
        ".where(_JOB, _J.output.is_(None))",
        ".where(_JOB)",
    ),
    Guard(
        "control: recorded already",
        "scheduler/control.py",
        "if written and _is_recorded(transaction, written[0]):",
        "if False:",
    ),
    Guard(
        "sweep: patience after an outage",
        "worker/losses.py",
        " and self._looked >= self._patient_until",
        "",
    ),
    Guard("claim: a permit", "scheduler/rate_limits/bucket.py", "ahead if ahead > CLOCK_SECONDS else 0.0", "0.0"),
    Guard("claim: the provider may be asked", "scheduler/rate_limits/bucket.py", "self.held_until - self.now,", "0.0,"),
    Guard(
        "permit: one taker at a time",
        "scheduler/rate_limits/bucket.py",
        "_ONE_LOCKED = _ONE.with_for_update()",
        "_ONE_LOCKED = _ONE",
        PG,
    ),
    Guard("permit: locked in one order", "scheduler/rate_limits/permits.py", "for key in sorted(", "for key in ("),
    Guard("permit: given back while it counts", "scheduler/rate_limits/bucket.py", " or permitted < self.since:", ":"),
    Guard(
        "permit: given back by who won",
        "scheduler/apply_outcomes.py",
        "        _keep_late(locked, outcomes[0])\n        return []",
        "        _keep_late(locked, outcomes[0])\n        return list(outcomes)",
    ),
    Guard(
        "sweep: a process that lives is asked",
        "worker/owners.py",
        "return _pulse(path) if path.exists() else Pulse.UNKNOWN",
        "return Pulse.UNKNOWN",
    ),
    Guard(
        "suspect: alone in its process",
        "scheduler/isolation.py",
        "return suspects[:1] if self._is_running else []",
        "return found",
    ),
    Guard(
        "suspect: nothing beside it", "scheduler/isolation.py", "return is_other or self._is_running", "return False"
    ),
    Guard("end: no long control goes on", "scheduler/locked_execution.py", " and self.unfinished is None", ""),
    Guard(
        "commit: apart after an error",
        "scheduler/commit.py",
        "            for request in requests:\n                self._commit_apart(request)\n",
        "            for request in requests:\n                request.error = error\n",
    ),
    Guard("suspect: a proof", "worker/sweeper.py", "loss.is_certain and because == ALONE", "True"),
    Guard("release: ten at most", "scheduler/apply_outcomes.py", "if before + 1 < MOST_GIVEN_BACK:", "if True:"),
    Guard(
        "lost: the process is gone too",
        "worker/owners.py",
        "Pulse.ALIVE if process_start(int(pid)) == start else Pulse.ENDED",
        "Pulse.ENDED",
    ),
    Guard(
        "beat: only what is held",
        "scheduler/transitions.py",
        "BEAT = update(jobs).where(_MINE, ",
        "BEAT = update(jobs).where(",
    ),
]


def main() -> int:
    missed = 0
    sys.stdout.write("| guard | in | turns red |\n|---|---|---|\n")
    for guard in GUARDS:
        red = without(guard)
        missed += red is None
        cell = f"`{red}`" if red else "**nothing**"
        sys.stdout.write(f"| {guard.name} | {guard.file} | {cell} |\n")
        sys.stdout.flush()
    return int(missed > 0)


def without(guard: Guard) -> str | None:
    """The first test that fails without the guard."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "engine" / "xtyl_engine", Path(folder) / "xtyl_engine")
        path = Path(folder) / "xtyl_engine" / guard.file
        source = path.read_text(encoding="utf-8")
        assert guard.found in source, f"{guard.name}: the guard is not where it was"
        mended = source.replace(guard.found, guard.left).replace("import Float,", "import Float, true,")
        path.write_text(mended, encoding="utf-8")
        return first_failure(folder, guard.tests)


def first_failure(folder: str, tests: str) -> str | None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        *TESTS,
        "-x",
        "-q",
        "-p",
        "no:nbval",
        "-o",
        "addopts=--import-mode=importlib",
        "-k",
        tests,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    failed = re.search(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE)
    assert failed or done.returncode == 0, done.stdout[-2000:]
    return failed.group(1) if failed else None


if __name__ == "__main__":
    sys.exit(main())
