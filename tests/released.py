"""Earlier releases, as `keep_schema.py` kept them: their databases, put where a test may use them, and the last one's code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from servers import postgres_program
from xtyl_engine.settings import Settings

DATA = Path(__file__).parent / "data"
SCHEMAS = sorted(folder.name.removeprefix("schema-") for folder in DATA.glob("schema-*"))
PREVIOUS = "0002"


def put_back(schema: str, settings: Settings) -> dict[str, object]:
    """Fill the empty home and database of these settings with what a release left; the frames that it gave."""
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


def environ_before(settings: Settings) -> dict[str, str]:
    """An environment in which Python finds the code of the release before this schema, and these settings."""
    (wheel,) = (DATA / f"schema-{PREVIOUS}").glob("*.whl")
    return {**settings.child_environ(), "PYTHONPATH": str(wheel)}


def do_before(settings: Settings, code: str) -> str:
    """Run `code` with the release before; what it printed. It has imported xtyl_nb as xt."""
    guard = "import xtyl_nb as xt, xtyl_engine.schema as schema; assert schema.HEAD == '0002', schema.__file__\n"
    done = subprocess.run(
        [sys.executable, "-c", guard + code],
        env=environ_before(settings),
        cwd=settings.home,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        preexec_fn=os.setsid,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
