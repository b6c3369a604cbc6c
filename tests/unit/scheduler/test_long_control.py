"""Controls of many jobs go on in steps: others write between two of them, the run is right at each moment, and when the process
that controls dies, a sweep goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver, failed
from plans import plan_of
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.long_control import Stride, unfinished
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.settings import load_settings
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.slots import Slots
from xtyl_engine.worker.sweeper import Sweeper

# Each step changes one job.
SMALL = Stride(at_once=1, piece=1, ids=1, seconds=0.0)
ROWS = 4
VERBS = ("retry", "resume", "stop")


class Died(BaseException):
    """The process that controls ends."""


class Watched(Database):
    """A database in which things happen after each write, before the writer goes on."""

    meanwhile = staticmethod(lambda: None)
    before: tuple[Callable[[], object], ...] = ()

    def transact(self, work, *, seconds=None):
        before, self.before = self.before, ()
        for happens in before:
            happens()
        done = super().transact(work, seconds=seconds)
        self.meanwhile()
        return done


class Stepping:
    """A driver, and controls that go in the smallest steps on a connection of their own."""

    def __init__(self, database: Database):
        self.driver = Driver(database)
        self.database = Watched(database.url)
        self.controls = Controls(self.database, self.driver.plans, ArtifactStore(tempfile.mkdtemp()), SMALL)
        executor = Executor(load_settings(), database, self.driver.plans, None, self.driver.recorder.may_start)  # type: ignore[arg-type]
        slots = Slots(self.driver.recorder, executor, lambda id: None, 1, 1.0)
        publish, load = self.driver.published.extend, self.driver.plans.load
        self.sweeper = Sweeper(database, slots, "sweeper", publish, load, 10, 3, 1)

    def standing(self, verb: str) -> str:
        """An execution of many jobs that allows the control."""
        id = self.driver.submit(plan(), ROWS)
        if verb == "retry":
            self.driver.drain(id, {"first": failed})
        if verb == "resume":
            self.driver.controls.stop(id)
        return id

    def left(self) -> dict[str, str]:
        with self.database.read() as transaction:
            return unfinished(transaction)

    def meanwhile(self, happens: Callable[[], object]) -> None:
        """Let something happen between any two transactions of the controls."""
        self.database.meanwhile = happens  # type: ignore[assignment]

    def die_after(self, transactions: int) -> None:
        done = [0]

        def count() -> None:
            done[0] += 1
            if done[0] == transactions:
                raise Died

        self.meanwhile(count)

    def sweep(self) -> None:
        """Two rounds: the second finds what nothing went on with since the first."""
        self.meanwhile(lambda: None)
        self.sweeper.sweep()
        self.sweeper.sweep()


def plan():
    return plan_of({"first": {}, "options": {"n": 2}, "last": {}}, [("first", "options"), ("options", "last")])


def counted(stepping: Stepping, id: str) -> list[tuple[Any, ...]]:
    """Each node's jobs by state, as they are kept."""
    states = ", ".join(JobState)
    with stepping.database.engine.connect() as connection:
        rows = connection.execute(
            text(f"SELECT node, {states} FROM execution_nodes WHERE execution_id = :id ORDER BY node"), {"id": id}
        )
        return [tuple(row) for row in rows]


def scanned(stepping: Stepping, id: str) -> list[tuple[Any, ...]]:
    """Each node's jobs by state, as they are."""
    jobs = stepping.driver.jobs(id).values()
    nodes = sorted({job.node for job in jobs})
    return [
        (node, *(sum(job.node == node and job.state == state for job in jobs) for state in JobState)) for node in nodes
    ]


@pytest.fixture
def stepping(database: Database) -> Iterator[Stepping]:
    made = Stepping(database)
    yield made
    made.database.close()


@pytest.mark.parametrize("verb", VERBS)
def test_others_write_while_a_control_of_many_jobs_goes_on(stepping: Stepping, verb: str) -> None:
    """It ends as in one transaction, and between two of its steps another process has its turn to write."""
    alone, stepped = stepping.standing(verb), stepping.standing(verb)
    getattr(stepping.driver.controls, verb)(alone)
    turns: list[int] = []

    def write() -> None:
        key = {"key": f"beat {len(turns)}"}
        turns.append(stepping.driver.database.transact(lambda transaction: transaction.run(sql.ADD_RATE_LIMIT, key)))

    stepping.meanwhile(write)
    getattr(stepping.controls, verb)(stepped)
    assert len(turns) > 4 * ROWS
    assert stepping.driver.states(stepped) == stepping.driver.states(alone)
    assert stepping.driver.kinds(stepped) == stepping.driver.kinds(alone)
    assert stepping.left() == {}
    assert counted(stepping, stepped) == counted(stepping, alone) == scanned(stepping, alone)
    shown = [stepping.driver.queries.execution(id) for id in (stepped, alone)]
    assert len({(each.state, each.done, each.failed, each.total) for each in shown}) == 1


@pytest.mark.parametrize("steps", [1, 2, 5, 9, 14, 16])
@pytest.mark.parametrize("verb", VERBS)
def test_a_sweep_goes_on_where_the_process_died(stepping: Stepping, verb: str, steps: int) -> None:
    """After any step: a stopped run is stopped whole, a reopened one runs to its end with every job done."""
    id = stepping.standing(verb)
    stepping.die_after(steps)
    with pytest.raises(Died):
        getattr(stepping.controls, verb)(id)
    assert list(stepping.left()) == [id]
    stepping.sweep()
    assert stepping.left() == {}
    if verb == "stop":
        assert set(stepping.driver.states(id).values()) == {"stopped"}
        stepping.driver.controls.resume(id)
    stepping.driver.drain(id)
    assert stepping.driver.state(id) == "completed"
    assert set(stepping.driver.states(id).values()) == {"completed"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_control_that_goes_on_is_left_alone(stepping: Stepping, verb: str) -> None:
    """A sweep makes no step of a control whose process made one since the last round."""
    id = stepping.standing(verb)
    seen = []

    def sweep() -> None:
        before = stepping.left()
        stepping.sweeper.sweep()
        seen.append(stepping.left() == before)

    stepping.meanwhile(sweep)
    getattr(stepping.controls, verb)(id)
    assert len(seen) > 4 * ROWS
    assert all(seen)


@pytest.mark.parametrize("verb", ["retry", "resume"])
def test_a_run_does_not_end_while_jobs_are_put_back(stepping: Stepping, verb: str) -> None:
    """Workers run what is ready between any two steps; the run ends once, when every job has run."""
    id = stepping.standing(verb)
    ends = [kind for kind in stepping.driver.kinds(id) if kind in ("completed", "failed")]
    stepping.meanwhile(lambda: stepping.driver.drain(id))
    getattr(stepping.controls, verb)(id)
    stepping.driver.drain(id)
    assert set(stepping.driver.states(id).values()) == {"completed"}
    assert [kind for kind in stepping.driver.kinds(id) if kind in ("completed", "failed")] == [*ends, "completed"]


def test_what_fails_again_meanwhile_is_not_put_back_twice(stepping: Stepping) -> None:
    """Each failed row is tried once more, however many steps it takes, and the run fails with as many as at first."""
    id = stepping.standing("retry")
    stepping.meanwhile(lambda: stepping.driver.drain(id, {"first": failed}))
    stepping.controls.retry(id)
    stepping.driver.drain(id, {"first": failed})
    shown = stepping.driver.queries.execution(id)
    assert (str(shown.state), shown.failed, shown.done) == ("failed", ROWS, shown.total)
    assert stepping.driver.kinds(id).count("job_failed") == 2 * ROWS


def test_nothing_starts_while_a_stop_goes_on(stepping: Stepping) -> None:
    """What runs is stopped in the first step, and nothing is claimed between any two."""
    id = stepping.standing("stop")
    (claim,) = stepping.driver.claim(id)
    running: list[str] = []
    claimed: list[Claim] = []

    def look() -> None:
        running.append(str(stepping.driver.jobs(id)[claim.node, claim.item].state))
        claimed.extend(stepping.driver.claim(id))

    stepping.meanwhile(look)
    stepping.controls.stop(id)
    assert set(running) == {"stopped"}
    assert claimed == []


@pytest.mark.parametrize("steps", [1, 3, 8, 13])
def test_a_resume_in_the_middle_of_a_stop_wins(stepping: Stepping, steps: int) -> None:
    """Jobs that were not stopped yet go on as they are; the run completes, each job once."""
    id = stepping.standing("stop")
    stepping.die_after(steps)
    with pytest.raises(Died):
        stepping.controls.stop(id)
    stepping.meanwhile(lambda: None)
    stepping.controls.resume(id)
    stepping.driver.drain(id)
    assert set(stepping.driver.states(id).values()) == {"completed"}
    assert {job.attempts for job in stepping.driver.jobs(id).values()} == {1}


@pytest.mark.parametrize("steps", [1, 3, 8, 13])
def test_a_stop_in_the_middle_of_a_retry_wins(stepping: Stepping, steps: int) -> None:
    """The process that retried makes no further step; a resume then completes the run."""
    id = stepping.standing("retry")
    done = [0]

    def stop() -> None:
        done[0] += 1
        if done[0] == steps:
            stepping.driver.controls.stop(id)

    stepping.meanwhile(stop)
    stepping.controls.retry(id)
    assert stepping.driver.state(id) == "stopped"
    assert stepping.left() == {}
    stepping.driver.controls.resume(id)
    stepping.driver.drain(id)
    assert set(stepping.driver.states(id).values()) == {"completed"}


def test_a_second_retry_helps_the_first(stepping: Stepping) -> None:
    """It is not refused, writes no event, and returns when every job is put back."""
    id = stepping.standing("retry")
    stepping.die_after(3)
    with pytest.raises(Died):
        stepping.controls.retry(id)
    stepping.meanwhile(lambda: None)
    stepping.driver.controls.retry(id)
    assert stepping.left() == {}
    assert stepping.driver.kinds(id).count("reopened") == 1


@pytest.mark.parametrize("steps", [2, 7])
def test_a_failure_after_a_half_made_stop_reaches_what_was_left_waiting(stepping: Stepping, steps: int) -> None:
    """Some jobs were stopped and others not when the stop's process died; a parent that fails during the resume ends them all."""
    id = stepping.standing("stop")
    stepping.die_after(steps)
    with pytest.raises(Died):
        stepping.controls.stop(id)
    stepping.meanwhile(lambda: stepping.driver.drain(id, {"first": failed}))
    stepping.controls.resume(id)
    stepping.driver.drain(id, {"first": failed})
    shown = stepping.driver.queries.execution(id)
    assert (str(shown.state), shown.failed, shown.done) == ("failed", ROWS, shown.total)


def test_pause_holds_while_jobs_are_put_back(stepping: Stepping) -> None:
    """The rest of the jobs is put back all the same, and nothing starts."""
    id = stepping.standing("retry")

    def pause() -> None:
        stepping.meanwhile(lambda: None)
        stepping.driver.controls.pause(id)

    stepping.meanwhile(pause)
    stepping.controls.retry(id)
    assert (stepping.driver.state(id), stepping.driver.drain(id)) == ("paused", [])
    stepping.driver.controls.resume(id)
    stepping.driver.drain(id)
    assert stepping.driver.state(id) == "completed"


def test_a_stop_that_goes_on_under_a_resume_hides_no_job_from_it(stepping: Stepping) -> None:
    """The rest is stopped after the resume has read what to put back, and before it begins: it reads again."""
    id = stepping.standing("stop")
    stepping.die_after(3)
    with pytest.raises(Died):
        stepping.controls.stop(id)
    stepping.meanwhile(lambda: None)
    stepping.database.before = (stepping.sweeper.sweep, stepping.sweeper.sweep)
    stepping.controls.resume(id)
    assert stepping.left() == {}
    stepping.driver.drain(id)
    assert set(stepping.driver.states(id).values()) == {"completed"}
