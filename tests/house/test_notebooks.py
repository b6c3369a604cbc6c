"""Promises of the notebooks beyond that they run, which nbval holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from repository import ROOT
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

START = """
import xtyl_nb as xt
run = xt.Workflow("w").generate_copy("line", prompt="a {{ name }}").run(name="x")
run
"""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def shown(path: Path) -> str:
    """All outputs of a notebook's cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return json.dumps([cell.get("outputs", []) for cell in cells])


def test_every_problem_is_shown() -> None:
    """The notebook on mistakes makes each problem of the first table; those of the API want an API, and one a Python that lacks a
    package."""
    table, _, _ = (
        (ROOT / "docs" / "problems.md").read_text(encoding="utf-8").partition("\n# Problems of the HTTP API\n")
    )
    codes = re.findall(r"^\| `(workflow/[\w-]+)`", table, re.M)
    outputs = shown(ROOT / "notebooks" / "02_when_it_is_wrong.ipynb")
    assert len(codes) > 20
    assert [code for code in codes if f"{code}<" not in outputs] == ["workflow/missing-package"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_little_is_left_unchecked(path: Path) -> None:
    """Only cells that show pictures have outputs that are not compared."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if "nbval-ignore-output" in cell["metadata"].get("tags", []):
            pictured = json.dumps(cell["outputs"])
            assert any(picture in pictured for picture in ("RunWidget", "Gallery(", "Timeline("))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_metadata_is_clean(path: Path) -> None:
    """No widget state, no times, no versions, nothing of the machine that executed it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    assert str(Path.home()) + "/" not in json.dumps(notebook)


def test_a_run_is_pictured_where_it_was_started_and_the_picture_shows_its_end() -> None:
    """Executed without a page, a run has one picture; a cell that waits has one line, and `run` by itself shows the
    picture again."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in (START, "run.wait()", "run")])
    try:
        NotebookClient(notebook, timeout=60).execute()
    finally:
        down(load_settings())
    started, waited, again = (cell.outputs for cell in notebook.cells)
    assert [output.data.get("text/plain") for output in started] == ["RunWidget(w)", None, "Run('w')"]
    assert "completed" in started[1].data["text/html"]
    assert [output.data for output in waited] == [{"text/plain": "Run('w') completed"}]
    assert [output.data.get("text/plain") for output in again] == ["RunWidget(w)", None]
