"""A process that has connected forks: the child shares no open connection with the parent, and both go on working, or
the child gets the reason why not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import embedded_home, valkey_server
from xtyl_engine.settings import Settings, load_settings, prepare_home

FORKING = """
import json, multiprocessing, os
from pathlib import Path
import xtyl_nb as xt

flow = xt.Workflow("forked").attach("kit", title="for {{ name }}")

def work(name):
    return list(flow.run(name=name).wait(60).frame()["kit"])

def opened(_):
    # Which files of the home this process has open.
    home, found = Path(os.environ["XTYL_HOME"]), []
    known = {(path.stat().st_dev, path.stat().st_ino): path.name for path in home.rglob("*") if path.is_file()}
    for handle in range(256):
        try:
            status = os.fstat(handle)
        except OSError:
            continue
        found.append(known.get((status.st_dev, status.st_ino)))
    return sorted(name for name in found if name)

first = flow.run(name="before").wait(60)

def look(_):
    return first.state, list(first.frame()["kit"]), first.id in xt.runs().index

context = multiprocessing.get_context("fork")
found = {"here": opened(None)}
with context.Pool(2) as pool:
    found["there"] = pool.map(opened, [0])[0]
    found["inherited"] = pool.map(look, [0])[0]
    found["made"] = sorted(pool.map(work, ["one", "two"], chunksize=1))
found["after"] = work("after")
found["runs"] = len(xt.runs())
print(json.dumps(found))
"""


def printed(code: str, settings: Settings) -> Any:
    """The output of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env=settings.child_environ(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_children_and_parent_all_work(tmp_path: Path) -> None:
    """Forked children use the parent's run and make their own, with nothing of the home open at their start."""
    with embedded_home(tmp_path) as settings:
        found = printed(FORKING, settings)
    assert "xtyl.db" not in found["there"]
    assert "clients.lock" in found["here"]
    assert "clients.lock" not in found["there"]
    assert found["inherited"] == ["completed", ["for before"], True]
    assert found["made"] == [["for one"], ["for two"]]
    assert found["after"] == ["for after"]
    assert found["runs"] == 4


BUSY = """
import json, multiprocessing, threading
import xtyl_nb as xt
from xtyl_nb.backends.connect import backend

flow = xt.Workflow("busy").attach("kit", title="x")
flow.run()
reading, leave = threading.Event(), threading.Event()

def read():
    with backend().database.read():
        reading.set()
        leave.wait(60)

def work(_):
    try:
        return str(flow.run().state)
    except xt.BackendError as error:
        return str(error)

thread = threading.Thread(target=read)
thread.start()
reading.wait(60)
with multiprocessing.get_context("fork").Pool(1) as pool:
    there = pool.map(work, [0])[0]
leave.set()
thread.join()
print(json.dumps([there, work(0), len(xt.runs())]))
"""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Iterator[Settings]:
    """A database of each kind and a broker, without a worker."""
    with valkey_server() as redis:
        made = load_settings(
            {"XTYL_HOME": str(tmp_path / "home"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": redis}
        )
        prepare_home(made)
        yield made


def test_a_fork_while_the_database_is_in_use(settings: Settings) -> None:
    """PostgreSQL gives the child connections of its own; with SQLite the child gets an error instead. The parent goes on."""
    there, here, runs = printed(BUSY, settings)
    assert here == "pending"
    if settings.database_url.startswith("sqlite"):
        assert "forked from one that was using the database" in there
        assert "get_context('spawn')" in there
    else:
        assert there == "pending"
    assert runs == (2 if settings.database_url.startswith("sqlite") else 3)
