"""Each move of a job, tried from every state: it is made from those the table names, and from no other."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from engine_driver import Driver
from plans import chain
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.scheduler import transitions
from xtyl_engine.states import JOB_TRANSITIONS, JobState

STATEMENTS: dict[str, Any] = {
    "unblock": transitions.COUNT_DOWN[False],
    "claim": transitions.CLAIM,
    "complete": transitions.COMPLETE,
    "wait": transitions.WAIT,
    "decide": transitions.DECIDE,
    "retry": transitions.RETRY,
    "release": transitions.RELEASE,
    "lose": transitions.LOSE,
    "fail": transitions.FAIL,
    "quarantine": transitions.QUARANTINE,
    "skip": transitions.SKIP_CUT[False],
    "stop": transitions.STOP_ALL.stop,
    "reopen": transitions.REOPEN,
    "another": transitions.ANOTHER,
    "go_on": transitions.GO_ON,
}
GIVEN: dict[str, Any] = {
    "node": "n0", "item": "0", "number": 1, "owner": "me", "by": 1, "add": 1, "now": 2.0, "due": 0.0, "tries": 1, "lease": 1.0,
    "waited": 0.0, "started": 2.0, "cached": 0, "reason": "lost", "deaths": 1,
}  # fmt: skip
STAND = text(
    "UPDATE agent_jobs SET state = :state, because = 'first', owner = 'me', attempt = 1, lease = 1, pending = 1, live = 0 "
    "WHERE id = :id"
)
IN_FLIGHT = text("INSERT INTO job_attempts (job_id, number, because, owner, started) VALUES (:id, 1, 'first', 'me', 1)")


def test_every_move_has_its_statement() -> None:
    """None is made anywhere else."""
    assert set(STATEMENTS) == set(JOB_TRANSITIONS)


@pytest.mark.parametrize("name", JOB_TRANSITIONS)
def test_a_move_is_made_from_its_own_states_alone(database: Database, name: str) -> None:
    """From each other state the statement touches nothing."""
    driver = Driver(database)
    id = driver.submit(chain(1))
    job = driver.jobs(id)["n0", "0"].id
    given = GIVEN | {"execution_id": id, "job_id": job}
    found = STATEMENTS[name]
    statements = list(found.values()) if isinstance(found, dict) else [found]
    names = statements[0].compile(dialect=database.engine.dialect).params
    became = {}
    with database.engine.begin() as connection:
        connection.execute(IN_FLIGHT, {"id": job})
    for state in JobState:
        with database.engine.begin() as connection:
            connection.execute(STAND, {"state": str(state), "id": job})
        with database.write() as transaction:
            # A statement that returns rows is over when they are read.
            execute = transaction.rows if name in ("skip", "unblock") else transaction.run
            for statement in statements:
                execute(statement, {key: given.get(key) for key, kept in names.items() if key in given or kept is None})
        became[state] = driver.queries.node_states(id, "n0")["0"]
    move = JOB_TRANSITIONS[name]
    assert became == {state: move.target if state in move.sources else state for state in JobState}


@pytest.mark.parametrize("name", ["lose", "quarantine"])
def test_a_lease_that_was_renewed_in_time_is_not_lost(database: Database, name: str) -> None:
    """Its worker was heard of between the sweep's look and its write."""
    driver = Driver(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    with database.write() as transaction:
        ((*_, seen, _),) = transaction.rows(sql.RUNNING_OF, {"owner": claim.owner})
        held = {"job_id": claim.job_id, "number": 1, "owner": claim.owner}
        assert transaction.run(transitions.BEAT, held | {"lease_seconds": 20.0}) == 1
        given = held | {"lease": seen, "deaths": 1, "reason": "lost", "now": 2.0, "error_class": None, "error": None}
        names = STATEMENTS[name].compile(dialect=database.engine.dialect).params
        assert transaction.run(STATEMENTS[name], {key: given[key] for key in given if key in names}) == 0
    assert driver.states(id) == {"n0@0": "running"}


@pytest.mark.parametrize("name", ["lose", "quarantine"])
def test_what_another_has_begun_since_the_look_is_not_lost(database: Database, name: str) -> None:
    """The job was put back and claimed again between the sweep's look and its write, and its lease is the same by chance."""
    driver = Driver(database)
    id = driver.submit(chain(1))
    (claim,) = driver.claim(id)
    for changed in ({"number": 0}, {"owner": "another"}):
        with database.write() as transaction:
            ((*_, lease, _),) = transaction.rows(sql.RUNNING_OF, {"owner": claim.owner})
            looked = {"job_id": claim.job_id, "number": 1, "owner": claim.owner, "lease": lease} | changed
            given = looked | {"deaths": 1, "reason": "lost", "now": 2.0, "error_class": None, "error": None}
            assert transaction.run(STATEMENTS[name], given) == 0
    assert driver.states(id) == {"n0@0": "running"}
