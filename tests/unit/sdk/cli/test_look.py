"""`xtyl runs` and `xtyl show` over runs in every state that a person asks about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import xtyl_nb as xt
from workbench import Workbench, workbench
from xtyl_nb.cli.look import ago
from xtyl_nb.cli.main import main

DRAFT = xt.Workflow("autumn-launch").generate_copy("line", prompt="{{ word }}", n=2).review("pick", of="line")
WORDS = [{"word": "lamp"}, {"word": "\x1b[2Jmug"}, {"word": "chair"}]
FIELDS = [
    "id", "name", "project", "state", "waiting_for", "decisions", "rows", "jobs", "done", "failed", "error", "created",
    "started", "finished",
]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        for name, value in made.settings.to_environ().items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def xtyl(bench: Workbench) -> Callable[..., Result]:
    """Runs the command with arguments; returns its output and status."""
    return lambda *words: CliRunner().invoke(main, list(words), catch_exceptions=False)


def test_runs_are_a_table_for_people(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """A line for each, newest first, with what waits for a person and how much; nothing is cut or coloured without a terminal."""
    assert xtyl("runs").output == "No runs yet.\n"
    over = bench.done(xt.Workflow("long-" + "x" * 70).generate_copy("line", prompt="a"))
    waits = bench.done(DRAFT, WORDS)
    stopped = DRAFT.run(WORDS).stop()
    head, *rows = xtyl("runs").stdout.splitlines()
    assert head.split() == ["RUN", "STATE", "DONE", "CREATED", "NAME"]
    assert [row.split()[0] for row in rows] == [stopped.id, waits.id, over.id]
    assert "■ stopped" in rows[0]
    assert "✎ waiting for you (3)" in rows[1]
    assert rows[2].endswith("long-" + "x" * 70)
    assert "\x1b" not in "".join(rows)
    assert rows[0].split()[3] == "0/9"


def test_runs_are_chosen_by_state_and_name(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """By one state or several, by a part of the name in whatever case, by waiting for a person, by number; none is said."""

    def found(*words: str) -> list[str]:
        return [each["id"] for each in json.loads(xtyl("runs", "--json", *words).stdout)["runs"]]

    over = bench.done(xt.Workflow("Äpfel").generate_copy("line", prompt="a"))
    waits = bench.done(DRAFT, WORDS)
    fresh = DRAFT.run(WORDS)
    assert found("--state", "completed") == [over.id]
    assert found("--state", "completed", "--state", "pending") == [fresh.id, over.id]
    assert found("--name", "äPF") == [over.id]
    assert found("--name", "AUTUMN", "--limit", "1") == [fresh.id]
    assert found("--state", "waiting") == [waits.id]
    assert found("--state", "failed") == []
    assert xtyl("runs", "--state", "failed").stdout == "No run is like that.\n"
    assert xtyl("runs", "--state", "waiting", "--state", "failed").exit_code == 2


def test_a_run_is_named_by_a_part_of_its_id(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """By `latest` and the beginning of one id; of several, of none and nearly of one is an error that names them."""
    assert "there is no run yet" in xtyl("show", "latest").stderr
    first, last = DRAFT.run(WORDS), DRAFT.run(WORDS)
    for text, run in ((first.id, first), (first.id[:-2], first), ("latest", last)):
        assert json.loads(xtyl("show", "--json", text).stdout)["id"] == run.id
    several = xtyl("stop", "autumn")
    assert several.exit_code == 1
    assert several.stderr.startswith("run/ambiguous: more than one run begins with 'autumn':\n")
    assert {first.id, last.id} <= set(several.stderr.split())
    mistyped = xtyl("stop", f"{first.id[:-1]}-")
    assert mistyped.stderr.startswith("run/not-found")
    assert f"Did you mean {first.id!r}?" in mistyped.stderr
    assert "`xtyl runs` lists the runs" in xtyl("show", "%").stderr
    assert first.state == last.state == "pending"
    assert xtyl("pause", "latest").output == f"{last.id} is paused.\n"
    with pytest.raises(xt.RunNotFound, match=f"Did you mean '{first.id}'"):
        xt.attach(f"{first.id[:-1]}-")


def test_a_waiting_run_is_shown_once(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """The command returns: its steps, whom it waits for, how to decide; a text of a cell cannot act on the terminal."""
    run = bench.done(DRAFT, WORDS)
    shown = xtyl("show", run.id)
    assert shown.exit_code == 0
    assert "✎ waiting for you (3)" in shown.stdout
    assert "✎ pick" in shown.stdout
    assert "  pick: lamp (choose 1 of 2)\n" in shown.stdout
    assert "pick: \\x1b[2Jmug" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert f"To decide: xt.attach({run.id!r}).approve('pick', choose=[0])" in shown.stdout


def test_json_has_one_shape(bench: Workbench, xtyl: Callable[..., Result]) -> None:
    """One document, its texts as they are; followed, one a line until the end, and the exit code says how the run ended."""
    run = bench.done(DRAFT, WORDS[1:2])
    (listed,) = json.loads(xtyl("runs", "--json").stdout)["runs"]
    assert list(listed) == FIELDS
    assert (listed["state"], listed["decisions"], listed["waiting_for"]) == (
        "running",
        1,
        "a person: 1 decision at pick",
    )
    shown = json.loads(xtyl("show", "--json", run.id).stdout)
    assert shown == listed | {"nodes": shown["nodes"], "reviews": shown["reviews"]}
    assert [(each["id"], each["state"], each["waiting"]) for each in shown["nodes"]] == [
        ("line", "completed", 0),
        ("pick", "waiting", 1),
    ]
    assert shown["reviews"][0]["label"] == "\x1b[2Jmug"
    run.stop()
    followed = xtyl("show", "--follow", "--json", run.id)
    assert [json.loads(line)["state"] for line in followed.stdout.splitlines()] == ["stopped"]
    assert followed.exit_code == 1
    over = bench.done(xt.Workflow("one").generate_copy("line", prompt="a"))
    assert xtyl("show", "--follow", over.id).exit_code == 0


def test_how_long_ago_is_short() -> None:
    """In the largest unit that is not more."""
    assert [ago(seconds) for seconds in (-5, 59, 60, 7300, 90_000)] == [
        "just now",
        "just now",
        "1 min ago",
        "2 h ago",
        "1 d ago",
    ]
