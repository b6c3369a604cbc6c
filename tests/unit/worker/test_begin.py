"""The beginning of a worker, in a folder that holds Python files of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from xtyl_engine.settings import load_settings
from xtyl_engine.worker.command import worker_command

# What a worker imports, early and late, and the file in which Celery looks for its settings.
SHADOWS = (
    "logging",
    "celery",
    "celeryconfig",
    "xtyl_engine",
    "structlog",
    "sqlalchemy",
    "redis",
    "billiard",
    "pydantic",
)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_folder_in_which_it_starts_shadows_nothing(tmp_path: Path, pool: str) -> None:
    """No Python file there is imported, whatever its name."""
    folder, seen = tmp_path / "folder", tmp_path / "seen"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"open({str(seen)!r}, 'a').write({name!r})")
    settings = load_settings({"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "unix:///nowhere.sock", "XTYL_POOL": pool})
    command = [*worker_command(settings), "--help"]
    done = subprocess.run(command, env=settings.child_environ(), cwd=folder, capture_output=True, text=True, check=True)
    assert "--concurrency" in done.stdout
    assert not seen.exists()
