"""One case: a seed draws the faults and their moments, they harm a run, and the result is judged."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import xtyl_nb as xt
from chaos.embedded import embedded_place
from chaos.faults import FAULTS, MOST_DEATHS, ON_SMALL_DISK, deaths, excuses
from chaos.judge import Evidence, Job, judge, paid_twice
from chaos.kernel import kernel
from chaos.notebook import ALL_JOBS
from chaos.place import CANARY, Place, place
from servers import wait_until
from xtyl_nb.runs.run import Run

DRAIN_SECONDS = 30.0
JOBS = (
    "SELECT node, item, state, attempt, (SELECT count(*) FROM job_attempts WHERE job_id = id), "
    "(SELECT count(*) FROM job_attempts WHERE job_id = id AND outcome IN ('lost', 'late', 'duplicate')), finished, output "
    "FROM agent_jobs WHERE execution_id = '{id}'"
)
EVENTS = "SELECT sequence, kind, node, item FROM execution_events WHERE execution_id = '{id}' ORDER BY sequence"
OUTCOMES = (
    "SELECT coalesce(outcome, 'open'), count(*) FROM job_attempts JOIN agent_jobs ON agent_jobs.id = job_id "
    "WHERE execution_id = '{id}' GROUP BY 1"
)
MONEY = "SELECT budget, spent, held FROM workflow_executions WHERE id = '{id}'"
CHARGES = (
    "SELECT coalesce(sum(CASE WHEN outcome IS NULL THEN 0 ELSE charge END), 0), "
    "coalesce(sum(CASE WHEN outcome IS NULL THEN charge ELSE 0 END), 0) "
    "FROM job_attempts JOIN agent_jobs ON agent_jobs.id = job_id WHERE execution_id = '{id}'"
)
LOST = (
    "SELECT job_attempts.error FROM job_attempts JOIN agent_jobs ON agent_jobs.id = job_id "
    "WHERE execution_id = '{id}' AND outcome = 'lost'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that decides a case."""

    seed: int
    database: str
    pool: str
    faults: tuple[str, ...]


@dataclass(kw_only=True)
class Report:
    """The result of a case."""

    case: Case
    broken: list[str] = field(default_factory=list)
    jobs: int = 0
    starts: int = 0
    paid_twice: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    drain_seconds: float = 0.0


def draw_case(seed: int, database: str, pool: str | None = None, *, small_disk: bool = False, count: int = 4) -> Case:
    """The case of a seed."""
    draw = Random(seed)
    disk = ON_SMALL_DISK if small_disk and database != "embedded" else ()
    names = tuple(fault.__name__ for fault in (*FAULTS[database], *disk))
    chosen = "threads" if database == "embedded" else pool or draw.choice(["threads", "prefork"])
    faults = draw.choices(names, k=count)
    while deaths(faults) > MOST_DEATHS:
        faults = draw.choices(names, k=count)
    return Case(seed=seed, database=database, pool=chosen, faults=tuple(faults))


def play(case: Case, folder: Path, database_url: str, say: Callable[[str], None] = lambda words: None) -> Report:
    """Start the run, harm it, let it end, judge it."""
    draw = Random(case.seed)
    is_embedded = case.database == "embedded"
    scene = embedded_place(folder, case.seed) if is_embedded else place(folder, database_url, case.pool, case.seed)
    with scene as there, kernel(there.settings, there.log.with_name("seen.log")) as there.kernel:
        xt.connect()
        try:
            run = xt.attach(there.kernel.id)
            quiet = _harm(there, run, case, draw, say)
            began = time.monotonic()
            report = Report(case=case)
            if not _drained(run):
                report.broken.append(f"it did not drain in {DRAIN_SECONDS:g} s: {run.state}")
            report.drain_seconds = time.monotonic() - began
            _account(there, run, quiet, report)
            return report
        finally:
            xt.connect()


def _is_past(run: Run, jobs: int) -> bool:
    return _done(run) >= jobs


def _harm(there: Place, run: Run, case: Case, draw: Random, say: Callable[[str], None]) -> list[tuple[float, float]]:
    """Play the faults, each when some more jobs are complete, with a pause after every second one."""
    known = {fault.__name__: fault for fault in (*FAULTS[case.database], *ON_SMALL_DISK)}
    quiet: list[tuple[float, float]] = []
    for place_, name in enumerate(case.faults):
        target = (place_ + 1) * ALL_JOBS // (len(case.faults) + 2)
        wait_until(partial(_is_past, run, target), DRAIN_SECONDS)
        say(name)
        known[name](there, draw)
        if place_ % 2 and _done(run) < ALL_JOBS:
            quiet.append(_paused(there, run, draw))
    return quiet


def _done(run: Run) -> int:
    """How many jobs are over; 0 while the database is away."""
    try:
        return run.overview().done
    except xt.BackendError:
        return 0


def _paused(there: Place, run: Run, draw: Random) -> tuple[float, float]:
    """Pause the run for a moment, and resume it unless the jobs at work were its last; gives begin and end of the pause."""
    begin = end = there.now()
    with contextlib.suppress(xt.ControlRefused):
        run.pause()
        begin = there.now()
        threading.Event().wait(draw.uniform(0.2, 0.5))
        end = there.now()
        run.resume()
    return begin, end


def _drained(run: Run) -> bool:
    """Whether the run ends while it is only looked at."""
    with contextlib.suppress(AssertionError):
        wait_until(partial(_is_over, run), DRAIN_SECONDS)
        return True
    return False


def _is_over(run: Run) -> bool:
    try:
        return run.state.is_terminal
    except xt.BackendError:
        return False


def _account(there: Place, run: Run, quiet: list[tuple[float, float]], report: Report) -> None:
    jobs = [Job(**dict(zip(Job.__slots__, row, strict=True))) for row in there.rows(JOBS.format(id=run.id))]
    evidence = Evidence(
        execution=run.id,
        state=str(run.state),
        jobs=jobs,
        events=there.rows(EVENTS.format(id=run.id)),
        seen=there.kernel.close(),
        log=[json.loads(line) for line in there.log.read_text().splitlines()],
        quiet=quiet,
        quotes={"draft": "idea", "final": "draft"},
        prints={"book": "final"},
        lost=[words for (words,) in there.rows(LOST.format(id=run.id))],
        excuses=excuses(report.case.faults),
        files={path.stem: path.read_bytes() for path in there.settings.artifacts_folder.rglob("*.json")},
    )
    report.broken += judge(evidence) + _told(there) + _overspent(there, run.id)
    report.jobs, report.starts = len(jobs), sum(job.attempts for job in jobs)
    report.paid_twice = paid_twice(evidence)
    report.reasons = dict(there.rows(OUTCOMES.format(id=run.id)))


def _overspent(there: Place, id: str) -> list[str]:
    """What its money says that should not be: the row is the sum of its attempts, and within its budget."""
    ((budget, spent, held),), (charges,) = there.rows(MONEY.format(id=id)), there.rows(CHARGES.format(id=id))
    broken = [f"{spent} and {held} are not the sums of the attempts, {charges}"] * ((spent, held) != tuple(charges))
    broken += ["nothing of its budget was spent"] * (not spent)
    return broken + [f"{spent} spent and {held} held of {budget}"] * (spent + held > budget)


def _told(there: Place) -> list[str]:
    """The places that hold the secret, in words."""
    files = [path for path in there.settings.home.rglob("*") if path.is_file()]
    with there.broker.client() as client:
        keys = [client.dump(key) or b"" for key in client.scan_iter("*")]
    found = [f"the secret is in {path.name}" for path in files if CANARY.encode() in _content(path)]
    return found + ["the secret is in the broker"] * any(CANARY.encode() in value for value in keys)


def _content(path: Path) -> bytes:
    """What a file holds; nothing if a worker that goes on has replaced it meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
