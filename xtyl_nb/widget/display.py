"""Where a run is shown: the live graph in a notebook, nothing elsewhere, where the widget's libraries are not imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

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


def settle_widgets(run_id: str) -> None:
    """Let the still pictures of a run that is over show its end."""
    widget = sys.modules.get("xtyl_nb.widget.widget")
    if widget is not None:
        widget.settle(run_id)


def wake_widgets(run_id: str) -> None:
    """Let the widgets of a run that goes on again follow it again."""
    widget = sys.modules.get("xtyl_nb.widget.widget")
    if widget is not None:
        widget.wake(run_id)
