"""The timeline of a run: each job as a bar on one scale. It is HTML without script or style sheet, so that it stays in a saved
notebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from xtyl_engine.queries.views import Job, Overview
from xtyl_nb.drawing.run_picture import FONT, INK, LINE, NO_MATHS, PAPER, SOFT, TRACK
from xtyl_nb.drawing.words import COLOURS, clip, elapsed_seconds

MOST_LANES = 12
MOST_BARS = 2_000
LANE_PIXELS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The running time of one job, in seconds since the run began."""

    node: str
    item: str
    state: str
    start: float
    end: float


class Timeline:
    """A run's jobs on one scale; a notebook shows them as bars, simultaneous ones stacked.

    Attributes:
        bars: The jobs, each with its `node`, `item`, `state`, `start` and `end` in seconds
            since the run began.
        nodes: The ids of the nodes that have bars, in the order of the plan.

    Example:
        >>> run.timeline().bars[0].node
        'headline'
    """

    def __init__(self, bars: Iterable[Bar], nodes: Sequence[str]):
        self.bars = tuple(sorted(bars, key=lambda bar: (bar.start, bar.end)))
        self.nodes = tuple(node for node in nodes if any(bar.node == node for bar in self.bars))

    @property
    def seconds(self) -> float:
        """The seconds from the beginning of the run to the end of its last job."""
        return max((bar.end for bar in self.bars), default=0.0)

    def __repr__(self) -> str:
        return f"Timeline({len(self.bars)} jobs, {self.seconds:.1f} s)"

    def _repr_html_(self) -> str:
        if not self.bars:
            return f'<div style="{FONT};{INK};{SOFT}">nothing has started</div>'
        rows = "".join(self._row(node) for node in self.nodes)
        left = len(self.bars) - MOST_BARS
        more = f"the first {MOST_BARS:,} of {len(self.bars):,} jobs · " if left > 0 else ""
        ends = f"<span>0</span><span>{more}{self.seconds:.1f} s</span>"
        scale = f"display:flex;justify-content:space-between;margin-left:140px;font-size:11px;{SOFT}"
        frame = f"{FONT};font-size:12px;{INK};{PAPER};border:{LINE};border-radius:10px;padding:10px 14px"
        return f'<div class="{NO_MATHS}" style="{frame}"><div style="{scale}">{ends}</div>{rows}</div>'

    def _row(self, node: str) -> str:
        bars = [bar for bar in self.bars[:MOST_BARS] if bar.node == node]
        places = lanes(bars)
        height = (max(places, default=0) + 1) * LANE_PIXELS
        drawn = "".join(self._drawn(bar, lane) for bar, lane in zip(bars, places, strict=True))
        name = "width:130px;flex:none;overflow:hidden;white-space:nowrap;text-overflow:ellipsis"
        rail = f"position:relative;flex:1;height:{height}px;margin-top:5px;padding-bottom:5px;border-bottom:{LINE}"
        return (
            f'<div style="display:flex;gap:10px;margin-top:6px"><div style="{name}">{escape(clip(node, 60) or "")}</div>'
            f'<div style="{rail}">{drawn}</div></div>'
        )

    def _drawn(self, bar: Bar, lane: int) -> str:
        whole = max(self.seconds, 0.001)
        left, width = 100 * bar.start / whole, 100 * (bar.end - bar.start) / whole
        place = f"left:{min(left, 99.5):.2f}%;width:{width:.2f}%;top:{lane * LANE_PIXELS}px"
        words = escape(f"{bar.item}: {bar.state}, {bar.end - bar.start:.2f} s", quote=True)
        shape = f"min-width:3px;height:{LANE_PIXELS - 2}px;border-radius:2px;background:{COLOURS.get(bar.state, TRACK)}"
        return f'<div title="{words}" style="position:absolute;{place};{shape}"></div>'


def timeline_of(jobs: Iterable[Job], nodes: Sequence[str], overview: Overview) -> Timeline:
    """The timeline of a run at this moment; bars of running jobs end now."""
    began = overview.started or 0.0
    now = began + elapsed_seconds(overview)
    return Timeline(
        (
            Bar(
                node=job.node,
                item=job.item,
                state=job.state.value,
                start=max(0.0, job.started - began),
                end=max(job.started, now if job.finished is None else job.finished) - began,
            )
            for job in jobs
            if job.started is not None
        ),
        nodes,
    )


def lanes(bars: Sequence[Bar]) -> list[int]:
    """For each bar, in order of start, the first free lane; when all are taken, bars overlap in the last."""
    free: list[float] = []
    places = []
    for bar in bars:
        found = next((lane for lane, until in enumerate(free) if until <= bar.start), len(free))
        if found == len(free) and found < MOST_LANES:
            free.append(bar.end)
        found = min(found, MOST_LANES - 1)
        free[found] = max(free[found], bar.end)
        places.append(found)
    return places
