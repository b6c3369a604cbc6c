"""Submission: by key, however often it is sent, it is one execution; a large one appears whole or not at all."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import delete, func, select

from plans import chain
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.executions import Retention, prune
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.database.tables import executions, jobs
from xtyl_engine.database.tables import rows as rows_table
from xtyl_engine.errors import BackendError, KeyReused, LimitExceeded
from xtyl_engine.failpoints import arm
from xtyl_engine.functions.packed_function import PackedFunction
from xtyl_engine.limits import MAX_FUNCTION_BYTES
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.job_inputs import read_surroundings
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.submit import AT_ONCE, Row, Submission, new_execution_id, submit


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


def test_surroundings_are_stored_with_the_run(database):
    """A worker reads those of the kernel, and nothing where none were given or there is no such run."""
    ids = [submit(database, submission(surroundings=each)).id for each in ('{"python": "/p"}', None)]
    with database.read() as transaction:
        assert [read_surroundings(transaction, id) for id in [*ids, "none"]] == ['{"python": "/p"}', None, None]


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
    assert found[1] == "a\ufffdb\ufffdé"


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


class Observed(Database):
    """A database in which things happen after each write, before the writer goes on."""

    meanwhile = staticmethod(lambda: None)

    def transact(self, work, *, seconds=None):
        done = super().transact(work, seconds=seconds)
        self.meanwhile()
        return done


@pytest.fixture
def observed(database):
    made = Observed(database.url)
    yield made
    made.close()


def large(**facts):
    """More rows and jobs than are written at once."""
    rows = [Row(label=place, values={}) for place in range(AT_ONCE)]
    return Submission(id=new_execution_id("large"), plan=chain(2), rows=rows, **facts)


def stored(database):
    """The numbers of executions, rows and jobs."""
    with database.read() as transaction:
        return tuple(
            transaction.row(select(func.count()).select_from(table))[0] for table in (executions, rows_table, jobs)
        )


WHOLE = (1, AT_ONCE, 2 * AT_ONCE)


def write_something(database):
    """Write as a worker's beat does, without patience."""
    database.transact(lambda transaction: transaction.run(sql.ADD_RATE_LIMIT, {"key": "beat"}), seconds=0)


def test_others_write_while_a_large_submission_goes_on(database, observed):
    """On SQLite it is written in steps, and between two of them another has the writer; it is not seen before it is whole."""
    found = []

    def meanwhile():
        write_something(database)
        found.append(stored(database))

    observed.meanwhile = meanwhile
    submit(observed, large())
    assert found[-1] == WHOLE
    assert len(found) > 2 * database.is_sqlite
    assert [seen for seen, *_ in found[:-1]] == [0] * (len(found) - 1)


def test_an_interrupted_submission_leaves_nothing(database, observed):
    """Ctrl-C in the middle: no execution, no rows, no jobs; submitted again it is whole."""
    ask = large()

    def interrupt():
        observed.meanwhile = lambda: None
        if stored(database)[0] == 0:
            raise KeyboardInterrupt

    observed.meanwhile = interrupt
    if database.is_sqlite:
        with pytest.raises(KeyboardInterrupt):
            submit(observed, ask)
        assert stored(database) == (0, 0, 0)
    submit(observed, ask)
    assert stored(database) == WHOLE


def test_retention_spares_a_submission_that_goes_on(database, observed):
    """Removal of what interrupted programs left behind, between any two steps, takes nothing of it."""
    observed.meanwhile = lambda: list(prune(database, Retention(seconds=0)))
    submit(observed, large())
    assert stored(database) == WHOLE


def test_of_two_large_ones_with_a_key_the_first_to_end_counts(database, observed):
    """The other gets its id, and what it had written is removed."""
    first = []

    def overtake():
        observed.meanwhile = lambda: None
        first.append(submit(database, large(key="k", digest="d")).id)

    observed.meanwhile = overtake
    assert submit(observed, large(key="k", digest="d")).id == first[0]
    assert stored(database) == WHOLE


def test_rows_that_vanish_meanwhile_are_missed(database, observed):
    """An older release's retention takes unseen rows for left behind: the submission is refused, and nothing stays."""

    def vanish():
        observed.meanwhile = lambda: None
        if stored(database)[0] == 0:
            database.transact(lambda transaction: transaction.run(delete(rows_table)))

    observed.meanwhile = vanish
    if database.is_sqlite:
        with pytest.raises(BackendError, match="removed while it was written"):
            submit(observed, large())
        assert stored(database) == (0, 0, 0)
    submit(observed, large())
    assert stored(database) == WHOLE


@pytest.mark.parametrize("point", ["commit/before=cut", "commit/after=cut", "commit/after=cut@2"])
def test_a_large_submission_whose_connection_is_cut_is_written_once(database, tmp_path, point):
    """Whichever commit loses its answer."""
    arm(point, tmp_path)
    try:
        submit(database, large())
    finally:
        arm(None, tmp_path)
    assert stored(database) == WHOLE
