"""A back end of another release is replaced by the one of a kernel that starts a run, or used, or refused by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import xtyl_engine
import xtyl_nb as xt
from backend import QUICK, Effects
from servers import embedded_home, presence, wait_until
from xtyl_engine.database.head import HEAD
from xtyl_engine.embedded.client import check, ensure
from xtyl_engine.embedded.likeness import is_to_be_replaced
from xtyl_engine.embedded.state_file import PROTOCOL, Presence, SupervisorState
from xtyl_engine.embedded.status import status
from xtyl_engine.errors import BackendStartError
from xtyl_engine.settings import Settings

OTHER = """
import sys
if "xtyl_engine.embedded.supervisor" in sys.orig_argv or "xtyl_engine.worker.begin" in sys.orig_argv:
    import xtyl_engine, xtyl_engine.database.head
    xtyl_engine.__version__ = "0.0.9"
    xtyl_engine.database.head.HEAD = {schema!r}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A back end for this test alone."""
    with embedded_home(tmp_path, **QUICK) as settings:
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        xt.connect()
        yield settings
        xt.connect()


def started_by_another(settings: Settings, folder: Path, *, schema: str = HEAD) -> Presence:
    """The record of a back end that a release of another version has started."""
    (folder / "other").mkdir()
    (folder / "other" / "sitecustomize.py").write_text(OTHER.format(schema=schema))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "other"))
        ensure(settings)
    found = presence(settings.home)
    assert (found.version, found.schema) == ("0.0.9", schema)
    return found


def test_an_idle_one_is_replaced_when_a_run_is_started(home: Settings, tmp_path: Path) -> None:
    """The run is worked on by the release that started it; a look, and a run that is over, change nothing."""
    theirs = started_by_another(home, tmp_path)
    check(home)
    ensure(home)
    assert presence(home.home).pid == theirs.pid
    assert xt.Workflow("first").attach("kit", title="x").run().wait(60).state == "completed"
    ours = presence(home.home)
    assert (ours.version, ours.schema, ours.protocol) == (xtyl_engine.__version__, HEAD, PROTOCOL)
    assert xt.Workflow("second").attach("kit", title="x").run().wait(60).state == "completed"
    assert presence(home.home).pid == ours.pid


def waiting(effects: Effects) -> xt.Run:
    """A run whose one job ends when it is told to."""

    def work() -> str:
        import time

        effects.note("begun")
        while "end" not in effects.lines():
            time.sleep(0.01)
        return "done"

    run = xt.Workflow("busy").call("made", work).run()
    wait_until(lambda: "begun" in effects.lines())
    return run


def test_one_at_work_that_understands_is_used(home: Settings, tmp_path: Path, effects: Effects) -> None:
    """With the same schema and protocol its work goes on, and it takes the new run too."""
    theirs = started_by_another(home, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xtyl_engine, "__version__", "0.0.9")
        busy = waiting(effects)
    assert xt.Workflow("next").attach("kit", title="x").run().wait(60).state == "completed"
    assert presence(home.home).pid == theirs.pid
    effects.note("end")
    assert list(busy.wait(60).frame()["made"]) == ["done"]
    assert list(busy.jobs()["attempts"]) == [1]


def test_one_at_work_that_does_not_is_refused(home: Settings, effects: Effects) -> None:
    """The error names both releases and what to do, and nothing is written; once the work is done, it is replaced."""
    ensure(home)
    busy = waiting(effects)
    found = presence(home.home)
    for theirs in (replace(found, schema="0006"), replace(found, protocol=0), replace(found, schema="", protocol=0)):
        with pytest.raises(BackendStartError, match=r"is of another release, .* and at work") as caught:
            is_to_be_replaced(theirs, home)
        assert "`xtyl down`" in str(caught.value.hint)
        assert HEAD in caught.value.message
    assert not is_to_be_replaced(replace(found, version="0.0.9"), home)
    effects.note("end")
    busy.wait(60)
    assert is_to_be_replaced(replace(found, schema="0006"), home)


def test_a_database_that_cannot_be_read_has_no_work(home: Settings) -> None:
    """One without tables, before the first run: a back end of another release has nothing to do there."""
    found = Presence.of_this_process(home, SupervisorState.READY, "/none")
    assert not is_to_be_replaced(found, home)
    assert is_to_be_replaced(replace(found, python=sys.executable, version="0.0.9"), home)
    assert status(home).pid is None
