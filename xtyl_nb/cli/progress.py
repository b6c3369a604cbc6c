"""A run in a terminal: one line per node, and the open reviews; once, or followed to its end. Followed without a terminal: one
plain line for each change of a node as a whole. Watching changes nothing, and the run goes on when it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xtyl_engine.errors import visible_line
from xtyl_engine.queries.views import NodeOverview, Overview, Review
from xtyl_nb.cli.tables import Column, make_console, print_lines, table
from xtyl_nb.drawing.displayable import Live
from xtyl_nb.drawing.run_picture import clock
from xtyl_nb.drawing.words import SIGNS, WORDS, clip, elapsed_seconds, live_words, node_state, spans
from xtyl_nb.runs.listing import decisions

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES = {"running": "blue", "completed": "green", "failed": "red", "waiting": "yellow", "paused": "magenta"}
BAR_WIDTH, SHORT_BAR_WIDTH, WIDE = 24, 12, 110
REFRESH_SECONDS = 0.5
MOST_LINES = 30
MOST_REVIEWS = 5
MOST_ERRORS, ERROR_SHOWN = 5, 300
COLUMNS = (
    Column(least=12),
    Column(),
    Column(right=True),
    Column(),
    Column(right=True),
    Column(least=10, drops=True),
)


def watch(live: Live, console: Console | None = None) -> Overview:
    """Show a run until it is over; returns its last overview.

    Ctrl-C ends the display, not the run.
    """
    console = console or make_console()
    try:
        return follow(live, console)
    except KeyboardInterrupt:
        say_it_goes_on(live.id, console)
        return live.overview()


def follow(live: Live, console: Console) -> Overview:
    """Show a run until it is over; returns its last overview."""
    return _watch_screen(live, console) if console.is_terminal else _watch_lines(live, console)


def say_it_goes_on(id: str, console: Console) -> None:
    """Say that a run goes on without being watched."""
    print_lines([f"No longer watching; the run goes on. To stop it: xtyl stop {id}"], console)


def run_lines(overview: Overview, width: int | None, most: int | None = None) -> list[Text]:
    """The lines that show a run: its state, its nodes, what it waits for. At most so many nodes; all of them by default."""
    from rich.text import Text

    lines = [_title(overview), Text(overview.id, style="dim"), *_nodes(overview, width, most)]
    failed = [(id, node.error) for id, node in overview.nodes.items() if node.error]
    for id, error in failed[:MOST_ERRORS]:
        words = f"{SIGNS['failed']} {visible_line(id)}: {visible_line(error)}"
        lines.append(Text(words if width is None else clip(words, ERROR_SHOWN) or "", style="red"))
    cut = [(id, told) for id, node in overview.nodes.items() if (told := node.cut_words)]
    lines += [Text(f"{visible_line(id)}: {told}", style="yellow") for id, told in cut[:MOST_ERRORS]]
    if not overview.state.is_terminal:
        if overview.waiting_for:
            lines.append(Text(f"waits for {visible_line(overview.waiting_for)}", style="yellow"))
        reviews = overview.reviews[:MOST_REVIEWS]
        lines += [Text(f"  {_review(review)}", style="yellow") for review in reviews]
        if (left := decisions(overview) - len(reviews)) > 0 and reviews:
            lines.append(Text(f"  and {left} more", style="yellow"))
    if overview.error:
        lines.append(Text(visible_line(overview.error), style="red"))
    return lines


def state_words(state: str, waiting_for: str | None, decisions: int) -> tuple[str, str]:
    """The state of a run as its sign and words, and as a key of STYLES: one that waits for a person or a worker says so."""
    if decisions and state in ("running", "pending"):
        return f"{SIGNS['waiting']} waiting for you ({decisions})", "waiting"
    if is_left(waiting_for):
        return f"{SIGNS['pending']} waits for a worker", "waiting"
    return f"{SIGNS[state]} {state}", state


def is_left(waiting_for: str | None) -> bool:
    """Whether a run waits for a worker. Other causes pass by themselves, and their words may change each second."""
    return (waiting_for or "").startswith("a worker")


def _review(review: Review) -> str:
    count = f" (choose {review.choose} of {len(review.options)})" if review.options else ""
    return f"{visible_line(review.node)}: {visible_line(review.label)}{count}"


def _watch_screen(live: Live, console: Console) -> Overview:
    from rich.live import Live as Screen

    overview = live.overview()
    with Screen(_picture(overview, console), console=console, auto_refresh=False) as screen:
        while not overview.state.is_terminal:
            live._changed(overview.sequence, REFRESH_SECONDS)
            overview = live.overview()
            screen.update(_picture(overview, console), refresh=True)
    return overview


def _picture(overview: Overview, console: Console) -> Text:
    from rich.text import Text

    most = max(4, min(MOST_LINES, console.height - 6))
    return Text("\n").join(run_lines(overview, console.width, most))


def _title(overview: Overview) -> Text:
    from rich.text import Text

    words, state = state_words(overview.state.value, overview.waiting_for, decisions(overview))
    return Text.assemble(
        (visible_line(overview.name), "bold"),
        "  ",
        (words, STYLES.get(state, "")),
        f"  {overview.done} / {overview.total}  {clock(elapsed_seconds(overview))}",
    )


def _nodes(overview: Overview, width: int | None, most: int | None) -> list[Text]:
    from rich.text import Text

    bar_width = BAR_WIDTH if width is None or width >= WIDE else SHORT_BAR_WIDTH
    rows: list[list[Text]] = []
    for id, node in _most_telling(overview, most):
        state = node_state(node)
        style = STYLES.get(state, "dim")
        says = visible_line(live_words(node))
        rows.append(
            [
                Text(f"{SIGNS[state]} {visible_line(id)}", style=style),
                _bar(node, bar_width),
                Text(f"{node.done}/{node.total}"),
                Text(WORDS[state], style=style),
                Text(_took(node, overview)),
                Text(says, style="dim"),
            ]
        )
    left = len(overview.nodes) - len(rows)
    more = [Text(f"and {left} more nodes", style="dim")] if left > 0 else []
    return [*table(COLUMNS, rows, width), *more]


def _most_telling(overview: Overview, most: int | None) -> list[tuple[str, NodeOverview]]:
    """The nodes to show when not all fit: active and failed ones first, in the order of the plan."""
    nodes = list(overview.nodes.items())
    quiet = ("pending", "completed", "skipped")
    kept = sorted(nodes, key=lambda pair: node_state(pair[1]) in quiet)[:most]
    names = {id for id, _ in kept}
    return [pair for pair in nodes if pair[0] in names]


def _bar(node: NodeOverview, width: int) -> Text:
    from rich.text import Text

    bar, filled, reached = Text(), 0, 0
    for state, count in spans(node):
        reached += count
        end = round(width * reached / node.total) if node.total else 0
        bar.append("━" * (end - filled), style=STYLES.get(state, "bright_black"))
        filled = end
    return bar.append("─" * (width - filled), style="bright_black")


def _took(node: NodeOverview, overview: Overview) -> str:
    seconds = node.seconds_at_work((overview.started or 0.0) + elapsed_seconds(overview))
    return "" if seconds is None or overview.started is None else clock(seconds)


def _watch_lines(live: Live, console: Console) -> Overview:
    said: dict[str, str] = {}
    while True:
        overview = live.overview()
        for key, line in _lines(overview):
            if said.get(key) != line:
                said[key] = line
                print_lines([line], console)
        if overview.state.is_terminal:
            return overview
        live._changed(overview.sequence, REFRESH_SECONDS)


def _lines(overview: Overview) -> list[tuple[str, str]]:
    """The lines to print, each with its subject: nodes that are done or waiting, reviews, and the run itself."""
    lines = [(id, _node_line(id, node)) for id, node in overview.nodes.items() if node.total and node.is_over]
    if not overview.state.is_terminal:
        lines += [
            (f"{each.node}/{each.item}", f"{each.node}: waits for you: {each.label}") for each in overview.reviews
        ]
    failed = f", {overview.failed} failed" if overview.failed else ""
    jobs = f": {overview.done} / {overview.total} jobs{failed}" if overview.state.is_terminal else ""
    error = f": {overview.error}" if overview.error else ""
    waits = "" if overview.state.is_terminal or not is_left(overview.waiting_for) else overview.waiting_for
    told = f", waits for {waits}" if waits else ""
    lines.append(("", f"{overview.name}: {overview.state.value}{jobs}{error}{told}"))
    return [(key, visible_line(line)) for key, line in lines]


def _node_line(id: str, node: NodeOverview) -> str:
    error = f": {node.error}" if node.error else ""
    cut = f", {told}" if (told := node.cut_words) else ""
    return f"{id}: {WORDS[node_state(node)]}, {node.done} / {node.total}{cut}{error}"
