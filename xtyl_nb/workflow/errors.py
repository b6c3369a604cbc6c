"""Shows a workflow's problems in a notebook: as a table above the graph with their nodes marked, and as plain text below it.
Without IPython there is only the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from textwrap import dedent
from typing import Any

from xtyl_engine import errors
from xtyl_engine.errors import Problem
from xtyl_engine.workflow.document import Document
from xtyl_nb.notebook import cell_number, in_notebook

MOST_ROWS = 50
MOST_DRAWN = 300
# In a page made by nbconvert the cells of a table are of a proportional font.
QUOTED = "margin:4px 0;white-space:pre;font-family:monospace"
CELL = "text-align:left;vertical-align:top;padding:4px 10px"


class ShownWorkflowError(errors.WorkflowError):
    """The workflow cannot run as written."""

    _cell: int | None = None

    def _repr_html_(self) -> str:
        return problems_html(self)

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback: in a notebook one line, after the table."""
        if not in_notebook():
            return [f"WorkflowError: {self}"]
        # IPython calls this twice, once to show and once to reply.
        if self._cell != (cell := cell_number()):
            self._cell = cell
            from IPython.display import display

            shown = {"text/html": self._repr_html_(), "text/plain": str(self)}
            display(shown, raw=True)  # type: ignore[no-untyped-call]
        return [f"WorkflowError: {headline(self)}, told above"]


# Users read and pickle it by the name they catch.
WorkflowError = ShownWorkflowError
ShownWorkflowError.__name__ = ShownWorkflowError.__qualname__ = "WorkflowError"


@contextmanager
def readable() -> Iterator[None]:
    """Raise the engine's WorkflowError as one that a notebook shows as a table."""
    try:
        yield
    except errors.WorkflowError as error:
        raise ShownWorkflowError(error.problems, workflow=error.workflow, document=error.document) from None


def headline(error: errors.WorkflowError) -> str:
    """The name of the workflow, and the number of its problems."""
    count = len(error.problems)
    return f"{error.workflow or 'workflow'}: {count} problem{'' if count == 1 else 's'}"


def problems_html(error: errors.WorkflowError) -> str:
    """The problems as an HTML table with escaped texts, and below it the graph, if there is one to draw."""
    count = len(error.problems)
    rows = "".join(_row(number, problem) for number, problem in enumerate(error.problems[:MOST_ROWS], 1))
    rest = f'<div style="{CELL}">and {count - MOST_ROWS} more, in the text below</div>' if count > MOST_ROWS else ""
    titles = "".join(f'<th style="{CELL}">{title}</th>' for title in ("", "node", "what is wrong", "what to do"))
    return (
        f'<div><div style="padding:4px 10px;font-weight:600">{escape(headline(error))}</div>'
        f'<table style="border-collapse:collapse"><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>'
        f"{rest}{_graph(error)}</div>"
    )


def _row(number: int, problem: Problem) -> str:
    where = f"<code>{escape(problem.node)}</code>" if problem.node is not None else "the workflow"
    end = "" if "\n" in problem.message else "<br>"
    cells: tuple[Any, ...] = (
        number,
        where,
        f'{_words(problem.message)}{end}<small style="opacity:.75">{escape(problem.code)}</small>',
        _words(problem.hint),
    )
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _words(text: str) -> str:
    # Below the first line stands a part of the user's own text, with a caret at its place.
    said, _, quoted = text.partition("\n")
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(said))
    return f'{words}<pre style="{QUOTED}">{escape(dedent(quoted))}</pre>' if quoted else words


def _graph(error: errors.WorkflowError) -> str:
    document = error.document
    if not isinstance(document, Document) or not 0 < len(document.nodes) <= MOST_DRAWN:
        return ""
    from xtyl_nb.drawing.draw import draw_html

    return draw_html(document, error.problems)
