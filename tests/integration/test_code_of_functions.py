"""Functions on a real back end, from inside and over HTTP: what a cell holds works there, and the cache follows the code."""

from __future__ import annotations

import sys
import textwrap
import uuid
from collections.abc import Callable
from importlib import import_module, reload
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import xtyl_nb as xt
from cells import in_notebook
from xtyl_engine.functions.code_digest import code_digest
from xtyl_nb.backends.connect import backend

pytestmark = pytest.mark.usefixtures("either")
CELL = '''
import functools
from typing import NewType
RATE = 2
Price = NewType("Price", int)
@functools.cache
def rate(x):
    """Words."""
    return x * RATE
def step(x: Price) -> Price:
    return Price(rate(x))
'''


@pytest.fixture
def result() -> Callable[..., tuple[Any, bool]]:
    """Runs a function over a number that no other test uses, and tells what it gave, beside whether that came from the cache."""
    number = int(uuid.uuid4().hex[:8], 16)

    def run(function: Any, **config: Any) -> tuple[Any, bool]:
        flow = xt.Workflow("coded").call("made", function, cache=True, x="{{ x }}", **config)
        done = flow.run(pd.DataFrame({"x": [number]})).wait(60)
        job = done.jobs().iloc[0]
        assert job["status"] == "completed", job["error"]
        return int(done.frame()["made"][0]) / number, bool(job["cached"])

    return run


def test_the_cache_follows_the_code(result: Callable[..., tuple[Any, bool]]) -> None:
    """A cell that was moved or got a comment is the same; a changed helper or value is not, nor is a new version."""
    assert result(in_notebook(CELL, "step")) == (2, False)
    moved = "\n# Moved.\n" + CELL.replace("Words.", "Others.")
    assert result(in_notebook(moved, "step", "/tmp/ipykernel_2/9.py")) == (2, True)
    assert result(in_notebook(CELL.replace("x * RATE", "x * RATE + x"), "step")) == (3, False)
    assert result(in_notebook(CELL.replace("RATE = 2", "RATE = 4"), "step")) == (4, False)
    assert result(in_notebook(CELL, "step")) == (2, True)


def test_the_cache_follows_versions(result: Callable[..., tuple[Any, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that the kernel has of a package named by `depends=` counts."""
    function = in_notebook(CELL, "step")
    assert result(function, depends=["pandas"]) == (2, False)
    assert result(function, depends=["pandas"]) == (2, True)
    assert result(function) == (2, False)
    monkeypatch.setattr("xtyl_engine.functions.versions.version", lambda name: "99")
    assert result(function, depends=["pandas"]) == (2, False)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Writes a module beside no notebook, in a folder on the path, and imports or reloads it."""
    name = f"pricing_{uuid.uuid4().hex[:8]}"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def written(text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        found = sys.modules.get(name)
        return reload(found) if found else import_module(name)

    return written


def test_a_reloaded_module_is_the_one_that_runs(
    result: Callable[..., tuple[Any, bool]], module: Callable[[str], ModuleType]
) -> None:
    """After an edit and a reload the run computes what the kernel does, and takes nothing from before."""
    assert result(module("def step(x):\n    return x * 6\n").step) == (6, False)
    assert result(module("def step(x):\n    return x * 9\n").step) == (9, False)
    assert result(module("# Words.\ndef step(x):\n    return x * 9\n").step) == (9, True)


def test_an_installed_function_has_its_code_in_the_config() -> None:
    """It is sent by its name, with a digest of its code, which counts in the cache's key."""
    flow = xt.Workflow("coded").call("made", textwrap.shorten, text="{{ x }}", width=10)
    run = flow.run(pd.DataFrame({"x": ["a b"]})).wait(60)
    assert run.frame()["made"][0] == "a b"
    stored = backend().queries.plan(run.id).nodes["made"].config["function"]
    assert stored == {"reference": "textwrap:shorten", "digest": code_digest(textwrap.shorten)}


def test_a_package_that_is_not_installed_is_told_before_the_run() -> None:
    """A wrong name in `depends=` is a problem of the workflow, with the step and the name."""
    flow = xt.Workflow("w").call("made", lambda x: x, depends=["pandsa"], x="{{ x }}")
    with pytest.raises(xt.WorkflowError, match="nothing of the name 'pandsa' is installed here") as caught:
        flow.run(pd.DataFrame({"x": [1]}))
    assert [(each.code, each.node) for each in caught.value.problems] == [("workflow/bad-parameter", "made")]
    flow = xt.Workflow("w").call("made", lambda x: x, depends="pandas", x="{{ x }}")
    with pytest.raises(xt.WorkflowError, match="pass a list of names"):
        flow.run(pd.DataFrame({"x": [1]}))
