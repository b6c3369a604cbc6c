"""The still picture of a run, as HTML. It has no script and no style sheet, so that it survives a notebook's sanitiser; every
text is escaped. Colours are written twice, plain and as Jupyter's variable: sanitisers keep the first.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.drawing.cards import card_kind, card_name, lay_out
from xtyl_nb.drawing.folding import Fold, fold
from xtyl_nb.drawing.layout import Layout, Wire
from xtyl_nb.drawing.paths import CARD_WIDTH
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.words import (
    COLOURS,
    PAID,
    SIGNS,
    branch_counts,
    clip,
    elapsed_seconds,
    failed_count,
    money_words,
    node_state,
    spans,
    state_words,
    tally,
)

# Middle tones: at least 3 : 1 on white and on Jupyter's dark cards. Text never takes them.
FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif"
INK = "color:#1c2430;color:var(--jp-ui-font-color1,#1c2430)"
PAPER = "background:#ffffff;background:var(--jp-layout-color0,#ffffff)"
WASH = "background:#f5f7fa;background:var(--jp-layout-color2,#f5f7fa)"
LINE = "1px solid rgba(125,137,154,0.4)"
TRACK = "#c9d0da"
SOFT = "opacity:.78"
# A picture is drawn as wide as its page lets it, at least this part of its full width: then its cards can still be read.
LEAST_PART = 0.56
# A card without room for images.
LOW = 80
THUMB_PIXELS = 96
MOST_THUMBS = 48
MOST_EXHIBITS = 48
# Classes that a notebook's typesetter skips: a price is no formula.
NO_MATHS = "tex2jax_ignore mathjax_ignore"
MOST_TABLE_ROWS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One image that a run made: its file, and its node, item and label."""

    path: str
    node: str
    item: str
    label: str


def run_html(plan: Plan, overview: Overview, exhibits: Sequence[Exhibit] = ()) -> str:
    """The picture of a run: its state, a card for each node, its images on a sheet, and a table."""
    folded = fold(plan)
    layout = lay_out(plan, folded)
    overview = folded.overview(overview)
    nodes = {id: overview.nodes.get(id, NodeOverview()) for id in folded.stacks}
    frame = f"{FONT};font-size:13px;line-height:1.4;{INK};{PAPER};border:{LINE};border-radius:10px;overflow:hidden"
    parts = [_header(overview), _stage(plan, folded, layout, nodes), _sheet(exhibits)]
    if overview.error:
        parts.insert(1, f'<div style="padding:6px 14px;border-bottom:{LINE}">✕ {one_line(overview.error)}</div>')
    return f'<div class="{NO_MATHS}" style="{frame}">{"".join(parts)}{_table(folded, nodes)}</div>'


def _header(overview: Overview) -> str:
    state = overview.state.value
    waits = overview.waiting_for if not overview.state.is_terminal else None
    counts = [("completed", overview.done - overview.failed), ("failed", overview.failed)]
    money = money_words({name: overview.paid(name) for name in PAID}, overview.budget, overview.charged)
    numbers = f"{overview.done} / {overview.total} · {clock(elapsed_seconds(overview))}{money and f' · {money}'}"
    return (
        f'<div style="display:flex;flex-wrap:wrap;align-items:center;gap:12px;padding:9px 14px;border-bottom:{LINE}">'
        f'<b>{one_line(overview.name)}</b> <span style="font-size:11px;{SOFT}">{one_line(overview.id)}</span> '
        f'<span style="border:1px solid {COLOURS[state]};border-radius:99px;padding:1px 9px">'
        f"{_sign(state)} {state}</span> "
        + (f'<span style="{SOFT}">waits for {one_line(waits)}</span> ' if waits else "")
        + ("" if overview.state.is_terminal else f'<span style="{SOFT}">{one_line(_as_of(overview.id))}</span>')
        + f'<div style="flex:1 1 120px">{_track(counts, overview.total, 6)}</div>'
        f'<span style="{SOFT};font-variant-numeric:tabular-nums">{numbers}</span></div>'
    )


def _as_of(id: str) -> str:
    """The time of a picture that is not the last one, and the call that shows the present: it may be all that a reader has."""
    return f'as of {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}; xt.attach("{id}") shows how it goes on'


def _stage(plan: Plan, folded: Fold, layout: Layout, nodes: dict[str, NodeOverview]) -> str:
    left, branches = MOST_THUMBS, layout.branches
    cards = []
    for id, members in folded.stacks.items():
        images = [uri for path in nodes[id].images[: min(4, left)] if (uri := thumbnail(path, THUMB_PIXELS))]
        left -= len(images)
        kind = card_kind(plan, members, branches.get(id))
        x, y = layout.places[id]
        place = card_place(layout, x, y)
        cards.append(_card(plan, members, kind, nodes[id], place, images))
    image = wires_image(layout, "".join(_wire(wire, nodes) for wire in layout.wires))
    return f'<div style="overflow:auto;{WASH}"><div style="{stage_place(layout)}">{image}{"".join(cards)}</div></div>'


def _sheet(exhibits: Sequence[Exhibit]) -> str:
    """The run's images, small, by the rows they are for."""
    shown = [(each, uri) for each in exhibits[:MOST_EXHIBITS] if (uri := thumbnail(each.path, THUMB_PIXELS))]
    if not shown:
        return ""
    # Spans, so that they stand side by side even where styles are stripped.
    figures = " ".join(
        f'<span title="{one_line(f"{each.node} {each.item}", 100)}" style="display:block;width:84px">'
        f'<img alt="" src="{uri}" style="display:block;width:84px;height:84px;object-fit:cover;border-radius:6px">'
        f'<span style="display:block;font-size:11px;{SOFT};overflow:hidden;white-space:nowrap;text-overflow:ellipsis">'
        f"{one_line(each.label, 40)}</span></span>"
        for each, uri in shown
    )
    is_cut = len(exhibits) > MOST_EXHIBITS
    more = f'<div style="align-self:center;font-size:12px;{SOFT}">all: run.gallery()</div>' if is_cut else ""
    place = f"display:flex;flex-wrap:wrap;gap:8px;padding:10px 14px;border-top:{LINE}"
    return f'<div style="{place}">{figures}{more}</div>'


def stage_place(layout: Layout) -> str:
    """The style of what holds a picture: it fits its page, which has the width of a notebook beside its file list, of marimo's
    column, or of a telephone; one that would become too small to read is wider, and its page scrolls."""
    least = f"min-width:{layout.width * LEAST_PART:.0f}px;max-width:{layout.width:.0f}px"
    return f"position:relative;width:100%;{least};height:{layout.height:.0f}px"


def card_place(layout: Layout, x: float, y: float) -> str:
    """The style of a card's place: across it is a part of the picture's width."""
    left, width = (f"{100 * length / layout.width:.2f}%" for length in (x, CARD_WIDTH))
    return f"left:{left};top:{y:.0f}px;width:{width}"


def wires_image(layout: Layout, wires: str) -> str:
    """The wires as one image: sanitisers drop inline SVG, together with its texts."""
    width, height = f"{layout.width:.0f}", f"{layout.height:.0f}"
    box = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{wires}</svg>'
    place = f"position:absolute;left:0px;top:0px;max-width:none;width:100%;height:{height}px"
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
    # Where styles are stripped, wires would stand alone and lead nowhere: there the image has no size.
    return f'<img alt="" width="0" height="0" src="{source}" style="{place}">'


def _wire(wire: Wire, nodes: dict[str, NodeOverview]) -> str:
    target = node_state(nodes[wire.target])
    flowed = nodes[wire.source].done and target not in ("pending", "skipped", "stopped")
    colour = COLOURS["completed" if flowed else "pending"]
    dashes = ' stroke-dasharray="3 5"' if target == "skipped" else ""
    return f'<path d="{wire.path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'


def _card(
    plan: Plan,
    members: Sequence[str],
    kind: str,
    node: NodeOverview,
    place: str,
    images: Sequence[str],
) -> str:
    state, height, name = node_state(node), plan.nodes[members[0]].kind.card_height, card_name(members)
    is_low = height < LOW
    box = (
        f"position:absolute;{place};height:{height:.0f}px;box-sizing:border-box;overflow:hidden;"
        f"padding:{4 if is_low else 7}px 10px;border:{LINE};border-left:3px solid {COLOURS[state]};border-radius:8px;{PAPER}"
    )
    rail = f"margin:{3 if is_low else 5}px 0px {0 if is_low else 3}px"
    line = "overflow:hidden;white-space:nowrap;text-overflow:ellipsis"
    shown = "".join(f'<img alt="" src="{uri}" style="{_THUMB}">' for uri in images)
    said = "" if state == "completed" else state_words(node)
    words = node.error or branch_counts(node) or ("" if images else node.said or said)
    above = f"margin-top:{1 if is_low else 3}px"
    below = f'<div style="font-size:11.5px;max-height:32px;overflow:hidden;{above}">{one_line(words, 90)}</div>'
    return (
        f'<div style="{box}" title="{one_line(f"{name}: {state_words(node)}, {tally(node)}", 200)}">'
        f'<div style="display:flex;gap:6px"><span>{_sign(state)}</span> <b style="flex:1;{line}">{one_line(name)}</b> '
        f'<span style="font-size:11.5px;{SOFT};{_TABULAR}">{tally(node)}</span></div>'
        f'<div style="font-size:11px;{SOFT};{line}">{one_line(kind)}</div>'
        f'<div style="{rail}">{_track([each for each in spans(node) if each[0] != "skipped"], node.total, 4)}</div>'
        f'{below if words else ""}<div style="display:flex">{shown}</div></div>'
    )


_TABULAR = "font-variant-numeric:tabular-nums"
_THUMB = "width:40px;height:40px;object-fit:cover;border-radius:5px;margin:2px 4px 0px 0px"


def _track(counts: Sequence[tuple[str, int]], total: int, height: int) -> str:
    parts = "".join(
        f'<div style="width:{100 * count / total:.2f}%;height:{height}px;background:{COLOURS[state]}"></div>'
        for state, count in counts
        if count > 0
    )
    rail = f"display:flex;height:{height}px;border-radius:3px;overflow:hidden;background:{TRACK}"
    return f'<div style="{rail}">{parts}</div>'


def _table(folded: Fold, nodes: dict[str, NodeOverview]) -> str:
    head = "".join(f'<th style="{_CELL};font-weight:600">{name}</th>' for name in _COLUMNS)
    rows = [_row(card_name(members), nodes[id]) for id, members in list(folded.stacks.items())[:MOST_TABLE_ROWS]]
    more = sum(map(len, list(folded.stacks.values())[MOST_TABLE_ROWS:]))
    rest = f'<div style="padding:4px 14px 8px;{SOFT}">and {more} more nodes</div>' if more > 0 else ""
    return (
        f'<div style="border-top:{LINE};overflow:auto;max-height:320px"><table style="border-collapse:collapse;'
        f'margin:6px 4px;font-size:12px;{INK}"><tr>{head}</tr>{"".join(rows)}</table>{rest}</div>'
    )


_COLUMNS = ("node", "state", "done", "failed", "time", "last")
_CELL = "text-align:left;padding:2px 10px;background:transparent;vertical-align:top"


def _row(name: str, node: NodeOverview) -> str:
    state = node_state(node)
    failed = failed_count(node)
    seconds = None if node.finished is None else node.seconds_at_work(node.finished)
    took = "" if seconds is None else lasted(seconds)
    cells = (
        f"<b>{one_line(name)}</b>",
        f"{_sign(state)} {state_words(node)}",
        tally(node),
        str(failed or ""),
        took,
        one_line(node.error or node.said or "", 120),
    )
    *short, last = (f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return "<tr>" + "".join(cell.replace(_CELL, f"{_CELL};white-space:nowrap") for cell in short) + last + "</tr>"


def _sign(state: str) -> str:
    return f'<span style="color:{COLOURS[state]};font-weight:700">{SIGNS[state]}</span>'


def one_line(text: str, length: int = 300) -> str:
    """Escape a text, on one line, without the characters that XML cannot hold."""
    plain = " ".join((clip(text, length) or "").split())
    return escape("".join(letter for letter in plain if letter.isprintable()))


def lasted(seconds: float) -> str:
    """The duration of a step: `0.4 s`, or from ten seconds on as `clock` writes it."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else clock(seconds)


def clock(seconds: float) -> str:
    """A duration in hours, minutes and seconds: `0:09`, `1:02:03`."""
    minutes, seconds = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
