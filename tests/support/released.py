"""Earlier releases, as `keep_schema.py` kept them: their databases, put where a test may use them, and the last one's code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from repository import DATA
from servers import postgres_program
from xtyl_engine.settings import Settings

SCHEMAS = sorted(folder.name.removeprefix("schema-") for folder in DATA.glob("schema-*"))
PREVIOUS = "0002"
# The last release of the schema of today; its modules lay side by side.
RELEASED = "0003"
# Two jobs that stay and two that end; leases that are soon over.
MIDWAY = {"XTYL_SLOTS": "4", "XTYL_LEASE_SECONDS": "2", "XTYL_BEAT_SECONDS": "0.5"}


def put_back(schema: str, settings: Settings) -> dict[str, object]:
    """Fill the empty home and database of these settings with the data of a release; the frames that it gave."""
    kept = DATA / f"schema-{schema}"
    shutil.copytree(kept / "artifacts", settings.artifacts_folder)
    if settings.database_url.startswith("sqlite"):
        shutil.copy(kept / "xtyl.db", settings.home / "xtyl.db")
    else:
        load_dump(kept / "postgres.sql", settings.database_url)
    frames: dict[str, object] = json.loads((kept / "frames.json").read_text(encoding="utf-8"))
    return frames


def load_dump(path: Path, url: str) -> None:
    """Run a plain SQL dump in an empty database."""
    words = [postgres_program("psql"), url, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file", str(path)]
    subprocess.run(words, check=True, capture_output=True)


def leave_midway(settings: Settings) -> dict[str, Any]:
    """Fill an empty home and database with runs that a release had to leave in their middle; what it said of them. Its files were
    kept from SQLite and one Python, to which packed functions are bound; for others its code does it again."""
    kept = DATA / f"schema-{RELEASED}" / "midway"
    made_by = json.loads((kept / "midway.json").read_text(encoding="utf-8"))["made_by"]
    if settings.database_url.startswith("sqlite") and made_by == [
        *sys.version_info[:2],
        int(pd.__version__.split(".")[0]),
    ]:
        shutil.copytree(kept, settings.home, dirs_exist_ok=True)
    else:
        script = str(Path(__file__).with_name("midway.py"))
        environ = environ_before(settings, RELEASED) | MIDWAY
        subprocess.run([sys.executable, script], env=environ, cwd=settings.home, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((settings.home / "midway.json").read_text(encoding="utf-8"))
    return found


def wheel(schema: str) -> Path:
    """The code of the release that brought a schema."""
    (found,) = (DATA / f"schema-{schema}").glob("*.whl")
    return found


def environ_before(settings: Settings, schema: str = PREVIOUS) -> dict[str, str]:
    """An environment in which Python finds the code of the release that brought a schema, and these settings."""
    return {**settings.child_environ(), "PYTHONPATH": str(wheel(schema))}


@contextmanager
def worker_before(settings: Settings, environ: dict[str, str]) -> Iterator[None]:
    """A worker as the supervisors of the kept releases start it, with the code that this environment finds."""
    start = [sys.executable, "-P", "-m", "celery", "-A", "xtyl_engine.worker", "worker"]
    rest = ["--pool", "threads", "--concurrency", str(settings.slots), "--without-heartbeat"]
    with open(settings.log_folder / "worker.log", "ab") as log:
        worker = subprocess.Popen(
            [*start, *rest, "--without-gossip", "--without-mingle"],
            env=environ,
            cwd=settings.home,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(40)


def do_before(settings: Settings, code: str, schema: str = PREVIOUS) -> str:
    """Run `code` with the release that brought a schema; its output. It has imported xtyl_nb as xt."""
    guard = f"import xtyl_nb as xt, xtyl_engine.schema as schema; assert schema.HEAD == {schema!r}, schema.__file__\n"
    return printed(guard + code, settings, environ_before(settings, schema))


def printed(code: str, settings: Settings, environ: dict[str, str]) -> str:
    """Run `code` in a process of its own, with the release that this environment finds; its output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=settings.home,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        preexec_fn=os.setsid,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
