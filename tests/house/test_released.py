"""Data of earlier releases is still there after the upgrade, continues with today's workers, and can be taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from sqlalchemy import text

import xtyl_nb as xt
from keep_schema import kept_frame
from released import (
    PREVIOUS,
    RELEASED,
    SCHEMAS,
    do_before,
    environ_before,
    leave_midway,
    load_dump,
    printed,
    put_back,
    worker_before,
)
from repository import DATA
from served import serve
from servers import embedded_home, empty_database, presence, valkey_server, wait_until
from xtyl_engine.database import schema
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import HEAD, ensure_schema, revision
from xtyl_engine.embedded.client import down, ensure
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_nb.cli.main import main

DUMP = DATA / f"schema-{PREVIOUS}" / "postgres.sql"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind: what a release dumped goes into one of PostgreSQL whole."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'xtyl.db'}"
    return empty_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end of its own, not started, on an empty database of each kind."""
    home = tmp_path / "home" / "xtyl.db"
    url = f"sqlite:///{home}" if database_url.startswith("sqlite") else database_url
    with embedded_home(tmp_path, XTYL_DATABASE_URL=url) as found:
        for name, value in found.to_environ().items():
            monkeypatch.setenv(name, value)
        yield found
        xt.connect()


def attached(name: str) -> xt.Run:
    """The latest run of this name."""
    found = xt.runs()
    return xt.attach(found.index[found["name"] == name][0])


@pytest.mark.parametrize("kept", SCHEMAS)
def test_what_a_release_wrote_is_kept_and_goes_on(kept: str, settings: Settings) -> None:
    """Every run gives the same frame as then, and the one that was paused at its reviews is decided and ends."""
    frames = put_back(kept, settings)
    found = {name: attached(name) for name in frames}
    assert {name: kept_frame(run) for name, run in found.items()} == frames
    paused = found["paused"]
    assert paused.state == "paused"
    paused.approve("pick", choose=[0])
    assert paused.resume().wait(60).state == "completed"
    assert list(paused.frame()["status"]) == ["completed", "completed"]
    assert found["failed"].retry().wait(60).state == "failed"


def jobs_of(run: xt.Run) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of `run.jobs()`, by node and row; times as JSON writes them."""
    found = json.loads(run.jobs().to_json(orient="records", date_format="iso"))
    return {(job["node"], job["row"]): job for job in found}


def has_lost(run: xt.Run, node: str, count: int) -> bool:
    """Whether that many jobs of a node were put back because their worker was gone, and ran again."""
    events = run.events()
    lost = ((events["node"] == node) & (events["kind"] == "job_lost")).sum()
    return lost == count and all(job["status"] == "running" for (id, _), job in jobs_of(run).items() if id == node)


def test_runs_go_on_that_a_release_had_to_leave(settings: Settings) -> None:
    """After its back end was killed: jobs that were over stay so, those that ran are lost and run again, the review is decided,
    the retry comes, and functions by value, by what they name of ours and by import path give their results."""
    left = leave_midway(settings)
    # On purpose: a look starts no back end where the one that was killed left a record of other settings.
    ensure(settings)
    run, before = xt.attach(left["run"]), {(job["node"], job["row"]): job for job in left["jobs"]}
    wait_until(lambda: has_lost(run, "held", 2))
    assert list(run.reviews().index) == [("pick", "a", 0), ("pick", "b", 0)]
    (settings.home / "open").touch()
    run.approve("pick", choose=[0], row="a").reject("pick", row="b", reason="too dark")
    assert run.wait(60).state == "completed"
    after = jobs_of(run)
    completed = [place for place, job in before.items() if job["status"] == "completed"]
    assert sorted(completed) == [("art", "a"), ("art", "b"), ("line", "a"), ("line", "b")]
    assert {place: after[place] | before[place] for place in completed} == {place: after[place] for place in completed}
    assert [after["held", row]["attempts"] for row in "ab"] == [2, 2]
    assert [after["pick", row]["attempts"] for row in "ab"] == [1, 1]
    assert min(after["tried", row]["attempts"] for row in "ab") > 1
    assert [after["kit", row]["status"] for row in "ab"] == ["completed", "skipped"]
    results, earlier = run.frame(), xt.attach(left["finished"]).frame()
    assert list(results["held"]) == [f"{line}!" for line in results["line"]]
    assert list(results["tried"]) == ["lamp of 2", "mug of 2"]
    assert list(results["recalled"]) == list(earlier["line"])
    assert set(results["ordered"]) == {"line, art, quoted"}
    assert list(results["sized"]) == [32, 32]
    assert list(results["mentions"]) == ["lamp", "mug"]
    assert all("Aurora lamp" in str(made) for made in results["briefs"])
    assert list(results["quoted"]) == ['"lamp"', '"mug"']


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_results_of_a_release_are_found_again(settings: Settings) -> None:
    """The same workflow, run once more, takes every result from the run that the release finished."""
    left = leave_midway(settings)
    earlier = xt.attach(left["finished"]).frame()
    again = xt.Workflow.from_json(left["finished_flow"]).run(earlier[["word"]]).wait(60)
    assert list(again.jobs()["cached"]) == [True] * 6
    pd.testing.assert_frame_equal(again.frame(), earlier)
    # The functions of the run that was left wait for it, and the back end for them.
    (settings.home / "open").touch()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_idle_back_end_of_the_release_before_is_replaced(settings: Settings) -> None:
    """A kernel that was restarted with this release has its run done by this release, though the other one's worker is there."""
    do_before(
        settings, "assert xt.Workflow('then').attach('kit', title='x').run().wait(60).state == 'completed'", RELEASED
    )
    theirs = presence(settings.home)
    assert (theirs.state, theirs.schema) == ("ready", "")
    run = xt.Workflow("now").call("made", lambda word: word + "!", word="{{ word }}").run(word="lamp").wait(60)
    assert list(run.frame()["made"]) == ["lamp!"]
    ours = presence(settings.home)
    assert ours.pid != theirs.pid
    assert (ours.schema, ours.python) == (HEAD, sys.executable)
    assert attached("then").state == "completed"


MEETING = """
import os, time
def met(word):
    home = os.environ["XTYL_HOME"]
    open(os.path.join(home, f"met-{CLIENT}-{os.getpid()}"), "w").close()
    while sum(name.startswith(f"met-{CLIENT}-") for name in os.listdir(home)) < 2:
        time.sleep(0.01)
    return word + "!"
flow = xt.Workflow("meeting").generate_copy("line", prompt="{{ word }}").call("met", met, word="{{ word }}")
run = flow.run([{"word": "a"}, {"word": "b"}]).wait(60)
print(run.state, list(run.frame()["met"]), run.jobs()["attempts"].tolist())
"""
CONNECTED = """
import os, pathlib, time
xt.Workflow("first").generate_copy("line", prompt="one").run().wait(60)
home = pathlib.Path(os.environ["XTYL_HOME"])
(home / "connected").touch()
while not (home / "upgraded").exists():
    time.sleep(0.01)
"""


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_workers_of_two_releases_share_a_run(database_url: str, tmp_path: Path) -> None:
    """A client of either release has its jobs done by a worker of each at the same time: one task, one queue, one plan."""
    with valkey_server() as broker:
        settings = load_settings(
            {
                "XTYL_HOME": str(tmp_path / "home"),
                "XTYL_DATABASE_URL": database_url,
                "XTYL_REDIS_URL": broker,
                "XTYL_SLOTS": "1",
                "XTYL_ACCEPT_FUNCTIONS": "1",
            }
        )
        prepare_home(settings)
        connect = f"xt.connect(database={database_url!r}, redis={broker!r})\n"
        today = settings.child_environ()
        with worker_before(settings, environ_before(settings, RELEASED)), ThreadPoolExecutor() as clients:
            # What has connected before the upgrade goes on after it.
            done = clients.submit(do_before, settings, connect + CONNECTED + "CLIENT = 'then'\n" + MEETING, RELEASED)
            wait_until((settings.home / "connected").exists)
            with worker_before(settings, today):
                now = printed("import xtyl_nb as xt\nCLIENT = 'now'\n" + connect + MEETING, settings, today)
                (settings.home / "upgraded").touch()
                then = done.result()
        assert now == then == "completed ['a!', 'b!'] [1, 1, 1, 1]\n"


NOTEBOOK = """
flow = (
    xt.Workflow("far").generate_copy("line", prompt="For {{ word }}", n=2)
    .generate_image("art", prompt="{{ line.text }}", over="line", size="16x16").review("pick", of="art")
    .call("loud", lambda text: text.upper(), text="{{ pick.line.text }}")
)
run = flow.run([{"word": "lamp"}])
run.approve("pick", choose=[1]).wait(60)
frame, again = run.frame(), xt.attach(run.id)
print(run.state, frame["loud"][0] == run.outputs("line")["text"].iloc[1].upper(), again.jobs()["attempts"].sum())
print(again.progress, len(run.gallery().paths), len(again.events()) > 10, len(xt.runs()), flow.plan([{"word": "lamp"}]).shape)
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_notebook_of_the_release_before_goes_on_over_http(settings: Settings) -> None:
    """It submits, sends a function, decides, follows and reads results by the paths and fields that it knows."""
    with serve(settings) as served:
        code = f"xt.connect({served.url!r}, token={served.token!r})\n{NOTEBOOK}"
        assert do_before(settings, code, RELEASED) == "completed True 6\n100.0 2 True 1 (4, 5)\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_notebook_is_told_that_the_api_is_of_the_release_before(settings: Settings) -> None:
    """A path that the API does not have yet is an error that says so, and what to update."""
    put_back(RELEASED, settings)
    start = [sys.executable, "-P", "-c", "from xtyl_nb.cli import main; main()"]
    with serve(settings, start=start, environ=environ_before(settings, RELEASED)) as served:
        xt.connect(served.url, token=served.token)
        run = attached("paused")
        assert run.state == "paused"
        with pytest.raises(xt.WorkflowException) as raised:
            run.frame()
    assert raised.value.code == "api/not-found"
    assert str(raised.value.hint).startswith("The back end's API is of an older release. Update it; `xtyl doctor`")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_api_of_the_release_before_takes_a_function_of_today(settings: Settings) -> None:
    """It knows functions by the digest of their bytes, and its workers load what is packed today."""
    put_back(RELEASED, settings)
    start = [sys.executable, "-P", "-c", "from xtyl_nb.cli import main; main()"]
    with serve(settings, start=start, environ=environ_before(settings, RELEASED)) as served:
        xt.connect(served.url, token=served.token)
        run = xt.Workflow("far").call("loud", lambda word: word.upper(), word="{{ word }}").run([{"word": "lamp"}])
        assert run.wait(60).state == "completed"


OPENED = """
import json, pandas as pd
frame = pd.read_pickle("{path}")
texts, images = frame[["word", "line"]].to_dict("list"), frame[["art"]]._repr_html_().count("<img")
print(json.dumps(dict(texts=texts, images=images, folder=frame.images_from)))
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_frame_that_was_pickled_opens(settings: Settings) -> None:
    """A frame that a release pickled is read by a process that has imported no part of this project, and knows the
    folder of its images."""
    left = leave_midway(settings)
    code = OPENED.format(path=settings.home / "frame.pickle")
    read = json.loads(printed(code, settings, settings.child_environ()))
    assert read["texts"] == xt.attach(left["finished"]).frame()[["word", "line"]].to_dict("list")
    assert read["folder"].endswith("/home/artifacts")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_frame_that_is_pickled_opens_in_the_release_before(settings: Settings) -> None:
    """The kept release reads a frame that is pickled now, and shows its images."""
    frame = xt.attach(leave_midway(settings)["finished"]).frame()
    frame.to_pickle(settings.home / "now.pickle")
    code = OPENED.format(path=settings.home / "now.pickle")
    read = json.loads(do_before(settings, code, RELEASED))
    assert read["texts"] == frame[["word", "line"]].to_dict("list")
    assert (read["folder"], read["images"]) == (str(settings.artifacts_folder), 2)


def test_the_release_before_goes_on_after_a_roll_back(settings: Settings) -> None:
    """A run begun by this release is finished by the one before once the schema is taken back, and read by this one again."""
    flow = xt.Workflow("back").generate_copy("line", prompt="For {{ word }}", n=2).review("pick", of="line")
    flow = flow.attach("kit", title="{{ pick.line.text }}")
    run = flow.run([{"word": "lamp"}])
    wait_until(lambda: len(run.reviews()) == 2)
    run.pause()
    xt.connect()
    down(settings)
    done = CliRunner().invoke(main, ["migrate", "--to", PREVIOUS], catch_exceptions=False)
    assert done.output == f"The database has schema {PREVIOUS}.\n"
    words = f"run = xt.attach({run.id!r}).approve('pick', choose=[1]).resume().wait(60); print(run.state, run.frame().shape)"
    assert do_before(settings, words) == "completed (1, 6)\n"
    assert do_before(
        settings, "from xtyl_engine.local import *; from xtyl_engine.settings import *; print(down(load_settings()))"
    )
    assert xt.attach(run.id).state == "completed"
    database = Database(settings.database_url)
    assert revision(database) == HEAD
    database.close()


@pytest.fixture
def before(database_url: str, tmp_path: Path) -> Iterator[Settings]:
    """PostgreSQL and a broker with a worker of the release before; it starts no more than 100 jobs a second."""
    with valkey_server() as broker:
        rate = {"XTYL_RATES": "generate_copy=100/s", "XTYL_SLOTS": "4"}
        settings = load_settings(
            {"XTYL_HOME": str(tmp_path / "home"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker, **rate}
        )
        prepare_home(settings)
        with worker_before(settings, environ_before(settings)):
            yield settings


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_upgrade_takes_place_under_way(before: Settings) -> None:
    """While a worker of the release before writes, the schema is brought up; it goes on, and no job is lost or redone."""
    flow = (
        "xt.Workflow('busy').generate_copy('line', prompt='{{ a }}').generate_copy('again', prompt='{{ line.text }}')"
    )
    urls = f"database={before.database_url!r}, redis={before.redis_url!r}"
    do_before(before, f"xt.connect({urls}); {flow}.run([{{'a': f'number {{n}}'}} for n in range(200)])")
    database = Database(before.database_url)

    def count(words: str) -> int:
        with database.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {words}")).scalar() or 0)

    wait_until(lambda: count("agent_jobs WHERE state = 'completed'") > 20)
    assert revision(database) == PREVIOUS
    ensure_schema(database)
    assert revision(database) == HEAD
    assert count("workflow_executions WHERE state = 'running'") == 1
    wait_until(lambda: count("workflow_executions WHERE state = 'completed'") == 1)
    assert count("agent_jobs WHERE state = 'completed'") == 400
    assert count("job_attempts") == count("job_attempts WHERE outcome = 'completed'") == 400
    database.close()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_upgrade_does_not_wait_long_behind_others(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long transaction holds a table the upgrade steps back, so that others can write; afterwards it takes place."""
    load_dump(DUMP, database_url)
    database = Database(database_url)
    monkeypatch.setattr(schema, "TABLE_WAIT_SECONDS", 0.0)
    with database.engine.connect() as reader:
        reader.execute(text("SET idle_in_transaction_session_timeout = 0"))
        reader.execute(text("SELECT count(*) FROM workflow_executions"))
        with pytest.raises(BackendError, match="lock timeout"):
            ensure_schema(database)
        with database.engine.begin() as writer:
            writer.execute(text("UPDATE workflow_executions SET error = NULL"))
        assert revision(database) == PREVIOUS
    ensure_schema(database)
    assert revision(database) == HEAD
    database.close()


def test_processes_of_the_release_before_find_what_they_name() -> None:
    """A supervisor that was not told of an upgrade starts its worker, and a worker finds the offline provider."""
    code = """
from celery.app.utils import find_app
from xtyl_engine.providers.offline import OfflineProvider
print(find_app("xtyl_engine.worker").main, OfflineProvider.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["xtyl", "OfflineProvider"]
