"""The scripts under benchmarks/ are run by hand, so that these tests are the first to see a helper that moved."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from repository import DOCS, ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
# What `crowd.py` gives the processes that import these two.
ENVIRON = {"BARE_BROKER": "memory://", "CANVAS_BROKER": "memory://", "CANVAS_RESULTS": "cache+memory://"}
NAMED = re.compile(r"\bbenchmarks/\w+\.py\b")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_benchmark_imports(script: Path, tmp_path: Path) -> None:
    """Python finds every name that it imports; nothing is measured."""
    environ = os.environ | ENVIRON | {"PYTHONPATH": str(script.parent), "XTYL_HOME": str(tmp_path)}
    command = [sys.executable, "-c", f"import {script.stem}"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr


def test_benchmarks_that_are_named_exist() -> None:
    """A document or a script names a script of benchmarks/ that is there."""
    places = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *SCRIPTS]
    named = {(name, place.name) for place in places for name in NAMED.findall(place.read_text(encoding="utf-8"))}
    assert {name for name, _ in named} >= {"benchmarks/figures.py", "benchmarks/live.py"}
    assert [each for each in sorted(named) if not (ROOT / each[0]).is_file()] == []
