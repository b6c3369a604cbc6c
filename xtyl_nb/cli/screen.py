"""The one way in which the commands print. Names, cells, errors and answers come from others, and none of them may act on the
terminal: `say` prints lines, `screen` is a console of rich's for pictures and tables.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from xtyl_engine.errors import visible, visible_line

if TYPE_CHECKING:
    from rich.console import Console


def say(words: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Print words, and show what of them would act on a terminal."""
    click.echo(visible(words) + end, nl=False, err=err)


def progress(words: str) -> None:
    """Replace the line of progress, if standard error is a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{visible_line(words)}", nl=False, err=True)


def screen(**options: Any) -> Console:
    """A console that shows what of any text would act on a terminal; its own colours and moves are its own. It has no colours,
    and no other styles, where NO_COLOR is set."""
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Screen(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    if os.environ.get("NO_COLOR"):
        options["color_system"] = None
    return Screen(**options)
