"""A run's frame over HTTP while the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import open_desk, serving, submit
from workbench import moving
from xtyl_nb.backends.remote.backend import RemoteBackend
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
