"""Drawings of a workflow as written, valid or not: one for Graphviz, which only this module imports, and only on request; and one
in HTML for notebooks, which needs no `dot` program.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import Problem
from xtyl_engine.workflow.analysis import all_edges
from xtyl_engine.workflow.checks.wording import show_name
from xtyl_engine.workflow.document import Document
from xtyl_nb.drawing.layout import drawn_edges
from xtyl_nb.drawing.workflow_picture import workflow_html

if TYPE_CHECKING:
    import graphviz

INK, SOFT, LINE, CARD, FAULT = "#1c2430", "#5d6b7e", "#98a3b3", "#ffffff", "#c8372d"
MOST_CHARACTERS = 40


def draw(document: Document, problems: Iterable[Problem] = ()) -> graphviz.Digraph:
    """A document as a Graphviz graph, left to right: a card for each node, with the nodes of problems marked."""

    faulty = {problem.node for problem in problems}
    keys = {node.id: f"n{place}" for place, node in reversed(list(enumerate(document.nodes)))}
    font = {"fontname": "system-ui, Segoe UI, Helvetica, sans-serif", "fontsize": "11"}
    picture = _digraph(document)(
        name=escape(document.name.encode("ascii", "replace").decode().replace("\\", "/")),
        graph_attr={"rankdir": "LR", "bgcolor": "transparent", "nodesep": "0.3", "ranksep": "0.5"},
        node_attr={"shape": "box", "style": "rounded,filled", "fillcolor": CARD, "margin": "0.16,0.09", **font},
        edge_attr={"color": LINE, "fontcolor": SOFT, "arrowsize": "0.7", **font},
    )
    for place, node in enumerate(document.nodes):
        is_faulty = show_name(node.id) in faulty
        mark = {"color": FAULT, "penwidth": "2"} if is_faulty else {"color": LINE}
        picture.node(f"n{place}", label=_card(node.id, node.type, is_faulty), **mark)
    for edge in drawn_edges(all_edges(document)):
        label = {"label": f"<{_text(edge.branch)}>"} if edge.branch else {}
        picture.edge(keys[edge.source], keys[edge.target], **label)
    return picture


def draw_html(document: Document, problems: Sequence[Problem] = ()) -> str:
    """A document as HTML with the nodes of problems marked; the same on every machine, in the notebook's own colours."""

    ids = {show_name(node.id): node.id for node in reversed(document.nodes)}
    marked = [replace(problem, node=ids.get(problem.node or "", problem.node)) for problem in problems]
    return f'<div style="overflow-x:auto">{workflow_html(document, problems=marked, edges=all_edges(document))}</div>'


def _digraph(document: Document) -> type[graphviz.Digraph]:
    import graphviz

    class Digraph(graphviz.Digraph):  # type: ignore[misc]
        """A graph that a notebook shows even without the `dot` program."""

        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> Any:
            if shutil.which("dot"):
                return super()._repr_mimebundle_(include, exclude, **options)
            return {"text/plain": repr(self), "text/html": draw_html(document)}

    return Digraph


def _card(id: str, type: str, is_faulty: bool) -> str:
    sign = f'<font color="{FAULT}">✕ </font>' if is_faulty else ""
    return (
        f'<{sign}<font color="{INK}"><b>{_text(id)}</b></font><br align="left"/>'
        f'<font color="{SOFT}" point-size="9">{_text(type)}</font><br align="left"/>>'
    )


def _text(text: str | None) -> str:
    """Make any text fit for a label: Graphviz labels in angle brackets are XML."""
    shown = (text or " ")[:MOST_CHARACTERS] + ("…" if len(text or "") > MOST_CHARACTERS else "")
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown))
