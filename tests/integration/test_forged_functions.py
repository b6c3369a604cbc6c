"""A real worker refuses functions that were forged, swapped or cut in the database, before it loads any part of them; steps that
do not depend on them go on.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from os.path import basename
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import xtyl_nb as xt
from servers import valkey_server
from workbench import direct_backend
from xtyl_engine.functions.packed_function import PackedFunction, load_key, sign
from xtyl_engine.functions.packing import pack
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id
from xtyl_engine.settings import load_settings, prepare_home
from xtyl_engine.worker.command import worker_command
from xtyl_engine.workflow.validate import validate
from xtyl_nb.runs.run import Run

FLOW = xt.Workflow("forged").call("made", lambda: "made").attach("fine", title="fine", after=[])


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def started(forge: Callable[[PackedFunction, str, bytes], PackedFunction | None]) -> Run:
    """A run whose function is stored as `forge` makes it of the right one."""
    used = direct_backend()
    id, key = new_execution_id("forged"), load_key(used.settings.key_file)
    right = pack(lambda: "made", key=key, execution_id=id)
    stored = forge(right, id, key)
    plan = validate(FLOW._document)
    config = {"function": {"digest": right.digest, "name": right.name, "python": right.python}}
    made = Submission(
        id=id,
        plan=plan.with_configs({"made": {**plan.nodes["made"].config, **config}}),
        rows=[Row(label=0, values={})],
        shape={"inputs": []},
        functions=[] if stored is None else [stored],
    )
    used.engine.submit(made)
    return Run(id, used)


def of_another_python(right: PackedFunction, id: str, key: bytes) -> PackedFunction:
    return sign(replace(right, python="3.4"), key=key, execution_id=id)


def swapped(right: PackedFunction, id: str, key: bytes) -> PackedFunction:
    """Another function of the same run, with a valid signature, in this one's place."""
    other = pack(lambda: "other", key=key, execution_id=id)
    return replace(other, digest=right.digest)


FORGED = {
    "cut": (lambda right, id, key: replace(right, blob=right.blob[:-20]), "not packed for this run"),
    "empty": (lambda right, id, key: replace(right, blob=b""), "not packed for this run"),
    "renamed digest": (swapped, "not packed for this run"),
    "another run": (
        lambda right, id, key: pack(lambda: "made", key=key, execution_id="other"),
        "not packed for this run",
    ),
    "wrong key": (
        lambda right, id, key: pack(lambda: "made", key=key[::-1], execution_id=id),
        "not packed for this run",
    ),
    "no signature": (lambda right, id, key: replace(right, signature=""), "not packed for this run"),
    "another Python": (of_another_python, "packed by Python 3.4, and this worker runs 3."),
    "missing": (lambda right, id, key: None, "was not submitted with this run"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_function_fails_its_own_job(kind: str) -> None:
    """The job's error says why its function is refused, with no second attempt; the step beside it completes."""
    forge, words = FORGED[kind]

    def stored(right: PackedFunction, id: str, key: bytes) -> PackedFunction | None:
        found = forge(right, id, key)
        # Its row must be found, or the function is not looked at.
        return None if found is None else replace(found, digest=right.digest)

    run = started(stored).wait(60)
    frame = run.frame()
    assert run.state == "failed"
    assert words in frame["error"][0]
    assert frame["fine"][0] == "fine"
    jobs = run.jobs().set_index("node")
    assert (jobs["attempts"]["made"], jobs["error_class"]["made"]) == (1, "permanent")


def test_a_planted_pickle_is_not_loaded(tmp_path: Path) -> None:
    """Bytes that would act when unpickled are refused by their signature, and nothing happens."""
    bomb = cloudpickle.dumps((Bomb(tmp_path / "bomb"), "", ()))
    run = started(lambda right, id, key: replace(right, blob=bomb)).wait(60)
    assert "not packed for this run" in run.frame()["error"][0]
    assert not (tmp_path / "bomb").exists()


def test_the_right_function_runs() -> None:
    """The submission that these tests write by hand runs if nothing is forged."""
    assert started(lambda right, id, key: right).wait(60).frame()["made"][0] == "made"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[None]:
    """A shared back end in use, whose worker takes no functions from notebooks, and those of one module by name."""
    with valkey_server() as redis:
        environ = {"XTYL_HOME": str(tmp_path / "home"), "XTYL_DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
        opened = {"XTYL_REDIS_URL": redis, "XTYL_SLOTS": "2", "XTYL_FUNCTIONS": "posixpath:*"}
        settings = load_settings(environ | opened)
        prepare_home(settings)
        with open(settings.log_folder / "worker.log", "ab") as log:
            worker = subprocess.Popen(
                worker_command(settings), env=settings.child_environ(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            xt.connect(database=settings.database_url, redis=redis)
            yield
        finally:
            worker.terminate()
            worker.wait(40)


def test_a_shared_worker_takes_no_functions(shared: None) -> None:
    """A notebook's function is refused by name, with both remedies; a function that its operator opened runs."""
    flow = xt.Workflow("team").call("own", lambda: 1).call("installed", basename, p="a/b", after=[])
    frame = flow.run().wait(60).frame()
    assert "this worker takes no functions from notebooks: <lambda>" in frame["error"][0]
    assert "XTYL_ACCEPT_FUNCTIONS=1" in frame["error"][0]
    assert frame["installed"][0] == "b"


# What a plan names, and what the worker says of it.
CLOSED = {
    "subprocess:getoutput": "does not take the function subprocess:getoutput",
    "posixpath:os.system": "does not take the function posixpath:os.system",
    "posixpath:_get_sep": "does not take the function posixpath:_get_sep",
    # Imported by the module that is open.
    "posixpath:exists": "does not take the function posixpath:exists: it comes from genericpath",
}


def test_a_shared_worker_takes_no_name_that_is_not_opened(shared: None) -> None:
    """Whatever a stored plan names, by whatever way through the module that is open: the job fails, and says which variable the
    operator sets."""
    flow = xt.Workflow("named")
    for number, name in enumerate(CLOSED):
        flow = flow.call(f"named{number}", name, path="/", cmd="true", after=[])
    run = flow.run().wait(60)
    said = run.jobs().set_index("node")["error"]
    for number, words in enumerate(CLOSED.values()):
        assert words in said[f"named{number}"]
        assert "XTYL_FUNCTIONS" in said[f"named{number}"]
