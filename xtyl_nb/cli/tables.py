"""Tables and lines that fit the terminal, with colours only where they are wanted. What they hold is for others to say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xtyl_engine.errors import visible_line
from xtyl_nb.cli.screen import screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = 2


def make_console() -> Console:
    """The console of standard output, for lines as they are."""
    return screen(markup=False, highlight=False, emoji=False)


def width() -> int | None:
    """The width that lines must fit into; None where standard output is no terminal, and nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_lines(lines: Iterable[Text | str], console: Console | None = None) -> None:
    """Print lines. On a terminal those that may be wrapped are wrapped between words."""
    from rich.text import Text

    console = console or make_console()
    for line in lines:
        text = Text(line, no_wrap=True) if isinstance(line, str) else line
        console.print(text, soft_wrap=bool(text.no_wrap) or not console.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. It may be cut to `least` cells, and then left out if `drops`; without a `least` it is never cut."""

    title: str = ""
    least: int | None = None
    drops: bool = False
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Text | str]], width: int | None) -> list[Text]:
    """The lines of a table: a head if a column has a title, then the rows. Columns without a text are left out."""
    from rich.text import Text

    cells = [[each if isinstance(each, Text) else Text(visible_line(each)) for each in row] for row in rows]
    heads = [Text(column.title.upper(), style="dim") for column in columns]
    shown = [place for place in range(len(columns)) if any(row[place].cell_len for row in cells)]
    widths = {place: max(row[place].cell_len for row in [heads, *cells]) for place in shown}
    fitted = _fitted(columns, widths, width)
    lines = [heads, *cells] if any(column.title for column in columns) else cells
    return [_line(columns, line, fitted) for line in lines]


def _fitted(columns: Sequence[Column], widths: dict[int, int], width: int | None) -> dict[int, int]:
    """The width of each column that is shown, so that all fit if they can: the last ones give first."""
    if width is None or (over := _total(widths) - width) <= 0:
        return widths
    narrow = dict(widths)
    for place in reversed(widths):
        least = columns[place].least
        if least is not None and over > 0:
            given = min(over, max(0, widths[place] - least))
            narrow[place] -= given
            over -= given
    dropped = next((place for place in reversed(widths) if columns[place].drops), None)
    if over <= 0 or dropped is None:
        return narrow
    return _fitted(columns, {place: cells for place, cells in widths.items() if place != dropped}, width)


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _line(columns: Sequence[Column], cells: Sequence[Text], widths: dict[int, int]) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True)
    for place, cells_wide in widths.items():
        cell = cells[place].copy()
        cell.truncate(cells_wide, overflow="ellipsis")
        free = " " * (cells_wide - cell.cell_len)
        line.append_text(Text(free) + cell if columns[place].right else cell + Text(free))
        line.append(" " * GAP)
    line.rstrip()
    return line
