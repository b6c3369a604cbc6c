"""A run stays within its budget, on every database: what is held, what counts, what waits, when it pauses and goes on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from engine_driver import Driver, completed, failed, retrying
from plans import chain, fan
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import attempts, executions, jobs
from xtyl_engine.errors import ControlRefused, ErrorClass, PermanentError, TransientError
from xtyl_engine.nodes.base import Retry
from xtyl_engine.providers.base import Usage
from xtyl_engine.scheduler.apply_outcomes import MOST_GIVEN_BACK
from xtyl_engine.scheduler.commit import unrecorded
from xtyl_engine.scheduler.outcomes import Claim, Completed, Outcome, Released
from xtyl_engine.states import ExecutionState
from xtyl_engine.worker.retries import outcome_of

CENT = 10**7


@pytest.fixture
def driver(database: Database) -> Driver:
    return Driver(database)


def paid(claim: Claim, cost: int) -> Completed:
    """A result that took so much."""
    return replace(completed(claim), usage=Usage(provider="p", model="m", cost=cost / 10**9))


def short(claim: Claim, most: int) -> Released:
    """A job that is given back, for the budget has less left than it may take."""
    return Released(claim=claim, because="budget", is_parked=True, needs=most)


def money(driver: Driver, id: str) -> tuple[int | None, int, int]:
    """Budget, spent and held, which is what the attempts say."""
    e, a, j = executions.c, attempts.c, jobs.c
    of = select(func.coalesce(func.sum(a.charge), 0)).join(jobs, j.id == a.job_id).where(j.execution_id == id)
    with driver.database.read() as transaction:
        budget, spent, held = transaction.row(select(e.budget, e.spent, e.held).where(e.id == id)) or (None, 0, 0)
        assert transaction.row(of.where(a.outcome.is_not(None))) == (spent,)
        assert transaction.row(of.where(a.outcome.is_(None))) == (held,)
    return budget, spent, held


def state(driver: Driver, id: str) -> ExecutionState:
    return driver.queries.execution(id).state


def take(driver: Driver, id: str, want: int, most: int) -> list[Claim]:
    """Claim jobs, and give back those for which there is no money; those that may start."""
    taken = []
    for claim in driver.claim(id, want):
        assert claim.has_budget
        if driver.recorder.hold(claim, most):
            taken.append(claim)
        else:
            driver.record(id, short(claim, most))
    return taken


def test_no_more_starts_than_the_budget_pays_for(driver: Driver) -> None:
    """What may be spent at most is held before a job starts; the others wait and are not asked again while nothing changes."""
    id = driver.submit(fan(8), budget=10 * CENT)
    (first,) = driver.claim(id)
    driver.record(id, paid(first, 0))
    at_work = take(driver, id, 8, 4 * CENT)
    assert len(at_work) == 2
    assert money(driver, id) == (10 * CENT, 0, 8 * CENT)
    assert driver.claim(id, 8) == ()
    assert state(driver, id) is ExecutionState.RUNNING


def test_what_costs_less_lets_others_go_on(driver: Driver) -> None:
    """A job that took less than was held for it gives the rest back, and jobs that waited for it start."""
    id = driver.submit(fan(8), budget=10 * CENT)
    driver.record(id, paid(driver.claim(id)[0], 0))
    one, two = take(driver, id, 8, 4 * CENT)
    driver.record(id, paid(one, CENT))
    assert money(driver, id) == (10 * CENT, CENT, 4 * CENT)
    assert len(take(driver, id, 8, 4 * CENT)) == 1
    driver.record(id, paid(two, 4 * CENT))
    assert money(driver, id) == (10 * CENT, 5 * CENT, 4 * CENT)


def test_a_run_pauses_once_nothing_is_held(driver: Driver) -> None:
    """It goes on as long as a job at work may give money back; then it pauses and says how much is left and needed."""
    id = driver.submit(fan(4), budget=9 * CENT)
    driver.record(id, paid(driver.claim(id)[0], 0))
    one, two = take(driver, id, 4, 4 * CENT)
    driver.record(id, paid(one, 4 * CENT))
    assert state(driver, id) is ExecutionState.RUNNING
    driver.record(id, paid(two, 4 * CENT))
    found = driver.queries.execution(id)
    assert found.state is ExecutionState.PAUSED
    assert found.error == "the budget has $0.01 left, and the next job may take $0.04"
    assert money(driver, id) == (9 * CENT, 8 * CENT, 0)


def test_more_money_lets_it_go_on(driver: Driver) -> None:
    """`resume` wants a budget above what is spent, counts from the beginning, and every job runs once."""
    id = driver.submit(fan(4), budget=4 * CENT)
    driver.record(id, paid(driver.claim(id)[0], 0))
    (one,) = take(driver, id, 4, 4 * CENT)
    driver.record(id, paid(one, 4 * CENT))
    with pytest.raises(ControlRefused, match=r"paused for its budget: \$0.04 of \$0.04 is spent"):
        driver.controls.resume(id)
    with pytest.raises(ControlRefused, match=r"a budget of \$0.04 is no more than the \$0.04 that the run has spent"):
        driver.controls.resume(id, budget=0.04)
    with pytest.raises(ControlRefused, match=r"leaves \$0.01, and the next job may take \$0.04"):
        driver.controls.resume(id, budget=0.05)
    driver.controls.resume(id, budget=1.00)
    rest = take(driver, id, 8, 4 * CENT)
    assert len(rest) == 3
    for claim in rest:
        driver.record(id, paid(claim, 4 * CENT))
    driver.record(id, paid(driver.claim(id)[0], 0))
    assert state(driver, id) is ExecutionState.COMPLETED
    assert driver.queries.execution(id).error is None
    assert money(driver, id) == (100 * CENT, 16 * CENT, 0)


def test_what_is_held_twice_counts_once(driver: Driver) -> None:
    """A hold whose answer was lost is made again, and nothing of it stays behind."""
    id = driver.submit(chain(2), budget=10 * CENT)
    (claim,) = driver.claim(id)
    assert driver.recorder.hold(claim, 4 * CENT)
    assert driver.recorder.hold(claim, 4 * CENT)
    assert money(driver, id) == (10 * CENT, 0, 4 * CENT)
    driver.record(id, paid(claim, CENT))
    assert money(driver, id) == (10 * CENT, CENT, 0)


def test_jobs_go_on_for_which_there_is_money_together(driver: Driver) -> None:
    """Money for one lets one of many go on, and the others are not started in vain."""
    id = driver.submit(fan(8), budget=8 * CENT)
    driver.record(id, paid(driver.claim(id)[0], 0))
    one, two = take(driver, id, 8, 4 * CENT)
    driver.record(id, paid(one, 0))
    assert len(driver.claim(id, 8)) == 1
    driver.record(id, paid(two, 0))


def test_free_jobs_pass_those_that_wait(driver: Driver) -> None:
    """A job that may cost nothing starts although others wait for money, and the run pauses only after it."""
    id = driver.submit(fan(3), budget=CENT)
    driver.record(id, paid(driver.claim(id)[0], 0))
    dear, free, other = driver.claim(id, 3)
    driver.record(id, short(dear, 2 * CENT), short(other, 3 * CENT))
    assert state(driver, id) is ExecutionState.RUNNING
    driver.record(id, paid(free, 0))
    assert state(driver, id) is ExecutionState.PAUSED
    assert "may take $0.02" in str(driver.queries.execution(id).error)


@pytest.mark.parametrize(
    ("outcome", "spent"),
    [
        (lambda claim: replace(failed(claim), is_refused=True), 0),
        (lambda claim: failed(claim), 3 * CENT),
        (lambda claim: failed(claim, ErrorClass.TRANSIENT), 3 * CENT),
        (lambda claim: retrying(claim), 3 * CENT),
        (lambda claim: replace(retrying(claim), is_refused=True), 0),
        (lambda claim: replace(failed(claim), usage=Usage(provider="p", model="m", cost=0.02)), 2 * CENT),
        (lambda claim: ended(claim, PermanentError("half of it", usage=Usage(provider="p", model="m"))), 3 * CENT),
        (
            lambda claim: unrecorded(completed(claim), ValueError("no database takes it"), ErrorClass.PERMANENT),
            3 * CENT,
        ),
        (lambda claim: ended(claim, KeyError("choices")), 3 * CENT),
        (lambda claim: ended(claim, PermanentError("the content is refused")), 0),
        (lambda claim: ended(claim, TransientError("the server is busy", retry_after=1.0)), 0),
        (
            lambda claim: ended(
                claim, TransientError("the server is busy, until when it does not say", is_refused=True)
            ),
            0,
        ),
        (lambda claim: ended(claim, TransientError("no one knows what it did")), 3 * CENT),
        (lambda claim: completed(claim), 3 * CENT),
        (lambda claim: paid(claim, 5 * CENT), 5 * CENT),
        (lambda claim: Released(claim=claim, because="released"), 0),
        (lambda claim: Released(claim=claim, because="released", may_have_started=True), 3 * CENT),
    ],
)
def test_each_end_counts_what_it_took(driver: Driver, outcome: object, spent: int) -> None:
    """A refusal counts nothing, a known cost what it is, and what is not known all that was held."""
    id = driver.submit(chain(2), budget=10 * CENT)
    (claim,) = take(driver, id, 1, 3 * CENT)
    driver.record(id, outcome(claim))  # type: ignore[operator]
    assert money(driver, id)[1:] == (spent, 0)


def ended(claim: Claim, error: Exception) -> Outcome:
    """What a worker makes of an error of a step that asks a provider."""
    return outcome_of(claim, Retry(), error, asks_provider=True)


def test_a_job_given_back_too_often_counts_with_each_start(driver: Driver) -> None:
    """The last of them, which fails the job, may have been paid for as well as those before."""
    id = driver.submit(chain(2), budget=100 * CENT)
    for _ in range(MOST_GIVEN_BACK):
        (claim,) = take(driver, id, 1, 3 * CENT)
        driver.record(id, Released(claim=claim, because="released", may_have_started=True))
    assert state(driver, id) is ExecutionState.FAILED
    assert money(driver, id)[1:] == (MOST_GIVEN_BACK * 3 * CENT, 0)


def test_a_late_result_corrects_what_was_thought(driver: Driver) -> None:
    """The hold of a job given back while it ran counts, until its result comes after all and says what it took."""
    id = driver.submit(chain(2), budget=10 * CENT)
    (claim,) = take(driver, id, 1, 3 * CENT)
    driver.record(id, Released(claim=claim, because="released", may_have_started=True))
    assert money(driver, id)[1:] == (3 * CENT, 0)
    driver.record(id, paid(claim, CENT))
    assert money(driver, id)[1:] == (CENT, 0)


def test_a_run_without_a_budget_gets_one(driver: Driver) -> None:
    """Nothing is held without a budget; one that is given to a run that goes on counts from then on."""
    id = driver.submit(fan(3))
    (first,) = driver.claim(id)
    assert not first.has_budget
    assert driver.recorder.hold(first, CENT)
    assert money(driver, id) == (None, 0, 0)
    driver.record(id, paid(first, 0))
    driver.controls.resume(id, budget=0.01)
    assert all(claim.has_budget for claim in driver.claim(id))


def test_a_first_budget_counts_what_was_paid_before(driver: Driver) -> None:
    """Also for attempts that failed, and once for a result that comes twice; the row is the sum of its attempts from then on."""
    id = driver.submit(fan(3))
    (first,) = driver.claim(id)
    driver.record(id, replace(retrying(first), usage=Usage(provider="p", model="m", cost=0.05)))
    (again,) = driver.claim(id)
    driver.record(id, paid(again, 2 * CENT))
    (at_work, *_) = driver.claim(id, 3)
    with pytest.raises(ControlRefused, match=r"\$0.07 that the run has spent"):
        driver.controls.resume(id, budget=0.06)
    driver.controls.resume(id, budget=0.20)
    assert money(driver, id) == (20 * CENT, 7 * CENT, 0)
    driver.record(id, replace(retrying(first), usage=Usage(provider="p", model="m", cost=0.05)), paid(again, 2 * CENT))
    driver.record(id, paid(at_work, CENT))
    assert money(driver, id) == (20 * CENT, 8 * CENT, 0)


@pytest.mark.parametrize("seed", range(6))
def test_the_budget_holds_whatever_happens(database: Database, seed: int) -> None:
    """Three workers take jobs, and end them in every way: the row is the sum of its attempts after each step, no more is spent
    than the budget and what single jobs took above their hold, and with money enough every job is done once."""
    chance = random.Random(seed)
    workers = [Driver(database, f"worker-{place}") for place in range(3)]
    id = workers[0].submit(fan(12), budget=20 * CENT)
    over, at_work = 0, list[tuple[Driver, Claim, int]]()
    for _ in range(400):
        driver = chance.choice(workers)
        if state(driver, id) is ExecutionState.COMPLETED:
            break
        if state(driver, id) is ExecutionState.PAUSED:
            assert not at_work
            _, spent, held = money(driver, id)
            assert not held
            driver.controls.resume(id, budget=(spent + chance.randint(7, 20) * CENT) / 10**9)
        elif at_work and chance.random() < 0.5:
            driver, claim, most = at_work.pop(chance.randrange(len(at_work)))
            cost = chance.choice([0, most // 2, most, most, most + CENT])
            outcome = _end(claim, cost, chance)
            over += max(0, cost - most) if isinstance(outcome, Completed) else 0
            driver.record(id, outcome)
        else:
            most = chance.randint(0, 6) * CENT
            at_work += [(driver, claim, most) for claim in take(driver, id, chance.randint(1, 4), most)]
        limit, spent, held = money(driver, id)
        assert spent + held <= (limit or 0) + over
    assert state(workers[0], id) is ExecutionState.COMPLETED
    assert workers[0].queries.execution(id).done == 14


def _end(claim: Claim, cost: int, chance: random.Random) -> Outcome:
    ends: Sequence[Outcome] = (
        paid(claim, cost),
        paid(claim, cost),
        completed(claim),
        retrying(claim),
        replace(retrying(claim), is_refused=True),
        Released(claim=claim, because="released", may_have_started=bool(cost)),
    )
    return chance.choice(ends)
