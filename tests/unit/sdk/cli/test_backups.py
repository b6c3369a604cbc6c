"""`xtyl backup --every`: a process that makes backups until it is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleet import collected
from moved_clock import MovedClock
from servers import free_port, is_gone, wait_until
from xtyl_engine.embedded.backup_folder import backups
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_nb.cli.main import main

DAY_SECONDS = 86_400
FAILS = 'echo "pg_dump: error: no room for $*" >&2; exit 1'
HANGS = 'echo $$ > "$XTYL_HOME/pid"; exec sleep 600'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that was never used, and a port for Prometheus."""
    values = {"XTYL_HOME": str(tmp_path / "home"), "XTYL_METRICS": f"127.0.0.1:{free_port()}"}
    made = load_settings(values)
    prepare_home(made)
    return made


@contextmanager
def kept(settings: Settings, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that makes a backup a day, ended by SIGTERM, which it obeys."""
    command = [str(Path(sys.executable).with_name("xtyl")), "backup", "--every", "1d", "--keep", "2", str(folder)]
    with open(folder.parent / "log", "ab") as log:
        process = subprocess.Popen(command, env={**settings.child_environ(), **variables}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(60) == 0


def is_kept(folder: Path) -> bool:
    """Whether the check finds the process, and a backup that is new enough."""
    return CliRunner().invoke(main, ["backup", "--every", "1d", "--check", str(folder)]).exit_code == 0


def is_newest(folder: Path, number: int) -> bool:
    return [each.number for each in backups(folder)][-1:] == [number]


def server(url: str, folder: Path, script: str) -> dict[str, str]:
    """The variables of a PostgreSQL whose copying program is this script, and which takes any password."""
    folder.mkdir()
    (folder / "pg_dump").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pg_dump").chmod(0o755)
    variables = {"XTYL_DATABASE_URL": url.replace("postgres:@", "postgres:hidden-word@")}
    return variables | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_backups_go_on_where_they_stopped(settings: Settings, tmp_path: Path) -> None:
    """A process makes the first at once; another one that takes its place makes the next when a day has passed, not before."""
    folder = tmp_path / "backups"
    assert not is_kept(folder)
    with kept(settings, folder):
        wait_until(lambda: is_kept(folder))
    (first,) = backups(folder)
    assert not is_kept(folder)
    with kept(settings, folder):
        wait_until(lambda: is_kept(folder))
        assert backups(folder) == [first]
    about = json.loads((first.path / "backup.json").read_bytes())
    (first.path / "backup.json").write_text(json.dumps({**about, "made": about["made"] - 86_400}))
    with kept(settings, folder):
        wait_until(lambda: len(backups(folder)) == 2)
    assert backups(folder)[-1].number == 2


def test_a_clock_that_moves_costs_no_backup(settings: Settings, tmp_path: Path) -> None:
    """A process whose clock was years ahead, is set right, and wakes a day later makes a backup each time, and Prometheus is told
    of the last."""
    folder, port, clock = tmp_path / "backups", int(settings.metrics.rpartition(":")[2]), MovedClock(tmp_path)
    clock.move(4000 * DAY_SECONDS)
    with kept(settings, folder, **clock.environ):
        for number, moved in ((1, 4000 * DAY_SECONDS), (2, 0), (3, DAY_SECONDS)):
            clock.move(moved)
            wait_until(partial(is_newest, folder, number))
            told = collected(port)["xtyl_backup_timestamp_seconds"]
            assert abs(told - time.time() - moved) < 3600
    assert [each.number for each in backups(folder)] == [2, 3]


def test_two_processes_do_not_share_a_folder(settings: Settings, tmp_path: Path) -> None:
    """The second is refused, and the first goes on."""
    folder = tmp_path / "backups"
    with kept(settings, folder):
        wait_until(lambda: is_kept(folder))
        words = [str(Path(sys.executable).with_name("xtyl")), "backup", "--every", "1d", str(folder)]
        done = subprocess.run(words, env=settings.child_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "another process makes backups" in done.stderr
        assert is_kept(folder)


def test_a_backup_that_fails_is_told(settings: Settings, postgres_url: str, tmp_path: Path) -> None:
    """It is counted and logged with its reason, nothing is left of it, and the process lives on to try again. The program's
    command line holds no password."""
    folder, port = tmp_path / "backups", int(settings.metrics.rpartition(":")[2])
    broken = server(postgres_url, tmp_path / "bin", FAILS)
    assert "hidden-word" in broken["XTYL_DATABASE_URL"]
    with kept(settings, folder, **broken) as process:
        wait_until(lambda: "no room for --no-password --dbname=postgresql:" in (tmp_path / "log").read_text())
        wait_until(lambda: collected(port)["xtyl_backup_failures_total"] == 1)
        assert collected(port)["xtyl_backup_timestamp_seconds"] == 0
        assert not is_kept(folder)
        assert process.poll() is None
    assert "hidden-word" not in (tmp_path / "log").read_text()
    assert {path.name for path in folder.iterdir()} == {".lock"}


def test_ending_it_ends_a_backup_at_once(settings: Settings, postgres_url: str, tmp_path: Path) -> None:
    """The copying program ends with it, and half the backup is removed."""
    folder = tmp_path / "backups"
    hanging = server(postgres_url, tmp_path / "bin", HANGS)
    seen = settings.home / "pid"
    with kept(settings, folder, **hanging):
        wait_until(lambda: seen.exists() and seen.read_text().strip())
    assert is_gone(int(seen.read_text()))
    assert {path.name for path in folder.iterdir()} == {".lock"}


@pytest.mark.parametrize("words", [["--every", "0d"], ["--every", "soon"], ["--check"], ["--keep", "0"]])
def test_a_schedule_without_sense_is_refused(words: list[str], tmp_path: Path) -> None:
    """The form is shown, and no folder is made."""
    done = CliRunner().invoke(main, ["backup", *words, str(tmp_path / "backups")])
    assert done.exit_code == 2
    assert not (tmp_path / "backups").exists()
