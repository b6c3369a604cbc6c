"""The `xtyl` command against an embedded back end of its own, from start to end."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import xtyl_nb as xt
from owner_process import OwnerProcess
from servers import embedded_home
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.database.tables import executions, jobs, templates
from xtyl_nb.cli.main import main


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with embedded_home(tmp_path_factory.mktemp("cli")) as settings:
        yield settings.to_environ()


@pytest.fixture
def xtyl(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs the command with arguments; returns its output and status."""
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    yield lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)
    xt.connect()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[OwnerProcess]:
    """Another process that owns claims in the test's home; it ends with the test."""
    process = OwnerProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def migrate(tmp_path: Path, database_url: str, worker: OwnerProcess) -> Callable[[float], Result]:
    """Runs `xtyl migrate` to an older schema while a job is recorded as running in `worker`, with a lease to a given moment."""

    def run(lease: float) -> Result:
        with closing(Database(database_url)) as database:
            ensure_schema(database)
            with database.engine.begin() as connection:
                connection.execute(templates.insert().values(id="t", name="w", plan="{}", created=0))
                shape = {"shape": "{}", "rows": 1, "total": 1, "created": 0}
                connection.execute(
                    executions.insert().values(id="e", template_id="t", name="w", state="running", **shape)
                )
                job = {"execution_id": "e", "node": "a", "item": "0", "state": "running", "owner": worker.name}
                connection.execute(jobs.insert().values(**job, lease=lease))
        environ = {
            "XTYL_HOME": str(tmp_path),
            "XTYL_DATABASE_URL": database_url,
            "XTYL_REDIS_URL": "unix:///nowhere.sock",
        }
        return CliRunner().invoke(main, ["migrate", "--to", "0001"], env=environ)

    return run


def test_a_dead_workers_lease_ahead_does_not_refuse_a_migration(
    migrate: Callable[[float], Result], worker: OwnerProcess
) -> None:
    """As after a clock was set back: the worker is asked, not its lease."""
    worker.kill()
    done = migrate(4e9)
    assert done.output == "The database has schema 0001.\n"


def test_a_living_workers_lease_that_ran_out_refuses_a_migration(
    migrate: Callable[[float], Result], worker: OwnerProcess
) -> None:
    """As after a night of sleep: it goes on with its job."""
    done = migrate(1.0)
    assert done.exit_code == 1
    assert f"the worker {worker.name} is still at work on this schema" in done.output


def test_the_demo_completes_and_writes_its_files(xtyl: Callable[..., Result], tmp_path: Path) -> None:
    """Two briefs run through; the results are printed and written to the folder."""
    done = xtyl("demo", "--rows", "2", "--folder", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "run.frame()" in done.output
    assert "16 jobs" in done.output
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_runs_are_listed_shown_and_controlled(xtyl: Callable[..., Result]) -> None:
    """A waiting run is paused, resumed and stopped by its id; an impossible control is refused by name, without a traceback."""
    run = xt.Workflow("by-hand").generate_copy("line", prompt="x").review("pick", of="line").run()
    with pytest.raises(xt.WaitTimeout):
        run.wait(0.2)
    assert run.id in xtyl("runs").output
    assert xtyl("pause", run.id).output == f"{run.id} is paused.\n"
    assert xtyl("resume", run.id).output == f"{run.id} is running.\n"
    assert xtyl("stop", run.id).output == f"{run.id} is stopped.\n"
    refused = xtyl("pause", run.id)
    assert refused.exit_code == 1
    assert "run/refused" in refused.output
    assert "Traceback" not in refused.output
    missing = xtyl("show", "no-such-run")
    assert missing.exit_code == 1
    assert "run/not-found" in missing.output
    assert xtyl("show", run.id).exit_code == 0


def test_the_back_end_is_started_examined_and_ended(xtyl: Callable[..., Result]) -> None:
    """up, status, doctor and down report their findings in words; a second down finds nothing."""
    assert "back end: running (process " in xtyl("up").output
    found = xtyl("status").output
    assert "back end: running (process " in found
    assert "worker: ready (process " in found
    assert "{" not in found
    told = json.loads(xtyl("status", "--json").stdout)
    assert (told["kind"], told["running"], told["worker"]) == ("embedded", True, "ready")
    doctor = xtyl("doctor")
    assert "sqlite" in doctor.output
    assert xtyl("down").output == "The back end has ended.\n"
    assert xtyl("down").output == "No back end was running.\n"
    found = xtyl("status").output
    assert "back end: was stopped; `xtyl up` or the next run starts it\n" in found
    assert "worker: no worker is there\n" in found
    assert json.loads(xtyl("status", "--json").stdout)["running"] is False


def test_a_wrong_setting_is_named(xtyl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable and its allowed values are printed, and the status is 1."""
    monkeypatch.setenv("XTYL_SLOTS", "many")
    done = xtyl("up")
    assert done.exit_code == 1
    assert "settings/invalid" in done.output
    assert "XTYL_SLOTS" in done.output


@pytest.mark.parametrize("arguments", [(), ("--help",), ("demo", "-h"), ("--version",)])
def test_help_is_at_hand(xtyl: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    """Without a command, and with the usual options, it explains itself."""
    done = xtyl(*arguments)
    assert done.exit_code in (0, 2)
    assert done.output


@pytest.mark.parametrize(
    "words",
    [
        ("token", "list"),
        ("token", "create", "ana", "--role", "read", "--project", "press"),
        ("status",),
        ("down",),
        ("prune", "--older-than", "30d"),
    ],
)
def test_a_command_about_the_home_says_so(
    xtyl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """It says so if XTYL_URL leads elsewhere, on standard error and without the address; otherwise not."""
    monkeypatch.setenv("XTYL_URL", "https://canary.example.org")
    said = xtyl(*words)
    assert said.stderr.startswith(f"XTYL_URL is set; this command works on the home {os.environ['XTYL_HOME']},")
    assert "canary" not in said.output
    assert "XTYL_URL" not in said.stdout
    monkeypatch.delenv("XTYL_URL")
    assert "XTYL_URL" not in xtyl(*words).output


def in_a_terminal(*words: str) -> str:
    """What `xtyl` writes to a terminal of its own, standard error too."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("xtyl")), *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}):
        os.close(theirs)
        said = b""
        # The end of a terminal is an error for who reads it.
        with suppress(OSError):
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    return said.decode()


def refuse(cell: str) -> str:
    sys.stdout.write(cell)
    raise ValueError(cell)


def test_no_cell_acts_on_the_terminal(xtyl: Callable[..., Result]) -> None:
    """Labels, prints and errors that hold escape sequences are shown, and neither title, colour nor order is theirs."""
    attack = "\x1b]0;owned\a\x9b31m\u202edetupmoc"
    flow = xt.Workflow("w").call("lay", refuse, cell="{{ cell }}")
    run = flow.run(pd.DataFrame({"cell": [attack]}, index=[attack])).wait(60)
    said = [in_a_terminal(*words) for words in (("show", run.id), ("runs",))]
    for each in (*said, str(run.logs()), repr(run.frame()), repr(run)):
        assert not re.search("\x1b]|[\a\x9b\u202e]", each), each
    assert r"\x1b]0;owned\x07" in said[0]
