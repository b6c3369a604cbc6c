"""The prints of a run's attempts, as text and as HTML without script or style sheet, so that they stay in a saved notebook. It
reads nothing from a back end itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from xtyl_engine.errors import visible
from xtyl_engine.queries.views import AttemptLog
from xtyl_nb.drawing.run_picture import FONT, INK, LINE, NO_MATHS, PAPER, SOFT, WASH
from xtyl_nb.drawing.words import progress

MOST_SHOWN = 30
TEXT_SHOWN = 10_000
MORE = "There is more: name a node or a row, as in run.logs(node, row=...)."


class Logs:
    """The printed texts of a run's attempts: `print` shows them, and so does a notebook.

    Attributes:
        attempts: One for each attempt that printed something, with its `node`, `item`, `label`,
            `number`, `outcome` (None while it runs), `text`, and how far it said it was: `done`
            of `of`.
        is_cut: Whether more was printed than fits: then name a node or a row.

    Example:
        >>> print(run.logs("headline"))
        nothing was printed
    """

    def __init__(self, attempts: Sequence[AttemptLog], *, is_cut: bool = False):
        self.attempts = tuple(attempts)
        self.is_cut = is_cut

    @property
    def text(self) -> str:
        """The texts of all attempts, each under its name; that of a single attempt alone."""
        if len(self.attempts) == 1:
            return self.attempts[0].text
        blocks = [f"--- {_title(each)}\n{each.text}" for each in self.attempts]
        return "\n".join([*blocks, *([MORE] if self.is_cut else ())])

    def __len__(self) -> int:
        return len(self.attempts)

    def __iter__(self) -> Iterator[AttemptLog]:
        return iter(self.attempts)

    def __str__(self) -> str:
        return visible(self.text) if self.attempts else "nothing was printed"

    def __repr__(self) -> str:
        return f"Logs({len(self)} attempt{'' if len(self) == 1 else 's'})"

    def _repr_html_(self) -> str:
        if not self.attempts:
            return f'<div style="{FONT};{INK};{SOFT}">{self}</div>'
        left = len(self) - MOST_SHOWN
        words = MORE if self.is_cut else f"{left:,} more attempts: print(...) shows all" if left > 0 else ""
        more = f'<div style="{SOFT};padding:4px 14px">{escape(words)}</div>' if words else ""
        frame = f"{FONT};font-size:12px;{INK};{PAPER};border:{LINE};border-radius:10px;overflow:hidden"
        drawn = "".join(map(_drawn, self.attempts[:MOST_SHOWN]))
        return f'<div class="{NO_MATHS}" style="{frame}">{drawn}{more}</div>'


def _title(log: AttemptLog) -> str:
    parts = [f"{log.node} {log.item}", log.label, f"attempt {log.number}", log.outcome or "running", _reached(log)]
    return " · ".join(part for part in parts if part)


def _reached(log: AttemptLog) -> str:
    return "" if log.done is None else progress(log.done, log.of)


def _drawn(log: AttemptLog) -> str:
    text = log.text if len(log.text) <= TEXT_SHOWN else "... print(...) shows all ...\n" + log.text[-TEXT_SHOWN:]
    said = "margin:0;padding:8px 14px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:320px;overflow:auto"
    font = "font:12px/1.45 ui-monospace,Menlo,Consolas,monospace"
    head = f"padding:5px 14px;font-weight:600;{WASH}"
    return (
        f'<div style="{head}">{escape(_title(log))}</div><pre style="{said};{font};{INK};{PAPER}">{escape(text)}</pre>'
    )
