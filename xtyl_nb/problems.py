"""A wrong workflow, told in a notebook: a table of what to mend above the graph with the culprits marked, and the same
as plain text below it. Without IPython only the text is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from xtyl_engine import errors
from xtyl_engine.errors import Problem
from xtyl_engine.workflow import Document

from xtyl_nb.draw import draw_html

MOST_ROWS = 50
MOST_DRAWN = 300
CELL = "text-align:left;vertical-align:top;padding:4px 10px"


class WorkflowError(errors.WorkflowError):
    """The workflow cannot run as it is written."""

    def _repr_html_(self) -> str:
        return problems_html(self)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback; in a notebook, with the table before it."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if hasattr(shell, "kernel"):
            from IPython.display import display

            display({"text/html": self._repr_html_(), "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
        return [f"WorkflowError: {self}"]


@contextmanager
def readable() -> Iterator[None]:
    """Raise the engine's WorkflowError as one that a notebook shows well."""
    try:
        yield
    except errors.WorkflowError as error:
        raise WorkflowError(error.problems, workflow=error.workflow, document=error.document) from None


def problems_html(error: errors.WorkflowError) -> str:
    """The problems as an HTML table, all text escaped, and the graph below it where there is one to draw."""
    count = len(error.problems)
    head = f"{error.workflow or 'workflow'}: {count} problem{'' if count == 1 else 's'}"
    rows = "".join(_row(number, problem) for number, problem in enumerate(error.problems[:MOST_ROWS], 1))
    rest = f'<div style="{CELL}">and {count - MOST_ROWS} more, in the text below</div>' if count > MOST_ROWS else ""
    titles = "".join(f'<th style="{CELL}">{title}</th>' for title in ("", "node", "what is wrong", "what to do"))
    return (
        f'<div><div style="padding:4px 10px;font-weight:600">{escape(head)}</div>'
        f'<table style="border-collapse:collapse"><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>'
        f"{rest}{_graph(error)}</div>"
    )


def _row(number: int, problem: Problem) -> str:
    where = f"<code>{escape(problem.node)}</code>" if problem.node is not None else "the workflow"
    cells: tuple[Any, ...] = (
        number,
        where,
        f'{escape(problem.message)}<br><small style="opacity:.75">{escape(problem.code)}</small>',
        escape(problem.hint),
    )
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _graph(error: errors.WorkflowError) -> str:
    document = error.document
    if not isinstance(document, Document) or not 0 < len(document.nodes) <= MOST_DRAWN:
        return ""
    return draw_html(document, error.problems)
