"""Tables and colours of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from xtyl_engine.errors import visible, visible_line
from xtyl_nb.cli.tables import GAP, Column, make_console, table

COLUMNS = (
    Column(title="run"),
    Column(title="done", right=True, drops=True),
    Column(title="name", least=4, drops=True),
)
ROWS = [["launch-1", "3/24", "秋のキャンペーン"], ["launch-2", "12/24", "🍂 autumn"]]


def lines(width: int | None) -> list[str]:
    return [line.plain for line in table(COLUMNS, ROWS, width)]


def test_a_table_is_aligned_by_what_a_terminal_shows() -> None:
    """Wide characters take two places, numbers end where their head ends, and no line ends with blanks."""
    assert lines(None) == [
        "RUN        DONE  NAME",
        "launch-1   3/24  秋のキャンペーン",
        "launch-2  12/24  🍂 autumn",
    ]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (33, "launch-1   3/24  秋のキャンペーン"),
        (24, "launch-1   3/24  秋のキ…"),
        (20, "launch-1   3/24"),
        (12, "launch-1"),
        (3, "launch-1"),
    ],
)
def test_a_narrow_terminal_takes_from_the_end(width: int, expected: str) -> None:
    """The last column is cut, then left out, then the one before; an id is never cut."""
    assert lines(width)[1] == expected


def test_a_column_without_a_text_is_left_out() -> None:
    """Its head is left out too."""
    assert [line.plain for line in table(COLUMNS, [["a", "", "b"]], None)] == ["RUN  NAME", "a    b"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.text(min_size=1, max_size=12), st.text(max_size=40), st.text(max_size=40)), max_size=4),
    width=st.integers(30, 90),
)
def test_whatever_the_cells_hold_lines_fit_and_act_on_nothing(rows: list[tuple[str, str, str]], width: int) -> None:
    """Each line fits, and holds nothing that moves a terminal's cursor."""
    first, *rest = COLUMNS
    for line in table((first, *rest), rows, width):
        longest = max([3, *(Text(visible_line(row[0])).cell_len for row in rows)])
        assert line.cell_len <= max(width, longest + GAP)
        assert "\n" not in line.plain
        assert visible(line.plain) == line.plain


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a terminal gets none, and no other style."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with_colours, without = make_console(), None
    monkeypatch.setenv("NO_COLOR", "1")
    without = make_console()
    shown = []
    for console in (with_colours, without):
        with console.capture() as captured:
            console.print(Text("failed", style="bold red"))
        shown.append(captured.get())
    assert shown[0].startswith("\x1b[")
    assert shown[1] == "failed\n"
