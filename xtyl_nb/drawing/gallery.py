"""The images of a run as a contact sheet: HTML without script or style sheet, so that it stays in a saved notebook. It makes no
thumbnail itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from xtyl_engine.queries.views import JobDetail
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_nb.drawing.run_picture import FONT, INK, LINE, NO_MATHS, PAPER, SOFT, Exhibit
from xtyl_nb.drawing.thumbnail import thumbnail
from xtyl_nb.drawing.words import clip

# The more images, the smaller each: a hundred large ones make the notebook heavy.
PIXELS, PIXELS_OF_MANY, MANY = 200, 150, 48
MOST_SHOWN = 100


class Gallery:
    """A run's images in the order of its nodes and rows; a notebook shows a contact sheet.

    Attributes:
        exhibits: The images, each with its `path`, the `node` and `item` that made it, and its
            `label`.

    Example:
        >>> sheet = run.gallery()
        >>> len(sheet), sheet.exhibits[0].node
        (2, 'poster')
    """

    def __init__(self, jobs: Iterable[JobDetail], store: ArtifactStore):
        self.exhibits = tuple(exhibits_of(jobs))
        self._store = store

    @property
    def paths(self) -> list[str]:
        """The paths of the image files, each once."""
        return [self._store.original(exhibit.path) for exhibit in self.exhibits]

    def __len__(self) -> int:
        return len(self.exhibits)

    def __repr__(self) -> str:
        return f"Gallery({len(self)} image{'' if len(self) == 1 else 's'})"

    def _repr_html_(self) -> str:
        if not self.exhibits:
            return f'<div style="{FONT};{INK};{SOFT}">no images yet</div>'
        pixels = PIXELS if len(self) <= MANY else PIXELS_OF_MANY
        figures = " ".join(_figure(exhibit, pixels) for exhibit in self.exhibits[:MOST_SHOWN])
        left = len(self) - MOST_SHOWN
        more = (
            f'<div style="{SOFT};padding:4px">{left} more: <code>run.gallery().paths</code></div>' if left > 0 else ""
        )
        sheet = f'<div style="display:flex;flex-wrap:wrap;gap:10px">{figures}</div>'
        return f'<div class="{NO_MATHS}" style="{FONT};font-size:12px;{INK}">{sheet}{more}</div>'


def _figure(exhibit: Exhibit, pixels: int) -> str:
    source = thumbnail(exhibit.path, pixels)
    image = (
        f'<img alt="" src="{source}" style="display:block;width:150px;height:150px;object-fit:contain;border-radius:5px">'
        if source
        else f'<span style="display:block;width:150px;height:150px;{SOFT}">cannot be shown</span>'
    )
    label, name = escape(clip(exhibit.label, 60) or ""), escape(f"{exhibit.node} · {exhibit.item}")
    line = "display:block;overflow:hidden;white-space:nowrap;text-overflow:ellipsis"
    box = f"display:block;width:164px;box-sizing:border-box;padding:6px;border:{LINE};border-radius:8px;{PAPER}"
    # Spans, so that they stand side by side even where styles are stripped.
    return (
        f'<span style="{box}">{image} <span style="{line};margin-top:5px;font-weight:600">{label}</span> '
        f'<span style="{line};{SOFT};font-size:11px">{name}</span></span>'
    )


def exhibits_of(jobs: Iterable[JobDetail]) -> Iterator[Exhibit]:
    """The images of jobs, each once and under the job that made it: reviews and packages only pass it on."""
    seen: set[str] = set()
    for job in jobs:
        for path in job.images:
            if path not in seen:
                seen.add(path)
                yield Exhibit(path=path, node=job.node, item=job.item, label=job.label)
