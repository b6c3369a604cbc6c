"""The example package of examples/, installed as any other: its own tests, and its README on an embedded back end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import xtyl_nb as xt
from repository import ROOT
from servers import embedded_home
from xtyl_engine.settings import Settings
from xtyl_nb.drawing.run_picture import run_html

EXAMPLE = ROOT / "examples" / "xtyl-stock"
TOLD = "\nprint(run.id, run.frame()['story'].map(type).unique().tolist(), run.jobs()['status'].unique().tolist())\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed, from a copy of its folder."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--target",
        str(folder / "site"),
        str(folder / "source"),
    ]
    subprocess.run(command, check=True)
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


@pytest.fixture
def stocked(installed: dict[str, str], tmp_path: Path) -> Iterator[tuple[Settings, dict[str, str]]]:
    """A home of its own, and the environment of a notebook that uses it with a filled stock."""
    stock = tmp_path / "stock"
    stock.mkdir()
    (stock / "lines.txt").write_text("Light up the night.\nA mug for every tide.\n")
    for name in ("night lamp", "tide mug"):
        Image.new("RGB", (90, 60), "teal").save(stock / f"{name}.png")
    with embedded_home(tmp_path) as settings:
        yield settings, settings.child_environ(installed) | {"STOCK_FOLDER": str(stock)}
        xt.connect()


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    """They need no back end, and only the dependencies of the package and of xtyl-nb."""
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests"]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_readme_runs_and_others_can_look(
    stocked: tuple[Settings, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker and notebook find its node type and its provider; where it is not installed, the run is shown all the same."""
    settings, environment = stocked
    (code,) = re.findall(r"^```python\n(.*?)^```$", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    command = [sys.executable, "-c", code + TOLD]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    id, told = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert told == "[<class 'str'>] ['completed']"

    for name, value in settings.to_environ().items():
        monkeypatch.setenv(name, value)
    run = xt.attach(id)
    frame = run.frame()
    assert list(frame["line"]) == ["Light up the night.", "A mug for every tide."]
    for path in frame["story"]:
        with Image.open(path) as story:
            assert story.size == (1080, 1920)
    assert "fit_image" in run_html(run._plan, run.overview())
    with pytest.raises(xt.WorkflowError, match="there is no node type `fit_image`"):
        xt.Workflow("w").node("fit_image", "story", image="{{ photo }}").validate()
