"""Old executions are removed whole, with everything that only they needed; anything that another needs, or may need in
a moment, stays.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis
from sqlalchemy import Delete, func, insert, inspect, select, text, update

import xtyl_nb as xt
from servers import wait_until
from workbench import Workbench, workbench
from xtyl_engine.broker.live_events import forget_streams
from xtyl_engine.broker.redis_client import stream_key
from xtyl_engine.database.connection import Database, Now
from xtyl_engine.database.retention import executions as pruning
from xtyl_engine.database.retention.executions import Retention, prune, prune_templates
from xtyl_engine.database.retention.files import GRACE_SECONDS, files_in, mentioned, sweep
from xtyl_engine.database.retention.keeper import Housekeeper, Tally, foresee, keep_house, tidy
from xtyl_engine.database.tables import attempt_answers, events, executions, jobs, rate_limits, rows
from xtyl_engine.scheduler import submit as submission
from xtyl_engine.scheduler.templates import keep_version

DAY = 86_400.0
KEPT = Retention(seconds=30 * DAY)
IMAGE: dict[str, Any] = {"size": "16x16", "cache": False}


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as made:
        yield made


@pytest.fixture
def tidied(bench: Workbench) -> Callable[..., Tally]:
    """Remove everything older than thirty days; the removed."""

    def run(retention: Retention = KEPT, database: Database = bench.backend.database) -> Tally:
        url = bench.settings.event_url
        *_, tally = tidy(database, bench.backend.store.folder, retention, lambda ids: forget_streams(url, ids))
        return tally

    return run


class Interrupted(Database):
    """A database whose user interrupts the program before it removes jobs, events or rows for the `point`-th time."""

    point = 0

    def compiled(self, statement: Any) -> Any:
        if isinstance(statement, Delete) and statement.table in (jobs, events, rows):
            self.point -= 1
            if self.point < 0:
                raise KeyboardInterrupt
        return super().compiled(statement)


class Late(Database):
    """A database in which things happen before the next write."""

    meanwhile: list[Callable[[], object]]

    def transact(self, work: Any, *, seconds: float | None = None) -> Any:
        while self.meanwhile:
            self.meanwhile.pop()()
        return super().transact(work, seconds=seconds)


def age(bench: Workbench, run: xt.Run, days: float = 31.0) -> None:
    """Make a run end that long ago."""
    words = update(executions).where(executions.c.id == run.id).values(finished=Now() - days * DAY)
    with bench.backend.database.engine.begin() as connection:
        connection.execute(words)


def age_files(bench: Workbench, seconds: float = 2 * GRACE_SECONDS) -> None:
    """Make every stored file that old."""
    for path in files_in(bench.backend.store.folder):
        os.utime(path, (time.time() - seconds,) * 2)


def left(bench: Workbench) -> dict[str, int]:
    """The number of rows in each table."""
    engine = bench.backend.database.engine
    with engine.connect() as connection:
        names = [name for name in inspect(engine).get_table_names() if name not in ("alembic_version", "rate_limits")]
        return {name: int(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() or 0) for name in names}


def names(bench: Workbench) -> set[str]:
    return {path.name for path in files_in(bench.backend.store.folder)}


def big(word: str) -> object:
    """A result too large for a row, with a picture and a table with a picture in it."""
    from PIL import Image

    picture = Image.new("RGB", (3, 3), word)
    table = pd.DataFrame({"shot": [Image.new("RGB", (4, 4), word)]})
    return {"padding": word * 200_000, "picture": picture, "table": [table]}


def test_an_old_run_goes_with_all_that_was_its_own(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """Rows, jobs, attempts, what they printed, events, decisions, functions, files and live events are gone; a read says so."""

    def said(word: str) -> str:
        sys.stdout.write(word)
        return word

    flow = xt.Workflow("old").generate_image("art", prompt="{{ word }}", n=2, **IMAGE).review("pick", of="art")
    flow = flow.conditional(
        "way", when="{{ word == 'lamp' }}", then=lambda flow: flow.call("more", lambda word: word, word="{{ word }}")
    )
    run = bench.done(
        flow.call("again", said, word="{{ word }}"),
        [{"word": "lamp"}],
    )
    run.approve("pick", choose=[0])
    bench.work(run)
    assert run.state == "completed"
    events = redis.Redis.from_url(bench.settings.event_url)
    wait_until(lambda: events.exists(stream_key(run.id)))
    job = bench.backend.queries.jobs(run.id)[0].id
    misfit = {"job_id": job, "number": 1, "answer": "no JSON", "reason": "it is no JSON"}
    bench.backend.database.transact(lambda transaction: transaction.run(insert(attempt_answers), misfit))
    before = left(bench)
    assert all(before.values())
    age(bench, run)
    age_files(bench)
    foreseen = foresee(bench.backend.database, bench.backend.store.folder, KEPT)
    assert left(bench) == before
    tally = tidied()
    assert (tally.executions, tally.jobs, tally.files) == (1, 6, 2)
    assert (foreseen.executions, foreseen.jobs, foreseen.files, foreseen.bytes) == (1, 6, 2, tally.bytes)
    # The newest plan of a name stays: it may be run by its name.
    assert {name for name, count in left(bench).items() if count} == {"workflow_templates", "template_versions"}
    assert names(bench) == set()
    assert not events.exists(stream_key(run.id))
    events.close()
    with pytest.raises(xt.RunNotFound):
        xt.attach(run.id)
    with pytest.raises(xt.RunNotFound):
        run.frame()


def test_what_is_young_unfinished_or_failed_stays_as_asked(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """A waiting run is never old, a failed one stays where failures are kept, a file that two share stays with the second."""
    flow = xt.Workflow("shared").generate_image("art", prompt="same", size="16x16")
    first, second = bench.done(flow), bench.done(flow)
    waiting = bench.done(xt.Workflow("waits").generate_image("art", prompt="other", **IMAGE).review("pick", of="art"))
    failed = bench.done(xt.Workflow("fails").call("parsed", int, x="no number"))
    for run in (first, waiting, failed):
        age(bench, run)
    age_files(bench)
    assert tidied(Retention(seconds=KEPT.seconds, keep_failed=True)).executions == 1
    assert [waiting.state, failed.state, second.state] == ["running", "failed", "completed"]
    assert len(names(bench)) == 2
    waiting.approve("pick", choose=[0])
    assert Path(second.frame()["art"].iloc[0]).exists()
    assert tidied().executions == 1
    assert set(xt.runs().index) == {second.id, waiting.id}


def test_large_results_keep_what_they_hold(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """A result in a file, a table in it, and pictures in both stay as long as their run, and go with it."""
    run = bench.done(xt.Workflow("large").call("made", big, word="red"))
    assert run.state == "completed", run.frame()["error"].iloc[0]
    age_files(bench)
    assert len(names(bench)) == 4
    assert tidied().files == 0
    age(bench, run)
    assert tidied().files == 4


def test_a_file_of_a_running_job_is_never_removed(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """A file that a job has stored and not yet recorded stays, however long ago, and so does one younger than a day; a
    crash's leftovers go."""
    store = bench.backend.store
    run = xt.Workflow("slow").generate_copy("line", prompt="x", cache=False).run()
    (claim,) = bench.recorder.record([], run.id, 1).claims
    path = store.path(store.save(b"of a running job", "text/plain"))
    partial = path.with_name(".abc.partial")
    partial.write_bytes(b"half")
    age_files(bench)
    with bench.backend.database.engine.begin() as connection:
        connection.execute(text("UPDATE agent_jobs SET started = started - 345600"))
    assert tidied().files == 0
    bench.recorder.record([bench.executor.execute(claim)], run.id, 0)
    assert run.state == "completed"
    young = store.path(store.save(b"stored a moment ago", "text/plain"))
    assert tidied().files == 2
    assert names(bench) == {young.name}


def test_what_is_referred_to_anew_is_new(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """A file that is saved again, uploaded again or taken from the cache outlives the run that made it."""
    flow = xt.Workflow("first").generate_image("art", prompt="same", size="16x16")
    first = bench.done(flow)
    path = Path(first.frame()["art"].iloc[0])
    (reference,) = first.outputs("art")["image"]
    assert reference == str(path)
    for again in (
        lambda: bench.backend.store.save(path.read_bytes(), "image/png"),
        lambda: bench.done(flow),
    ):
        age_files(bench)
        again()
        assert path.stat().st_mtime > time.time() - 60
    assert bench.done(flow).jobs()["cached"].tolist() == [True]


def test_a_cached_result_whose_file_is_gone_is_made_again(bench: Workbench) -> None:
    """No job gets a reference to a missing file."""
    flow = xt.Workflow("first").generate_image("art", prompt="same", size="16x16")
    path = Path(bench.done(flow).frame()["art"].iloc[0])
    path.unlink()
    assert bench.done(flow).jobs()["cached"].tolist() == [False]
    assert path.exists()


def test_a_file_made_new_during_its_removal_is_put_back(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its age and its removal a file may be referred to again: it is where it was, whole."""
    store = bench.backend.store
    path = store.path(store.save(b"wanted after all", "text/plain"))
    age_files(bench)
    rename = os.rename

    def meanwhile(source: object, target: object) -> None:
        os.utime(path)
        monkeypatch.setattr(os, "rename", rename)
        rename(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", meanwhile)
    folder = store.folder
    assert list(sweep(bench.backend.database, folder, mentioned(bench.backend.database, folder))) == []
    assert path.read_bytes() == b"wanted after all"


@pytest.mark.parametrize("point", range(4))
def test_an_interrupt_leaves_nothing_half_done(
    bench: Workbench, tidied: Callable[..., Tally], monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """Wherever a removal is cut off, a run is whole or gone, and the next removal takes the rest."""
    monkeypatch.setattr(pruning, "STEP_ROWS", 3)
    run = bench.done(xt.Workflow("old").generate_copy("line", prompt="{{ a }}", n=4), [{"a": "x"}, {"a": "y"}])
    frame = run.frame()
    age(bench, run)
    database = Interrupted(bench.backend.database.url)
    database.point = point
    with pytest.raises(KeyboardInterrupt):
        tidied(database=database)
    database.close()
    try:
        pd.testing.assert_frame_equal(run.frame(), frame)
    except xt.RunNotFound:
        assert bench.backend.database.is_sqlite
    assert tidied().jobs > 0
    assert {name for name, count in left(bench).items() if count} == {"workflow_templates", "template_versions"}


def test_a_run_that_is_taken_up_again_stays(bench: Workbench) -> None:
    """Of a retry and a removal at the same moment one wins; a retried run is whole."""
    runs = [bench.done(xt.Workflow("fails").call("parsed", int, x=f"no {n}")) for n in range(10)]
    for run in runs:
        age(bench, run)
    went: set[str] = set()
    thread = threading.Thread(target=lambda: went.update(id for id, _ in prune(bench.backend.database, KEPT)))
    thread.start()
    stayed = set()
    for run in reversed(runs):
        try:
            run.retry()
            stayed.add(run.id)
        except xt.RunNotFound:
            pass
    thread.join()
    assert went | stayed == {run.id for run in runs}
    assert not went & stayed
    for run in runs:
        if run.id in stayed:
            assert bench.work(run).state == "failed"


def test_a_run_taken_up_after_it_was_chosen_stays(bench: Workbench) -> None:
    """A run may be retried between the list of old ones and its removal: it is checked again."""
    run = bench.done(xt.Workflow("fails").call("parsed", int, x="no"))
    age(bench, run)
    database = Late(bench.backend.database.url)
    database.meanwhile = [run.retry]
    assert list(prune(database, KEPT)) == []
    assert database.meanwhile == []
    database.close()
    assert bench.work(run).state == "failed"


def test_a_plan_is_kept_while_it_is_the_newest_or_run(bench: Workbench, tidied: Callable[..., Tally]) -> None:
    """A plan that a newer one replaced goes with its last run; a submission at that moment writes it again."""
    old = xt.Workflow("poster").generate_copy("line", prompt="one")
    run, newer = bench.done(old), bench.done(xt.Workflow("poster").generate_copy("line", prompt="two"))
    with bench.backend.database.engine.begin() as connection:
        connection.execute(text("UPDATE template_versions SET created = created - 4000000"))
        columns = "name, 1, template_id, created FROM template_versions WHERE version = 1"
        words = f"INSERT INTO template_versions SELECT 'other', {columns}"
        connection.execute(text(words))
    assert tidied().plans == 0
    age(bench, run)
    age(bench, newer)
    assert tidied().plans == 0
    assert left(bench)["template_versions"] == 2
    with bench.backend.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE template_versions SET project = 'default', version = 0 WHERE project = 'other'")
        )
    assert tidied().plans == 1
    assert left(bench)["template_versions"] == 1
    assert bench.done(old).state == "completed"


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_plan_removed_during_a_submission_is_written_again(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission that saw the plan just before its removal does not fail."""
    old = xt.Workflow("poster").generate_copy("line", prompt="one")
    for flow in (old, xt.Workflow("poster").generate_copy("line", prompt="two")):
        age(bench, bench.done(flow))
    database = bench.backend.database
    assert len(list(prune(database, KEPT))) == 2
    removed: list[int] = []

    def meanwhile(*arguments: object) -> None:
        keep_version(*arguments)  # type: ignore[arg-type]
        removed.append(prune_templates(database, Retention(seconds=-60.0)))

    monkeypatch.setattr(submission, "keep_version", meanwhile)
    run = bench.done(old)
    assert removed == [1, 0]
    assert run.state == "completed"


def test_workers_take_turns(bench: Workbench) -> None:
    """Of several keepers one tidies, and no other for a day; one that died leaves its turn to others."""
    database, folder = bench.backend.database, bench.backend.store.folder
    keepers = [Housekeeper(database, folder, KEPT, lambda ids: None) for _ in range(3)]
    age(bench, bench.done(xt.Workflow("old").generate_copy("line", prompt="x")))
    assert [keeper.look() is not None for keeper in keepers] == [True, False, False]
    assert xt.runs().empty
    with database.engine.begin() as connection:
        held = connection.execute(select(rate_limits.c.held_until - Now())).scalar_one()
        assert held > DAY - 60
        connection.execute(update(rate_limits).values(held_until=Now()))
    assert keepers[1].look() == Tally()
    with database.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(rate_limits)).scalar() == 1


def test_a_worker_tidies_where_it_is_told_to(bench: Workbench) -> None:
    """With XTYL_RETENTION_DAYS an old run is removed without a command; without it none is."""
    from dataclasses import replace

    run = bench.done(xt.Workflow("old").generate_copy("line", prompt="x"))
    age(bench, run)
    assert keep_house(bench.settings, bench.backend.database, lambda ids: None) is None
    keeper = keep_house(replace(bench.settings, retention_days=30), bench.backend.database, lambda ids: None)
    assert keeper is not None
    wait_until(lambda: xt.runs().empty)
    keeper.end()


def pass_time(database: Database, seconds: float, *, seen: bool) -> None:
    """Move all that is recorded into the past, as if the clock went so far ahead; `seen` if a worker looked all the while."""
    with database.engine.begin() as connection:
        connection.execute(
            text("UPDATE workflow_executions SET created = created - :s, finished = finished - :s"), {"s": seconds}
        )
        connection.execute(text("UPDATE template_versions SET created = created - :s"), {"s": seconds})
        connection.execute(text("UPDATE rate_limits SET tat = tat - :s, held_until = held_until - :s"), {"s": seconds})
        if not seen:
            connection.execute(text("UPDATE rate_limits SET since = since - :s"), {"s": seconds})


def test_a_clock_years_ahead_removes_nothing(bench: Workbench) -> None:
    """What ended today is not old because the clock says so: nothing is removed at once, nothing in the days after, and the run
    goes when the workers have seen as much time pass as it is to be kept. Nor is a plan that was replaced today."""
    database, run = bench.backend.database, bench.done(xt.Workflow("one").generate_copy("line", prompt="x"))
    replaced = bench.done(xt.Workflow("two").generate_copy("line", prompt="before"))
    bench.done(xt.Workflow("two").generate_copy("line", prompt="after"))
    age(bench, replaced)
    assert len(list(prune(database, KEPT))) == 1
    keeper = Housekeeper(database, bench.backend.store.folder, KEPT, lambda ids: None)
    assert keeper.look() == Tally()
    pass_time(database, 1_000 * DAY, seen=False)
    assert keeper.look() is None
    for _ in range(29):
        pass_time(database, DAY, seen=True)
        assert keeper.look() == Tally()
    assert run.state == "completed"
    pass_time(database, 1.1 * DAY, seen=True)
    found = keeper.look()
    assert found is not None
    assert (found.executions, found.plans) == (2, 1)


def test_a_clock_that_was_set_back_does_not_end_the_removal(bench: Workbench) -> None:
    """A turn taken, and a doubt noted, at a time that now lies years ahead count no more."""
    database = bench.backend.database
    bench.done(xt.Workflow("one").generate_copy("line", prompt="x"))
    keeper = Housekeeper(database, bench.backend.store.folder, KEPT, lambda ids: None)
    keeper.look()
    pass_time(database, -1_000 * DAY, seen=False)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE workflow_executions SET finished = 1, created = 1"))
        connection.execute(text("UPDATE rate_limits SET tat = since"))
    found = keeper.look()
    assert found is not None
    assert found.executions == 1
