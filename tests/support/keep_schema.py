"""Keeps databases as this release writes them, for later ones to upgrade.

`python tests/support/keep_schema.py tests/data/schema-0004` makes a SQLite file, a PostgreSQL dump, the artifacts of
both and the frames they gave, and under `midway` a home whose back end was killed (see `midway.py`). It is run once for each
new schema, by the code that brought it; to do it later, put that code first on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import text

import xtyl_nb as xt
from servers import embedded_home, postgres_program, postgres_server, wait_until
from xtyl_engine.database.connection import Database
from xtyl_engine.settings import Settings

BRIEFS = [{"word": "lamp", "text": '{"lumen": 800}'}, {"word": "mug", "text": "{"}]
IMAGE: dict[str, Any] = {"prompt": "{{ line.text }}", "over": "line", "size": "96x64"}


def fill() -> dict[str, object]:
    """A finished, a paused and a failed run in the back end in use; their frames as JSON, files without their folder."""
    drafts = (
        xt.Workflow("finished")
        .generate_copy("line", prompt="A line for {{ word }}", n=2)
        .generate_image("art", **IMAGE)
    )
    reviewed = drafts.review("pick", of="art", choose=1, edit=True).attach(
        "kit", title="{{ pick.line.text }}", image="{{ pick.art.image }}"
    )
    finished = (
        reviewed.run(BRIEFS).approve("pick", choose=[1], edits={1: "Written by hand"}, comment="the second").wait(60)
    )
    paused = xt.Workflow.from_json(json.loads(reviewed.to_json()) | {"name": "paused"}).run(BRIEFS)
    wait_until(lambda: len(paused.reviews()) == 4)
    paused.pause()
    failed = xt.Workflow("failed").call("parsed", json.loads, s="{{ text }}").run(BRIEFS).wait(60)
    states = {run: str(run.state) for run in (finished, paused, failed)}
    assert list(states.values()) == ["completed", "paused", "failed"], states
    return {run.name: kept_frame(run) for run in states}


def kept_frame(run: xt.Run) -> object:
    """A run's frame as plain JSON; of a file's path only its name is kept."""

    def plain(value: object) -> object:
        if isinstance(value, (list, dict)):
            return (
                [plain(each) for each in value] if isinstance(value, list) else {k: plain(v) for k, v in value.items()}
            )
        return value.rpartition("/")[2] if isinstance(value, str) and "/artifacts/" in value else value

    return plain(json.loads(run.frame().to_json(orient="split")))


def filled(folder: Path, **variables: str) -> tuple[Settings, dict[str, object]]:
    with embedded_home(folder, **variables) as settings:
        os.environ.update(settings.to_environ())
        frames = fill()
        xt.connect()
        # The path of this machine's Python must not be kept.
        database = Database(settings.database_url)
        with database.engine.begin() as connection:
            words = text("UPDATE agent_jobs SET traceback = replace(traceback, :folder, 'lib')")
            connection.execute(words, {"folder": str(Path(json.__file__).parents[1])})
        database.close()
    return settings, frames


def keep_home(settings: Settings, target: Path) -> None:
    """The database and the files of a home."""
    with sqlite3.connect(settings.home / "xtyl.db") as database:
        database.execute("VACUUM INTO ?", (str(target / "xtyl.db"),))
    shutil.copytree(settings.artifacts_folder, target / "artifacts")


def keep_midway(folder: Path, target: Path) -> None:
    """A home whose runs were stopped in their middle, with its key and what was said of it."""
    target.mkdir()
    with embedded_home(folder, XTYL_SLOTS="4") as settings:
        script = Path(__file__).with_name("midway.py")
        subprocess.run([sys.executable, str(script)], env=settings.child_environ(), cwd=settings.home, check=True)
        keep_home(settings, target)
        for name in ("key", "midway.json", "frame.pickle"):
            shutil.copy(settings.home / name, target / name)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings, frames = filled(Path(folder) / "one")
        keep_home(settings, target)
        keep_midway(Path(folder) / "middle", target / "midway")
        with postgres_server(Path(folder) / "postgres") as url:
            _, again = filled(Path(folder) / "two", XTYL_DATABASE_URL=url)
            assert again == frames
            words = [postgres_program("pg_dump"), url, "--inserts", "--no-owner", "--no-privileges"]
            dump = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    (target / "postgres.sql").write_text(dump, encoding="utf-8")
    (target / "frames.json").write_text(json.dumps(frames, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
