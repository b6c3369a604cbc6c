"""Submission by key: however often it is sent, it is one execution."""

from __future__ import annotations

import threading

import pytest

from plans import chain
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import KeyReused, LimitExceeded
from xtyl_engine.limits import MAX_FUNCTION_BYTES
from xtyl_engine.queries.executions import Queries
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id, submit
from xtyl_engine.values.functions import PackedFunction


@pytest.fixture
def database(database_url):
    made = Database(database_url)
    ensure_schema(made)
    yield made
    made.close()


def submission(**facts):
    return Submission(id=new_execution_id("keyed"), plan=chain(2), rows=[Row(label=0, values={})], **facts)


def test_the_same_key_is_the_same_execution(database):
    """The second submission makes nothing and gives the first one's id; another project's key is another key."""
    first = submit(database, submission(key="k", digest="d"))
    again = submit(database, submission(key="k", digest="d"))
    other = submit(database, submission(key="k", digest="d", project="press"))
    assert (again.id, again.events) == (first.id, ())
    assert other.id != first.id
    assert {each.id for each in Queries(database, PlanCache()).executions()} == {first.id, other.id}


def test_a_key_is_not_used_for_something_else(database):
    """The error names the execution that has the key, and nothing is written."""
    first = submit(database, submission(key="k", digest="d"))
    with pytest.raises(KeyReused, match=first.id):
        submit(database, submission(key="k", digest="other"))
    assert len(Queries(database, PlanCache()).executions()) == 1


def test_without_a_key_each_submission_counts(database):
    """Two alike are two executions."""
    assert submit(database, submission()).id != submit(database, submission()).id


def packed(name, blob=b"x"):
    """A function as another program might pack and send it."""
    return PackedFunction(digest="0" * 64, name=name, python="3.12", blob=blob, signature="s")


def test_a_functions_name_is_stored_as_it_can_be(database):
    """NUL and lone surrogates in it are replaced, whichever program packed it; both databases take it."""
    id = submit(database, submission(functions=[packed("a\0b\ud800é")])).id
    with database.read() as transaction:
        found = transaction.row(sql.FUNCTION, {"execution_id": id, "digest": "0" * 64})
    assert found[1] == "a\ufffdb?é"


def test_a_function_that_is_too_large_is_refused_unwritten(database):
    """As large as the limit is taken; one byte more is refused by name, and there is no execution."""
    submit(database, submission(functions=[packed("fits", b"x" * MAX_FUNCTION_BYTES)]))
    with pytest.raises(LimitExceeded, match=r"heavy\(\) packs to"):
        submit(database, submission(functions=[packed("heavy", b"x" * (MAX_FUNCTION_BYTES + 1))]))
    assert len(Queries(database, PlanCache()).executions()) == 1


def test_one_key_at_the_same_moment_is_one_execution(database):
    """Of many that race one writes, and all get its id."""
    barrier, found = threading.Barrier(6), []

    def send():
        barrier.wait(20)
        found.append(submit(database, submission(key="k", digest="d")).id)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(found)) == 1
