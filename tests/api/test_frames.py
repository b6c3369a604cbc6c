"""A run's frame over HTTP while the run goes on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from bench import open_desk, serving, submit
from indexes import INDEXES
from workbench import moving
from xtyl_engine.workflow.document_io import read_document
from xtyl_engine.workflow.validate import validate
from xtyl_nb.backends.remote.backend import RemoteBackend
from xtyl_nb.frames.inputs import read_inputs
from xtyl_nb.runs.run import Run

FLOW = {
    "name": "uneven",
    "nodes": [
        {"id": "line", "type": "generate_copy", "config": {"prompt": "For {{ product }}"}},
        {"id": "sum", "type": "generate_copy", "config": {"prompt": "{{ line.text + 1 }}"}},
    ],
    "edges": [{"source": "line", "target": "sum"}],
}


def test_a_frame_is_of_one_moment(
    tmp_path: Path, database_url: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a job ends between any two reads of the API, a row has an error exactly if it has failed, and each value
    belongs to a job that counts as completed."""
    monkeypatch.setenv("XTYL_HOME", str(tmp_path / "notebook"))
    desk = open_desk(tmp_path / "home", database_url, broker)
    id = submit(desk, "all", FLOW, inputs=[{"product": f"lamp {number}"} for number in range(20)])
    with serving(desk) as port:
        backend = RemoteBackend(f"http://127.0.0.1:{port}", desk.secrets["all"])
        run = Run(id, backend)
        with moving(desk.service.engine.database, desk.settings, id):
            frame = run.frame()
        backend.close()
    assert list(frame["error"].notna()) == list(frame["status"] == "failed")
    assert list(frame["line"].notna()) == list(frame["status"].isin(["failed", "running"]))
    assert 0 < frame["error"].notna().sum() < 20


def test_labels_come_back_over_http(tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that JSON does not have are, in another process's frames, what they were; a missing one is missing."""
    monkeypatch.setenv("XTYL_HOME", str(tmp_path / "notebook"))
    desk = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker)
    flow = xt.Workflow("echo").attach("kit", title="{{ name }}")
    plan = validate(read_document(flow.to_json()), columns=["name"])
    with serving(desk) as port:
        backend = RemoteBackend(f"http://127.0.0.1:{port}", desk.secrets["press-write"])
        for name in ("uuids", "dates", "float", "infinite", "mixed", "days", "zone", "tuples", "bins", "more levels"):
            index = INDEXES[name]
            rows, shape = read_inputs(pd.DataFrame({"name": "x"}, index=index), {}, backend.store, plan.inputs)
            run = Run(backend.submit(plan, rows, shape=shape, functions={}), backend)
            for found in (list(run.frame().index), list(run.jobs()["row"])):
                assert [(type(each), str(each)) for each in found] == [(type(each), str(each)) for each in index], name
            assert list(run.frame().index.names) == list(index.names)
        backend.close()
