"""The jobs that a worker claims where some types are heavy, the notifications for the others, and that no job is left
for good.
"""

from __future__ import annotations

import pytest

from engine_driver import Driver, completed
from plans import plan_of
from xtyl_engine.broker.celery_app import HEAVY_QUEUE, QUEUE, queues_for
from xtyl_engine.database.connection import Database
from xtyl_engine.rates import parse_rates
from xtyl_engine.scheduler.rate_limits.permits import ClaimPolicy, read_claim_policy
from xtyl_engine.scheduler.routing import Route, awaited, read_route
from xtyl_engine.settings import SettingsError, load_settings

HEAVY = frozenset({"call"})
SHARED = {"XTYL_REDIS_URL": "redis://h", "XTYL_HEAVY": "call"}


def mixed():
    """A text, a function of it, a text of that, and a text by itself."""
    nodes = {
        "draft": {"type": "generate_copy"},
        "work": {"type": "call"},
        "answer": {"type": "generate_copy"},
        "aside": {"type": "generate_copy"},
    }
    return plan_of(nodes, [("draft", "work"), ("work", "answer")])


class Sides:
    """A worker's recorder of each kind on one database."""

    def __init__(self, database: Database, rates: str = ""):
        self.light, self.heavy = Driver(database, "light"), Driver(database, "heavy")
        for driver, is_heavy in ((self.light, False), (self.heavy, True)):
            driver.recorder.rates = ClaimPolicy(parse_rates(rates), "offline", Route(HEAVY, is_heavy))


@pytest.fixture
def sides(database: Database) -> Sides:
    return Sides(database)


def names(claims) -> list[str]:
    return [f"{claim.node}@{claim.item}" for claim in claims]


def test_each_kind_claims_its_own(sides):
    """Neither takes the other's jobs, though they are the only ones that are ready."""
    id = sides.light.submit(mixed(), 2)
    assert sides.heavy.claim(id, 8) == ()
    first = sides.light.claim(id, 8)
    assert names(first) == ["draft@0", "aside@0", "draft@1", "aside@1"]
    sides.light.record(id, *map(completed, first))
    assert sides.light.claim(id, 8) == ()
    works = sides.heavy.claim(id, 8)
    assert names(works) == ["work@0", "work@1"]
    sides.heavy.record(id, *map(completed, works))
    assert sides.heavy.claim(id, 8) == ()
    answers = sides.light.claim(id, 8)
    assert names(answers) == ["answer@0", "answer@1"]
    sides.light.record(id, *map(completed, answers))
    assert sides.light.state(id) == "completed"


def test_the_first_that_becomes_ready_for_others_is_told(sides):
    """Those after it are not, until the others have taken all ready ones: then they look no more by themselves."""
    id = sides.light.submit(mixed(), 3)
    recorder = sides.light.recorder
    drafts = [claim for claim in sides.light.claim(id, 8) if claim.node == "draft"]
    assert recorder.record([completed(drafts[0])], id, 0).elsewhere
    assert not recorder.record([completed(drafts[1])], id, 0).elsewhere
    assert len(sides.heavy.claim(id, 8)) == 2
    assert recorder.record([completed(drafts[2])], id, 0).elsewhere


def test_jobs_that_free_none_for_others_notify_none(sides):
    """Nor does a worker that claims everything."""
    id = sides.light.submit(mixed(), 1)
    claims = {claim.node: claim for claim in sides.light.claim(id, 8)}
    assert not sides.light.recorder.record([completed(claims["aside"])], id, 0).elsewhere
    sides.light.recorder.rates = ClaimPolicy()
    assert not sides.light.recorder.record([completed(claims["draft"])], id, 1).elsewhere


def test_jobs_of_others_are_no_reason_to_ask_again_soon(sides):
    """Only a rate is: a worker that left the rest to others waits for a notification."""
    id = sides.light.submit(mixed(), 1)
    assert sides.heavy.recorder.record([], id, 1).wait_seconds is None


def test_a_rate_holds_beside_a_route(database):
    """What the rate lets start now is claimed here alone, and the rest waits for it."""
    sides = Sides(database, "generate_copy=30/m")
    id = sides.light.submit(mixed(), 2)
    assert sides.heavy.claim(id, 8) == ()
    assert names(sides.light.claim(id, 8)) == ["draft@0"]
    assert (sides.light.recorder.record([], id, 1).wait_seconds or 0) > 0
    assert sides.heavy.recorder.record([], id, 1).wait_seconds is None


def test_who_is_hinted():
    """A notification goes to the workers that claim jobs of these types; to all if the types are not known; to one
    queue if no type is heavy."""
    assert queues_for(frozenset(), ["call"]) == (QUEUE,)
    assert queues_for(HEAVY) == (QUEUE, HEAVY_QUEUE)
    assert queues_for(HEAVY, ["call"]) == (HEAVY_QUEUE,)
    assert queues_for(HEAVY, ["generate_copy"]) == (QUEUE,)
    assert queues_for(HEAVY, ["generate_copy", "call"]) == (QUEUE, HEAVY_QUEUE)


def test_who_claims_everything_hears_everything():
    """It hears from a client that tells heavy types apart too; with heavy types each kind hears its own."""
    assert Route().queues == (QUEUE, HEAVY_QUEUE)
    assert (Route(HEAVY).queues, Route(HEAVY, True).queues) == ((QUEUE,), (HEAVY_QUEUE,))
    assert (Route(HEAVY).other_queue, Route(HEAVY, True).other_queue) == (HEAVY_QUEUE, QUEUE)


def test_the_worker_that_is_awaited_is_named():
    """It is named by the types it must serve, if only one kind would do."""
    assert awaited(frozenset(), {"call"}) == "a worker"
    assert awaited(HEAVY, {"call", "review"}) == "a worker"
    assert awaited(HEAVY, {"call"}) == "a worker for call: `xtyl worker --pool prefork`"
    assert awaited(HEAVY, {"attach", "review"}) == "a worker for attach, review: `xtyl worker --pool threads`"


def test_a_type_that_is_not_there_is_refused_by_who_would_run_it():
    """The refusal has the closest name; other workers need not have the package that offers it."""
    given = {**SHARED, "XTYL_HEAVY": "cal"}
    assert read_claim_policy(load_settings(given)).route.heavy == {"cal"}
    with pytest.raises(SettingsError, match="Did you mean 'call'"):
        read_route(load_settings({**given, "XTYL_POOL": "prefork"}))
    with pytest.raises(SettingsError, match="XTYL_HEAVY"):
        load_settings({**SHARED, "XTYL_HEAVY": "call=2"})


def test_a_type_that_is_not_installed_does_not_hinder_others(database):
    """A worker that leaves a type to others needs to know nothing of it."""
    driver = Driver(database)
    driver.recorder.rates = ClaimPolicy((), "offline", Route(frozenset({"elsewhere"})))
    nodes = {"far": {"type": "elsewhere"}, "near": {"type": "generate_copy"}}
    assert names(driver.claim(driver.submit(plan_of(nodes, [])), 8)) == ["near@0"]
