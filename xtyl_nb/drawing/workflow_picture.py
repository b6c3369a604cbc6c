"""The drawing of a workflow as written, valid or not: cards and wires as HTML with inline styles, which an untrusted notebook
shows too (it drops inline SVG, and leaves its texts in a heap). Every text is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from xtyl_engine.errors import Problem
from xtyl_engine.workflow.document import Document, Edge
from xtyl_nb.drawing.cards import PICTURE_WIDTH, node_kind
from xtyl_nb.drawing.layout import Card, Wire, arrange, rank_levels
from xtyl_nb.drawing.run_picture import FONT, INK, PAPER, SOFT, WASH, card_place, one_line, stage_place, wires_image
from xtyl_nb.drawing.words import COLOURS

CARD_HEIGHT = 54.0
ELLIPSIS = "overflow:hidden;white-space:nowrap;text-overflow:ellipsis"


def workflow_html(document: Document, *, problems: Iterable[Problem] = (), edges: Sequence[Edge] | None = None) -> str:
    """A workflow that has not run, even one that cannot: the nodes that problems name are marked.

    `edges` are all edges, if the caller knows more than the document holds, such as those that references make.
    """
    faults: dict[str, Problem] = {}
    for problem in problems:
        if problem.node is not None:
            faults.setdefault(problem.node, problem)
    keys = {node.id: str(place) for place, node in reversed(list(enumerate(document.nodes)))}
    known = [
        Edge(source=keys[edge.source], target=keys[edge.target], branch=edge.branch)
        for edge in (document.edges if edges is None else edges)
        if edge.source in keys and edge.target in keys
    ]
    levels = rank_levels((str(place) for place in range(len(document.nodes))), known)
    layout = arrange(
        [Card(id=key, level=level, height=CARD_HEIGHT) for key, level in levels.items()], known, PICTURE_WIDTH
    )
    faulty = {keys[id] for id in faults if id in keys}
    branches = layout.branches
    cards = "".join(
        _card(
            node.id,
            node_kind(node.type, node.config, branches.get(str(place))),
            card_place(layout, *layout.places[str(place)]),
            faults.get(node.id),
        )
        for place, node in enumerate(document.nodes)
    )
    image = wires_image(layout, "".join(_wire(wire, faulty) for wire in layout.wires))
    stage = f'<div style="{stage_place(layout)};{FONT};{INK};{WASH};border-radius:10px">{image}{cards}</div>'
    return f'<div role="img" aria-label="workflow {one_line(document.name, 200)}">{stage}</div>'


def _wire(wire: Wire, faulty: set[str]) -> str:
    colour = COLOURS["failed" if {wire.source, wire.target} <= faulty else "pending"]
    x, y = map(float, re.split("[A-Z ]", wire.path)[-2:])
    tip = f"M{x - 7:.0f} {y - 4:.0f}L{x:.0f} {y:.0f}L{x - 7:.0f} {y + 4:.0f}z"
    return f'<path d="{wire.path}" fill="none" stroke="{colour}" stroke-width="1.5"/><path d="{tip}" fill="{colour}"/>'


def _card(id: str, kind: str, place: str, problem: Problem | None) -> str:
    colour = COLOURS["failed" if problem else "pending"]
    box = (
        f"position:absolute;{place};height:{CARD_HEIGHT:.0f}px;"
        f"box-sizing:border-box;overflow:hidden;padding:8px 10px;border:{2 if problem else 1}px solid {colour};"
        f"border-left:3px solid {colour};border-radius:8px;line-height:1.4;text-align:left;{PAPER}"
    )
    sign = f'<span style="color:{colour};font-weight:700">✕ </span>' if problem else ""
    below = problem.code.rpartition("/")[2] if problem else kind
    hover = f"{problem.message} — {problem.hint}" if problem else f"{id} · {kind}"
    return (
        f'<div style="{box}" title="{one_line(hover)}">'
        f'<div style="font-size:13px;{ELLIPSIS}">{sign}<b>{one_line(id, 60)}</b></div>'
        f'<div style="font-size:11px;{SOFT};{ELLIPSIS}">{one_line(below, 60)}</div></div>'
    )
