"""A run's progress in a terminal: one line per node, and the open reviews. Without a terminal: one plain line for each change of
a node as a whole. Watching changes nothing, and the run goes on when it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xtyl_engine.errors import visible, visible_line
from xtyl_engine.queries.views import NodeOverview, Overview
from xtyl_nb.cli.screen import screen
from xtyl_nb.drawing.displayable import Live
from xtyl_nb.drawing.run_picture import clock
from xtyl_nb.drawing.words import SIGNS, WORDS, clip, elapsed_seconds, live_words, node_state, spans

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live as Screen
    from rich.table import Table
    from rich.text import Text

STYLES = {"running": "blue", "completed": "green", "failed": "red", "waiting": "yellow", "paused": "magenta"}
BAR_WIDTH = 24
REFRESH_SECONDS = 0.5
MOST_LINES = 30


def watch(live: Live, console: Console | None = None) -> Overview:
    """Show a run until it is over; returns its last overview.

    Ctrl-C ends the display, not the run.
    """
    console = console or screen()
    try:
        return _watch_screen(live, console) if console.is_terminal else _watch_lines(live, console)
    except KeyboardInterrupt:
        _print(console, f"No longer watching; the run goes on. To stop it: xtyl stop {live.id}")
        return live.overview()


def _watch_screen(live: Live, console: Console) -> Overview:
    from rich.live import Live as Screen

    overview = live.overview()
    with Screen(_picture(overview, console.height), console=console, auto_refresh=False) as screen:
        while not overview.state.is_terminal:
            live._changed(overview.sequence, REFRESH_SECONDS)
            overview = live.overview()
            _refresh(screen, overview, console.height)
    return overview


def _refresh(screen: Screen, overview: Overview, height: int) -> None:
    screen.update(_picture(overview, height), refresh=True)


def _picture(overview: Overview, height: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[Table | Text] = [_title(overview), _nodes(overview, max(4, min(MOST_LINES, height - 6)))]
    if overview.waiting_for and not overview.state.is_terminal:
        parts.append(Text(visible_line(f"waits for {overview.waiting_for}"), style="yellow"))
    parts += [
        Text(f"  {visible_line(f'{review.node}: {review.label}')}", style="yellow") for review in overview.reviews[:5]
    ]
    if overview.error:
        parts.append(Text(visible(overview.error), style="red"))
    return Group(*parts)


def _title(overview: Overview) -> Text:
    from rich.text import Text

    state = overview.state.value
    return Text.assemble(
        (visible_line(overview.name), "bold"),
        "  ",
        (f"{SIGNS[state]} {state}", STYLES.get(state, "")),
        f"  {overview.done} / {overview.total}  {clock(elapsed_seconds(overview))}",
    )


def _nodes(overview: Overview, most: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for id, node in _most_telling(overview, most):
        state = node_state(node)
        style = STYLES.get(state, "dim")
        says = visible_line(clip(node.error or live_words(node), 80) or "")
        table.add_row(
            Text(f"{SIGNS[state]} {id}", style=style, no_wrap=True, overflow="ellipsis"),
            _bar(node),
            Text(f"{node.done}/{node.total}", justify="right"),
            Text(WORDS[state], style=style),
            Text(_took(node, overview)),
            Text(says, style="red" if node.error else "dim", no_wrap=True, overflow="ellipsis"),
        )
    if len(overview.nodes) > most:
        table.add_row(Text(f"and {len(overview.nodes) - most} more nodes", style="dim"))
    return table


def _most_telling(overview: Overview, most: int) -> list[tuple[str, NodeOverview]]:
    """The nodes to show when not all fit: active and failed ones first, in the order of the plan."""
    nodes = list(overview.nodes.items())
    quiet = ("pending", "completed", "skipped")
    kept = sorted(nodes, key=lambda pair: node_state(pair[1]) in quiet)[:most]
    names = {id for id, _ in kept}
    return [pair for pair in nodes if pair[0] in names]


def _bar(node: NodeOverview) -> Text:
    from rich.text import Text

    bar, filled, reached = Text(), 0, 0
    for state, count in spans(node):
        reached += count
        end = round(BAR_WIDTH * reached / node.total) if node.total else 0
        bar.append("━" * (end - filled), style=STYLES.get(state, "bright_black"))
        filled = end
    return bar.append("─" * (BAR_WIDTH - filled), style="bright_black")


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
                _print(console, line)
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
    # Other causes of waiting pass by themselves, and their words may change each second.
    is_left = (overview.waiting_for or "").startswith("a worker") and not overview.state.is_terminal
    waits = f", waits for {overview.waiting_for}" if is_left else ""
    return [*lines, ("", f"{overview.name}: {overview.state.value}{jobs}{error}{waits}")]


def _node_line(id: str, node: NodeOverview) -> str:
    error = f": {' '.join(node.error.split())}" if node.error else ""
    return f"{id}: {WORDS[node_state(node)]}, {node.done} / {node.total}{error}"


def _print(console: Console, line: str) -> None:
    console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
