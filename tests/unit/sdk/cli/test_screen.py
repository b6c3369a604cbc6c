"""The one way in which commands print."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.live import Live
from rich.table import Table

import xtyl_nb.cli.screen
from xtyl_nb.cli.screen import say, screen

ROOM = Path(xtyl_nb.cli.screen.__file__).parent


def test_a_screen_has_its_own_colours_alone() -> None:
    """In a live picture a cell's escape sequences are shown; those of the picture work."""
    console = screen(file=StringIO(), force_terminal=True, width=80)
    table = Table("name")
    table.add_row("\x1b]0;owned\a\x9b31m\u202e", style="red")
    with Live(table, console=console, auto_refresh=False) as live:
        live.update(table, refresh=True)
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    assert "\x1b[31m" in said
    assert not re.search("\x1b]|[\a\x9b\u202e]", said)


def test_a_line_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal gets no escape sequence from it."""
    say("a\x1b[31mb")
    assert capsys.readouterr().out == "a\\x1b[31mb\n"


def test_no_other_module_of_the_room_prints() -> None:
    """A command that printed by itself would print what a cell holds."""
    modules = [path for path in ROOM.glob("*.py") if path.name != "screen.py"]
    assert len(modules) > 5
    printing = re.compile(r"click\.s?echo|\bprint\(|[^\w.]Console\(|std(out|err)\.write")
    found = [line for path in modules for line in path.read_text().splitlines() if printing.search(line)]
    assert [line for line in found if "console.print(" not in line] == []
