"""Shows a run: the live graph in a notebook. Elsewhere it shows nothing and does not import the widget's libraries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from xtyl_nb.notebook import in_notebook

if TYPE_CHECKING:
    from xtyl_nb.drawing.displayable import Live


def show_line(words: str) -> None:
    """Show plain words below the cell."""
    from IPython.display import display

    display({"text/plain": words}, raw=True)  # type: ignore[no-untyped-call]


def show_run(run: Live) -> None:
    """Show the live graph below the cell, if there is one."""
    if in_notebook():
        from xtyl_nb.widget.widget import show

        show(run)


def live_widget(run: Live) -> Any:
    """The live graph as a widget, for a page that shows it by itself."""
    from xtyl_nb.widget.widget import RunWidget

    return RunWidget(run)


def settle_widgets(run_id: str) -> None:
    """Draw the still pictures of a finished run once more, with its end."""
    widget = sys.modules.get("xtyl_nb.widget.widget")
    if widget is not None:
        widget.settle(run_id)


def wake_widgets(run_id: str) -> None:
    """Make the widgets of a resumed run follow it again."""
    widget = sys.modules.get("xtyl_nb.widget.widget")
    if widget is not None:
        widget.wake(run_id)
