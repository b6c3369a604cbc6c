"""The help of the command, and words that are nearly right."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from xtyl_nb.cli.help import LEAD, SECTIONS
from xtyl_nb.cli.main import main

EXAMPLES = [example for examples in SECTIONS.values() for example in examples.values()]


def test_every_command_is_in_one_section() -> None:
    """Each is listed once, with all of its short description."""
    assert sorted(name for examples in SECTIONS.values() for name in examples) == sorted(main.commands)
    shown = CliRunner().invoke(main, [])
    assert shown.exit_code == 0
    assert "..." not in shown.stdout.replace("[ARGS]...", "")
    for title, examples in SECTIONS.items():
        assert f"\n{title}:\n" in shown.stdout
        assert f"Example: {examples[LEAD[title]]}\n" in shown.stdout
    assert "130 Ctrl-C" in shown.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command(example: str) -> None:
    """Its words are taken, and the command's own help shows it."""
    program, name, *words = shlex.split(example)
    command = main.commands[name]
    assert program == "xtyl"
    if not isinstance(command, click.Group):
        command.make_context(name, words, resilient_parsing=True)
    assert f"Example: {example}" in CliRunner().invoke(main, [name, "--help"]).stdout


@pytest.mark.parametrize(("typed", "meant"), [("shwo", "show"), ("run", "runs"), ("stauts", "status")])
def test_a_mistyped_command_names_the_closest(typed: str, meant: str) -> None:
    """The exit code is that of words that are not understood."""
    done = CliRunner().invoke(main, [typed])
    assert done.exit_code == 2
    assert f"There is no command {typed!r}. Did you mean {meant!r}?" in done.stderr


def test_ctrl_c_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 130, with a word and without a traceback."""

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(main.commands, "wait", click.command("wait")(lambda: interrupted("wait")))
    done = CliRunner().invoke(main, ["wait"])
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")
