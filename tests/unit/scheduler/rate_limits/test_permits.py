"""Rates over all workers: the jobs that start in any stretch of time, the jobs that do not count, and the jobs that wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver, completed
from plans import chain
from scripted_run import plan_of
from servers import wait_until
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.errors import ErrorClass, TransientError
from xtyl_engine.rates import Rate, UnreadableRate, parse_rates
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Completed, Failed, Failure, Released, Retrying
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, Permits, next_start, read_claim_policy
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.worker.timer import Alarm

ROWS = 12


def texts(*, pictures: bool = False):
    """Texts by one provider, and, on request, images by the other."""
    nodes = {"draft": ("generate_copy", {"prompt": "Write", "provider": "offline"})}
    if pictures:
        nodes["picture"] = ("generate_image", {"prompt": "Draw", "provider": "openai"})
    return plan_of(nodes, [])


class Fleet:
    """Two worker processes' recorders on one database, under the same rates."""

    def __init__(self, database: Database, rates: str):
        self.first, self.second = (Driver(database, owner) for owner in ("one", "two"))
        for driver in (self.first, self.second):
            driver.recorder.rates = ClaimPolicy(parse_rates(rates), "offline")
        self.database = database

    def claim(self, id: str, want: int = ROWS) -> list[Any]:
        """The claims of both when each asks for all there is."""
        return [claim for driver in (self.first, self.second) for claim in driver.claim(id, want)]

    def grant(self, id: str):
        return self.second.recorder.record([], id, 1)

    def shift(self, seconds: float) -> None:
        """Let time pass for the rates."""
        with self.database.engine.begin() as connection:
            connection.execute(
                text("UPDATE rate_limits SET tat = tat - :s, held_until = held_until - :s"), {"s": seconds}
            )


@pytest.fixture
def fleet(database: Database, request: pytest.FixtureRequest) -> Fleet:
    """Two workers under the rates of the test's parameter."""
    return Fleet(database, getattr(request, "param", "offline=30/m"))


def test_two_workers_share_one_rate(fleet):
    """Whichever worker asks, and for however many: one job may start, and the next at its time."""
    id = fleet.first.submit(texts(), ROWS)
    assert len(fleet.claim(id)) == 1
    assert fleet.claim(id) == []
    fleet.shift(1.5)
    assert fleet.claim(id) == []
    fleet.shift(1.0)
    assert len(fleet.claim(id)) == 1
    assert fleet.claim(id) == []


@pytest.mark.parametrize("fleet", ["offline=5/s"], indirect=True)
def test_what_a_second_left_over_may_be_made_up_for(fleet):
    """After a pause as many may start at once as the rate allows in a second, and no more however long the pause was."""
    id = fleet.first.submit(texts(), ROWS)
    assert len(fleet.claim(id)) == 5
    fleet.shift(3600)
    assert len(fleet.claim(id)) == 5


def test_a_worker_is_told_when_to_ask_again(fleet):
    """Nothing is claimed and no slot is held: the grant has the seconds until the next job may start."""
    id = fleet.first.submit(texts(), ROWS)
    assert fleet.grant(id).wait_seconds is None
    told = fleet.grant(id)
    assert told.claims == ()
    assert told.wait_seconds is not None
    assert 0 < told.wait_seconds <= 2
    fleet.shift(told.wait_seconds)
    assert len(fleet.grant(id).claims) == 1


def test_an_execution_without_ready_jobs_has_nothing_to_wait_for(fleet):
    """A rate that is used up says nothing about an execution whose jobs have all been started."""
    id = fleet.first.submit(texts(), 1)
    assert len(fleet.claim(id)) == 1
    assert fleet.grant(id).wait_seconds is None


def test_other_jobs_go_on_behind_those_that_wait(fleet):
    """More jobs than a worker looks at stand before them, without a permit."""
    id = fleet.first.submit(texts(pictures=True), 40)
    nodes = [claim.node for claim in fleet.claim(id, 60)]
    assert nodes.count("draft") == 1
    assert nodes.count("picture") == 40


@pytest.mark.parametrize("fleet", ["generate_copy=30/m offline=5/s"], indirect=True)
def test_a_job_needs_every_permit(fleet):
    """A node type's rate and its provider's hold together, and what one forbids is not taken from the other."""
    id = fleet.first.submit(texts(), ROWS)
    assert len(fleet.claim(id)) == 1
    fleet.shift(2.0)
    assert len(fleet.claim(id)) == 1


def test_a_cached_result_gives_its_permit_back(fleet):
    """It called no provider: a thousand of them in a row start as if there were no rate."""
    id = fleet.first.submit(texts(), ROWS)
    for _ in range(ROWS):
        (claim,) = fleet.first.claim(id)
        fleet.second.record(id, Completed(claim=claim, output='{"text": "known"}', cached=True))
    assert fleet.first.state(id) == "completed"


def test_a_kept_result_needs_no_permit(fleet):
    """A result that came after a stop is used whatever the rate allows."""
    id = fleet.first.submit(texts(), 2)
    (claim,) = fleet.first.claim(id)
    fleet.first.controls.stop(id)
    fleet.first.record(id, completed(claim))
    fleet.first.controls.resume(id)
    assert [claim.late_output is not None for claim in fleet.claim(id)] == [True]


@pytest.mark.parametrize("fleet", [""], indirect=True)
def test_a_provider_that_says_when_to_come_back_is_left_alone_by_all(fleet):
    """One job is told; no worker starts another of that provider's until then, others go on, and the try is not spent."""
    id = fleet.first.submit(texts(pictures=True), 3)
    (told,) = fleet.first.claim(id, 1)
    failure = Failure(error_class=ErrorClass.TRANSIENT, message="busy")
    fleet.first.record(id, Retrying(claim=told, failure=failure, delay_seconds=0.0, hold_seconds=30.0))
    assert [claim.node for claim in fleet.claim(id)] == ["picture"] * 3
    assert 29 < (fleet.grant(id).wait_seconds or 0) <= 30
    fleet.shift(30)
    again = {claim.item: claim for claim in fleet.claim(id)}
    assert len(again) == 3
    assert (again[told.item].number, again[told.item].tries) == (2, 1)


@pytest.mark.parametrize("fleet", [""], indirect=True)
def test_a_longer_wish_is_not_cut_short_by_a_shorter_one(fleet):
    """Two jobs are told different times; the later one holds."""
    id = fleet.first.submit(texts(), 3)
    failure = Failure(error_class=ErrorClass.TRANSIENT, message="busy")
    for claim, seconds in zip(fleet.first.claim(id, 2), (30.0, 5.0), strict=True):
        fleet.first.record(id, Retrying(claim=claim, failure=failure, delay_seconds=0.0, hold_seconds=seconds))
    fleet.shift(6)
    assert fleet.claim(id) == []


@pytest.mark.parametrize("fleet", [""], indirect=True)
def test_what_a_job_waited_for_a_busy_provider_is_kept(fleet):
    """From claim to claim, beside its tries, until it is begun anew; meanwhile the run says whom it waits for, and how long."""
    id = fleet.first.submit(texts(), 1)
    busy = Failure(error_class=ErrorClass.TRANSIENT, message="busy")
    (claim,) = fleet.first.claim(id)
    fleet.first.record(id, Retrying(claim=claim, failure=busy, delay_seconds=30.0, hold_seconds=20.0))
    words = str(fleet.first.overview(id).waiting_for)
    assert words.startswith("the rate limit of offline: next start in ")
    assert words.endswith(" s, as offline asked")
    fleet.shift(20)
    words = str(fleet.first.overview(id).waiting_for)
    assert words.startswith("a retry in ")
    assert words.endswith(" s: offline is busy, and said when to come back")
    for expected in (30.0, 50.0):
        with fleet.database.engine.begin() as connection:
            connection.execute(text("UPDATE agent_jobs SET due = 0"))
        (claim,) = fleet.first.claim(id)
        assert (claim.waited, claim.tries) == (expected, 1)
        last = Retrying(claim=claim, failure=busy, delay_seconds=20.0, hold_seconds=0.1)
        fleet.first.record(id, last if expected == 30.0 else Failed(claim=claim, failure=busy))
        fleet.shift(1)
    fleet.first.controls.retry(id)
    assert [claim.waited for claim in fleet.first.claim(id)] == [0.0]


def test_rates_cost_nothing_where_none_can_hold(database):
    """A plan of plain functions is claimed without a read of the rates."""
    driver = Driver(database)
    driver.recorder.rates = ClaimPolicy(parse_rates("offline=1/h"), "offline")
    id = driver.submit(chain(1), 2)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE rate_limits"))
    assert len(driver.claim(id, 2)) == 2


def test_rates_are_read_from_a_setting():
    """By provider or node type, per second, minute or hour."""
    first, second = parse_rates("openai=90/m, generate_image=2/s")
    assert first == Rate(key="openai", count=90, seconds=60.0)
    assert (first.interval, first.burst) == (60 / 90, 1)
    assert (second.interval, second.burst) == (0.5, 2)
    assert parse_rates("") == ()


@pytest.mark.parametrize(
    "said", ["openai", "openai=0/s", "openai=1/d", "openai=1.5/s", "=1/s", "a=1/s a=2/s", "a=9999999/s"]
)
def test_a_rate_that_cannot_be_read_is_named(said):
    """The setting is refused with what is allowed."""
    with pytest.raises(UnreadableRate):
        parse_rates(said)
    with pytest.raises(SettingsError, match="XTYL_RATES is") as caught:
        load_settings({"XTYL_RATES": said})
    assert "openai=60/m" in (caught.value.hint or "")


def test_a_rate_for_nothing_is_refused():
    """A name that is misspelt would limit nothing, and cost money."""
    with pytest.raises(SettingsError, match="'opneai'") as caught:
        read_claim_policy(load_settings({"XTYL_RATES": "opneai=1/s"}))
    assert "'openai'" in (caught.value.hint or "")
    assert read_claim_policy(load_settings({"XTYL_RATES": "call=1/s"})).by_key["call"].count == 1


def test_an_alarm_rings_once_at_the_earliest_time():
    """However often it is set for one name, and for every name."""
    rung: list[str] = []
    alarm = Alarm(rung.append)
    alarm.set("late", 60)
    alarm.set("soon", 60)
    alarm.set("soon", 0.01)
    alarm.set("soon", 60)
    alarm.set("other", 0.02)
    wait_until(lambda: len(rung) == 2)
    assert rung == ["soon", "other"]


def test_recorders_without_rates_have_none(database):
    """Rates are what the settings say and nothing else."""
    assert Recorder(database, "me", 1.0, lambda events: None, Driver(database).plans.load).rates.by_key == {}


@pytest.mark.parametrize(
    ("said", "heard"),
    [("2", 2.0), (-5, 0.0), (1e9, 3600.0), (float("inf"), 3600.0), (float("nan"), None), ("soon", None)],
)
def test_a_time_to_come_back_is_a_time(said, heard):
    """Whatever a server or a user's code says, the stored value is seconds, an hour at most, or none."""
    assert TransientError("busy", retry_after=said).retry_after == heard


def test_a_rate_that_was_raised_holds_at_once(fleet):
    """The use under a slower rate does not shut the faster one."""
    fleet.second.recorder.rates = ClaimPolicy(parse_rates("offline=1/h"), "offline")
    id = fleet.first.submit(texts(), ROWS)
    assert len(fleet.second.claim(id)) == 1
    assert fleet.first.recorder.record([], id, 1).wait_seconds <= 2.0


STARTS = text("SELECT started FROM job_attempts ORDER BY started")
DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


def in_parallel(drivers: list[Driver], work) -> None:
    """One thread for each worker process's recorder, all at once."""
    with ThreadPoolExecutor(len(drivers)) as pool:
        list(pool.map(work, drivers))


def fleet_of(database: Database, count: int, rates: str) -> list[Driver]:
    drivers = [Driver(database, f"worker-{place}") for place in range(count)]
    for driver in drivers:
        driver.recorder.rates = ClaimPolicy(parse_rates(rates), "offline")
    return drivers


def test_workers_at_the_same_moment_take_no_permit_twice(database):
    """Four ask at once, each for a run of its own, so that nothing but the rate stands between them."""
    drivers = fleet_of(database, 4, "offline=40/s")
    runs = {driver.recorder.owner: driver.submit(texts(), 150) for driver in drivers}
    in_parallel(drivers, lambda driver: [driver.claim(runs[driver.recorder.owner]) for _ in range(150)])
    with database.engine.connect() as connection:
        starts = [row[0] for row in connection.execute(STARTS)]
    assert len(starts) >= 40
    assert len(starts) <= 40 * (1 + starts[-1] - starts[0]) + 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_keys_are_locked_in_one_order(database):
    """Workers that commit for two runs at once, one asking first one provider and one the other, never wait in a circle."""
    drivers = fleet_of(database, 2, "offline=1000000/s openai=1000000/s")
    plans = [plan_of({"n": ("generate_copy", {"prompt": "x", "provider": name})}, []) for name in ("offline", "openai")]
    ids = sorted(drivers[0].submit(plan, 300) for plan in plans)

    def work(driver: Driver) -> None:
        known = [Completed(claim=claim, output="{}", cached=True) for id in ids for claim in driver.claim(id, 100)]
        for first, second in zip(known[:100], reversed(known[100:]), strict=True):
            driver.recorder.record([first, second], ids[0] if driver is drivers[0] else ids[1], 1)

    in_parallel(drivers, work)
    with database.engine.connect() as connection:
        assert connection.execute(DEADLOCKS).scalar() == 0


class Listening(Transaction):
    """Remembers the keys that are looked up."""

    def row(self, statement, parameters=None):
        self.keys = [*getattr(self, "keys", []), parameters["key"]]
        return super().row(statement, parameters)


def test_keys_are_looked_up_in_one_order(database):
    """So that processes with sets in other orders than ours lock them as we do."""
    kinds = ["generate_image", "call", "attach", "parallel", "generate_copy"]
    driver = fleet_of(database, 1, " ".join(f"{kind}=1/s" for kind in (*kinds, "offline", "openai")))[0]
    nodes = {kind: (kind, {"prompt": "x", "provider": "openai"} if "generate" in kind else {}) for kind in kinds}
    id = driver.submit(plan_of(nodes | {"other": ("generate_copy", {"prompt": "x", "provider": "offline"})}, []))
    with database.write() as transaction:
        listening = Listening(transaction._cursor, transaction._compiled, is_sqlite=transaction.is_sqlite)
        Permits(listening, driver.recorder.rates, 0.0, [LockedExecution(transaction, id, driver.plans.load)], [])
    assert list(dict.fromkeys(listening.keys)) == sorted([*kinds, "offline", "openai"])


def test_a_job_that_never_started_gives_its_permit_back(fleet):
    """It was given back before its effect: the next one need not wait for it."""
    id = fleet.first.submit(texts(), ROWS)
    (claim,) = fleet.first.claim(id)
    fleet.first.record(id, Released(claim=claim, because="released", may_have_started=True))
    assert fleet.claim(id) == []
    fleet.shift(2.0)
    (claim,) = fleet.first.claim(id)
    fleet.first.record(id, Released(claim=claim, because="released"))
    assert len(fleet.claim(id)) == 1


def test_a_job_that_never_started_before_a_stop_gives_its_permit_back_once(fleet):
    """Its job is stopped, and only its attempt ends: the permit is free for another run."""
    stopped, id = (fleet.first.submit(texts(), ROWS) for _ in range(2))
    (claim,) = fleet.claim(stopped)
    fleet.first.controls.stop(stopped)
    assert fleet.claim(id) == []
    fleet.first.record(stopped, Released(claim=claim, because="released"))
    assert len(fleet.claim(id)) == 1
    fleet.first.record(stopped, Released(claim=claim, because="released"))
    assert fleet.claim(id) == []


def test_a_give_back_counts_once(fleet):
    """A commit whose answer was lost is made again, and changes nothing the second time."""
    id = fleet.first.submit(texts(), ROWS)
    (claim,) = fleet.first.claim(id)
    known = Completed(claim=claim, output="{}", cached=True)
    for _ in range(3):
        fleet.first.record(id, known)
    assert len(fleet.claim(id)) == 1
    assert fleet.claim(id) == []


@pytest.mark.parametrize("fleet", ["offline=30/m openai=1/m"], indirect=True)
def test_who_looks_need_not_know_the_rates(fleet):
    """A kernel without the setting shows the cause and the length of a run's wait, as the workers know it."""
    id = fleet.first.submit(texts(pictures=True), ROWS)
    assert len(fleet.claim(id)) == 2
    plan = fleet.first.queries.plan(id)

    def seen(*nodes: str):
        with fleet.database.read() as transaction:
            return next_start(transaction, plan, nodes, ClaimPolicy((), "offline"))

    keys, seconds = seen("draft", "picture")
    assert keys == ("offline", "openai")
    assert 0 < seconds <= 2
    assert seen("picture")[1] > 2
    fleet.shift(2)
    assert seen("draft", "picture") is None
