"""The `xtyl` commands for operators, and docs/operations.md: every command there exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import xtyl_nb as xt
from fleet import fleet
from repository import ROOT
from servers import embedded_home, empty_database, foreign_server, postgres_program, valkey_server, wait_until
from workbench import Workbench, workbench
from xtyl_engine.broker.redis_client import check_memory
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.files import files_in
from xtyl_engine.database.schema import HEAD, ensure_schema, revision
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_nb.cli.main import main

DOCUMENTS = [
    ROOT / name
    for name in (
        "README.md",
        "docs/commands.md",
        "docs/operations.md",
        "docs/capacity.md",
        "docs/decisions.md",
        "engine/README.md",
    )
]
MOVED = (
    xt.Workflow("moved")
    .generate_image("art", prompt="{{ word }}", size="16x16", n=2)
    .review("pick", of="art")
    .call("shout", lambda word: word.upper(), word="{{ word }}", after=["pick"])
)
SPANS = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.S)


@pytest.fixture
def xtyl() -> Callable[..., Result]:
    """Runs the command with arguments; returns its output and status."""
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def bench(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    with workbench(tmp_path, XTYL_DATABASE_URL=database_url) as made:
        for name, value in made.settings.to_environ().items():
            monkeypatch.setenv(name, value)
        yield made


def commands(text: str) -> Iterator[list[str]]:
    """Each call of `xtyl` in code, as words."""
    for block, span in SPANS.findall(text):
        for line in (block or span).splitlines():
            for call in re.findall(r"(?:^|[\s;/])(xtyl [a-z][^#;]*)", line):
                yield shlex.split(call)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_the_docs_exists(path: Path) -> None:
    """Its name and each of its options exist."""
    found = list(commands(path.read_text(encoding="utf-8")))
    assert found or path.name != "operations.md"
    for _, names, *words in found:
        for name in names.split("|"):
            command = main.commands[name]
            if isinstance(command, click.Group) and words:
                command = command.commands[words[0]]
            options = {option for each in command.params if isinstance(each, click.Option) for option in each.opts}
            assert {word for word in words if word.startswith("--")} <= options, words


def test_old_runs_are_removed_by_hand(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """A dry run prints what would be removed; then it is removed, and the cost of that is printed."""
    run = bench.done(xt.Workflow("old").generate_copy("line", prompt="x"))
    assert "Would remove 1 executions with 1 jobs" in xtyl("prune", "--older-than", "0d", "--dry-run").output
    assert run.state == "completed"
    assert "Removed 0 executions" in xtyl("prune", "--older-than", "1d").output
    done = xtyl("prune", "--older-than", "0m")
    assert "Removed 1 executions with 1 jobs" in done.output
    assert "cached results are gone too" in done.output
    assert xt.runs().empty


@pytest.mark.parametrize("words", [[], ["--older-than", "30"], ["--older-than", "soon"], ["--older-than", "-1d"]])
def test_no_age_is_guessed(xtyl: Callable[..., Result], words: list[str]) -> None:
    """Without an age, or with an invalid one, nothing happens and the form is shown."""
    done = xtyl("prune", *words)
    assert done.exit_code == 2
    assert "30d" in done.output


@contextmanager
def broker(*options: str) -> Iterator[Settings]:
    """A server with these options, as another person set it up."""
    with foreign_server(*options) as url, tempfile.TemporaryDirectory(prefix="xtyl-") as home:
        yield load_settings({"XTYL_HOME": home, "XTYL_REDIS_URL": url})


def test_a_shared_back_end_says_how_full_it_is(
    bench: Workbench, xtyl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints the broker's memory and policy, if they may be read; its streams, the database's size, the runs by state."""
    bench.done(xt.Workflow("one").generate_copy("line", prompt="x"))
    wait_until(lambda: "live streams: 1\n" in xtyl("status").output)
    found = xtyl("status").output
    assert "broker memory: not known" in found
    assert re.search(r"database size: [\d.]+ MB\n", found)
    assert "runs: 1 completed\n" in found
    told = json.loads(xtyl("status", "--json").output)
    assert (told["kind"], told["runs"], told["broker"]["streams"]) == ("shared", {"completed": 1}, 1)
    with broker("--maxmemory", "100mb") as settings:
        monkeypatch.setenv("XTYL_REDIS_URL", str(settings.redis_url))
        assert re.search(
            r"broker memory: [\d.]+ MB of 100 MB .*, policy noeviction\n",
            xtyl("status").output,
        )
        assert "live streams: 0\n" in xtyl("status").output
        assert "ok   memory: " in xtyl("doctor").output


@pytest.mark.parametrize(
    ("options", "is_well", "hint"),
    [
        (["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"], True, ""),
        (["--maxmemory-policy", "noeviction"], True, "Set maxmemory"),
        (["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"], False, "Raise its maxmemory"),
        (["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"], False, "Set maxmemory-policy to noeviction"),
    ],
)
def test_the_doctor_looks_at_the_brokers_memory(options: list[str], is_well: bool, hint: str) -> None:
    """A broker that is nearly full, or evicts, is named with a remedy."""
    with broker(*options) as settings:
        found = check_memory(settings.event_url)
    assert found.ok is is_well
    assert hint in found.hint
    assert f"policy {options[-1]}" in found.detail


def test_a_copy_goes_on_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xtyl: Callable[..., Result]) -> None:
    """A back end is copied at work, ended and deleted; in a new home its paused run is decided and runs to its end,
    functions and pictures included, and finished runs are unchanged."""
    with embedded_home(tmp_path / "one") as settings:
        use(settings, monkeypatch)
        run = MOVED.run([{"word": "lamp"}])
        wait_until(lambda: len(run.reviews()) == 2)
        run.pause()
        assert "files" in xtyl("backup", tmp_path / "copy").output
        assert "is not empty" in xtyl("backup", tmp_path / "copy").output
        refused = xtyl("restore", tmp_path / "copy")
        assert refused.exit_code == 1
        assert "there is a back end" in refused.output
        xt.connect()
        down(settings)
        for path in files_in(settings.artifacts_folder):
            path.unlink()
    with embedded_home(tmp_path / "two") as settings:
        (settings.home / "xtyl.db").unlink()
        use(settings, monkeypatch)
        assert "Restored the database and 2 files" in xtyl("restore", tmp_path / "copy").output
        check_moved(xt.attach(run.id).approve("pick", choose=[1]).resume().wait(60))
        xt.connect()


@pytest.fixture
def empty_databases(request: pytest.FixtureRequest) -> list[str]:
    """Two PostgreSQL databases with nothing in them."""
    return [empty_database(request.getfixturevalue("postgres_url")) for _ in range(2)]


def follow(name: str, settings: Settings, folder: Path) -> None:
    """Carry out the documentation, word for word."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- tried: {name} -->\n```bash\n(.*?)```", text, re.S)
    programs = [Path(postgres_program("pg_dump")).parent, Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    words = ["bash", "-euo", "pipefail", "-c", block]
    subprocess.run(words, check=True, cwd=folder, env={**settings.child_environ(), "PATH": path}, capture_output=True)


@contextmanager
def team(home: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, restored: bool = False) -> Iterator[Settings]:
    """A shared back end with a broker and a worker of its own, in use; all of it is killed at the end."""
    with valkey_server() as server:
        environ = {"XTYL_HOME": str(home), "XTYL_DATABASE_URL": url, "XTYL_REDIS_URL": server, "XTYL_SLOTS": "2"}
        settings = load_settings({**environ, "XTYL_ACCEPT_FUNCTIONS": "1"})
        use(settings, monkeypatch)
        if restored:
            follow("restore", settings, home.parent)
        prepare_home(settings)
        with fleet(settings):
            xt.connect(database=url, redis=server)
            yield settings
            xt.connect()


def test_the_documented_copy_of_a_shared_back_end_goes_on_elsewhere(
    empty_databases: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is dumped at work; everything is killed; in a new database and a new home the waiting run is decided
    and ends, with a new broker and a new worker."""
    with team(tmp_path / "one", empty_databases[0], monkeypatch) as settings:
        run = MOVED.run([{"word": "lamp"}])
        wait_until(lambda: len(run.reviews()) == 2)
        follow("backup", settings, tmp_path)
        shutil.rmtree(settings.artifacts_folder)
    with team(tmp_path / "two", empty_databases[1], monkeypatch, restored=True):
        check_moved(xt.attach(run.id).approve("pick", choose=[1]).wait(60))


def test_the_documented_copy_takes_what_is_there(
    empty_databases: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A back end without a file or a function has neither folder nor key: it is copied and restored all the same."""
    for name, url, step in zip(("one", "two"), empty_databases, ("backup", "restore"), strict=True):
        settings = load_settings({"XTYL_HOME": str(tmp_path / name), "XTYL_DATABASE_URL": url})
        prepare_home(settings)
        use(settings, monkeypatch)
        database = Database(url)
        if step == "backup":
            ensure_schema(database)
        follow(step, settings, tmp_path)
        assert revision(database) == HEAD
        database.close()


def check_moved(run: xt.Run) -> None:
    """Check that it has ended, with its earlier and its later parts."""
    assert run.state == "completed"
    row = run.frame().iloc[0]
    assert row["shout"] == "LAMP"
    assert all(Path(path).is_file() for path in row["art"])


def test_a_copy_says_what_is_missing(
    bench: Workbench, tmp_path: Path, xtyl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file is named, and the status is 1; a folder without a backup is refused."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(postgres_program("pg_dump")).parent), os.environ["PATH"]]))
    run = bench.done(xt.Workflow("one").generate_image("art", prompt="x", size="16x16"))
    path = Path(run.frame()["art"].iloc[0])
    path.unlink()
    done = xtyl("backup", tmp_path / "copy")
    assert done.exit_code == 1
    assert path.name in done.output
    (tmp_path / "empty").mkdir()
    nothing = xtyl("restore", tmp_path / "empty")
    assert nothing.exit_code == 1
    assert "holds no backup" in nothing.output


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.to_environ().items():
        monkeypatch.setenv(name, value)
