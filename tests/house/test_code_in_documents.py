"""The code in the documents is code that runs: each Python block and each command of a bash block, as it is printed. What cannot
run here stands in one of two tables, with its reason or with the name of the test that runs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import xtyl_nb as xt
from repository import ROOT
from servers import embedded_home
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema

DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "engine/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.S | re.M)

# Commands that do not run here, and why.
NOT_HERE = {
    "python3 -m venv .venv": "the tests have an environment",
    ".venv/bin/pip install .": "needs a package registry, as does each installation below; .ci/run installs in a fresh folder",
    '.venv/bin/pip install ".[lab]"': "a registry",
    '.venv/bin/pip install ".[openai]"': "a registry",
    '.venv/bin/pip install ".[test]"': "a registry",
    'pip install ".[test]"': "a registry",
    'pip install -e ".[test]"': "a registry",
    "pip install 'xtyl-nb[server]'": "a registry",
    ".venv/bin/pytest": "runs this test; .ci/run takes the line from the README",
    "pytest": "runs this test",
    ".ci/run": "runs this test",
    "ruff check .": "run by .ci/run",
    "ruff format --check .": "run by .ci/run",
    "mypy": "run by .ci/run",
    ".venv/bin/xtyl lab": "goes on until Ctrl-C; test_the_first_notebook_is_served_to_its_user_alone runs it",
    "xtyl api": "goes on until it is ended; test_a_run_from_end_to_end runs it",
    "xtyl backup ...": "stands for the backup that the page shows below",
    "docker compose run --rm api xtyl token create desk --role write --project press": "needs Docker",
    "docker compose run --rm api xtyl token list": "needs Docker",
    "docker compose run --rm api xtyl token remove desk": "needs Docker",
    "docker compose stop api worker worker-heavy": "needs Docker",
    "XTYL_METRICS=9101 xtyl backup --every 1d --keep 7 /var/backups/xtyl": "goes on until it is ended; "
    "test_backups_go_on_where_they_stopped runs it",
    "docker compose stop api worker worker-heavy backup": "needs Docker",
    "docker compose exec postgres dropdb --username=xtyl --if-exists --force xtyl": "needs Docker",
    "docker compose exec postgres createdb --username=xtyl xtyl": "needs Docker",
    "docker compose run --rm restore": "needs Docker; test_the_services_run_a_workflow_together runs the service's command",
    "docker compose up -d": "needs Docker",
    'xt.connect("https://xtyl.example.org", token="xtyl_…")': "no such host; test_a_run_goes_from_submission_to_frame has one",
    'xt.connect("https://xtyl.example.com", token="xtyl_…")': "no such host",
    'xt.connect(database="postgresql://xtyl:…@db/xtyl", redis="redis://:…@redis:6379/0")': "no such hosts",
    "pip install ./examples/xtyl-stock": "test_its_own_tests_pass installs it",
    'pip install "./examples/xtyl-stock[test]"': "test_its_own_tests_pass installs it",
    "pytest examples/xtyl-stock/tests": "test_its_own_tests_pass runs it",
    '.node("fit_image", "story", image="{{ photo.image }}", size="1080x1920")': "test_its_readme_runs_and_others_can_look",
    "python benchmarks/figures.py": "measures for minutes",
    "xtyl show latest": "no run is here; test_a_run_is_named_by_a_part_of_its_id shows one",
    "xtyl show latest --follow": "no run is here to follow",
    "python benchmarks/recovery.py": "measures for minutes",
    "python benchmarks/recover.py --rounds 30": "measures for minutes",
    "python benchmarks/fairness.py": "measures for minutes",
    "python benchmarks/listeners.py": "measures for minutes",
    "python benchmarks/functions.py": "measures for minutes",
    "python benchmarks/load.py": "measures for an hour",
    "python benchmarks/load.py --part hundred": "measures for minutes",
}

# Blocks, by their first line, that other tests run whole, with the servers that they need.
ELSEWHERE = {
    "export API=http://127.0.0.1:8000": "test_the_session_in_the_docs_works",
    "xtyl backup backup": "test_the_documented_copy_of_a_shared_back_end_goes_on_elsewhere",
    "xtyl restore backup": "test_the_documented_copy_of_a_shared_back_end_goes_on_elsewhere",
}


def blocks(*languages: str) -> Iterator[Any]:
    """Each block in one of these languages, with the document it stands in."""
    for path in DOCUMENTS:
        for found in FENCE.finditer(path.read_text(encoding="utf-8")):
            if found[1].split(" ")[0] in languages:
                yield pytest.param(path, found[2], id=f"{path.relative_to(ROOT)}:{found[2].splitlines()[0][:30]}")


def commands(block: str) -> list[str]:
    """The commands of a block one by one, without comments; none of a block that another test runs."""
    if block.splitlines()[0] in ELSEWHERE:
        return []
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in block.splitlines()]
    return [command for line in lines if line for command in line.split(" && ")]


BASH, PYTHON = list(blocks("bash")), list(blocks("python"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An embedded back end that has been used before."""
    with embedded_home(tmp_path) as settings:
        monkeypatch.setenv("XTYL_HOME", str(settings.home))
        database = Database(settings.database_url)
        ensure_schema(database)
        database.close()
        yield
        xt.connect()


@pytest.mark.parametrize(("path", "block"), [each for each in BASH if {*commands(each.values[1])} - {*NOT_HERE}])
def test_a_bash_block_runs(path: Path, block: str, home: None, tmp_path: Path) -> None:
    """Each command that can, in a folder whose `.venv` is the environment of the tests."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = "\n".join(command for command in commands(block) if command not in NOT_HERE)
    search = os.pathsep.join([f"{tmp_path}/.venv/bin", os.environ["PATH"]])
    environment = {**os.environ, "PATH": search, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize(("path", "block"), [each for each in PYTHON if not {*commands(each.values[1])} & {*NOT_HERE}])
def test_a_python_block_runs(path: Path, block: str, home: None) -> None:
    """From its first line to its last; where that gives a frame, the table below the block shows it."""
    names: dict[str, Any] = {}
    exec(compile(block, path.name, "exec"), names)
    if block.splitlines()[-1].startswith("run.frame()"):
        shown = path.read_text(encoding="utf-8").partition(block)[2].partition("\n|")[2].partition("\n\n")[0]
        assert "|" + shown == table(names["run"].frame())


def table(frame: pd.DataFrame) -> str:
    """A frame in Markdown. An image is called so, for its path is another on each machine."""

    def cell(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(cell, value))}]"
        return "image" if str(value).endswith(".png") else "" if pd.isna(value) else str(value)

    rows = [["", *frame.columns], *([label, *row] for label, row in zip(frame.index, frame.to_numpy(), strict=True))]
    lines = [f"| {' | '.join(map(cell, row))} |".replace("|  |", "| |") for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def test_every_block_says_its_language() -> None:
    """One that did not would be run by no test."""
    languages = {found[1].split(" ")[0] for path in DOCUMENTS for found in FENCE.finditer(path.read_text("utf-8"))}
    assert languages <= {"bash", "python", "ini", "mermaid", "nginx", "sql", "toml", "yaml"}


def test_what_does_not_run_here_is_printed_somewhere() -> None:
    """The two tables name nothing that no document has, and the tests they name exist."""
    printed = {command for each in BASH + PYTHON for command in commands(each.values[1])}
    assert set(NOT_HERE) - printed == set()
    assert set(ELSEWHERE) <= {each.values[1].splitlines()[0] for each in BASH}
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {*ELSEWHERE.values(), *re.findall(r"test_\w+", " ".join(NOT_HERE.values()))}
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
