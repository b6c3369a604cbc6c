"""The verbs of a Run that give its results: as frames, one job closely, as sheets of images and bars, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from xtyl_engine.queries.views import JobDetail
    from xtyl_nb.drawing.gallery import Gallery
    from xtyl_nb.drawing.timeline import Timeline
    from xtyl_nb.runs.run import Run


def frame(self: Run) -> pd.DataFrame:
    """Give the input rows with what became of them, also while the run goes on.

    Returns:
        A DataFrame on the index of the frame that was given: its columns, then one column per
        node with its main value (a list where it made several items, the path of an image),
        `status` and `error`. Rows that failed are there, too.

    Example:
        >>> run.frame()[["product", "status"]]
               product     status
        0  Aurora lamp  completed
        1    Tidal mug  completed
    """
    from xtyl_nb.frames.results import result_frame

    return result_frame(self._backend, self.id, self._plan, self._frame)


def outputs(self: Run, node: str) -> pd.DataFrame:
    """Give the whole output of each job of a node.

    Args:
        node: The node's id.

    Returns:
        A DataFrame with one row per item, indexed by `row` (the label in the frame's index)
        and, where there are several, `item`; one column per field of the output.

    Raises:
        FrameError: The run has no such node.

    Example:
        >>> run.outputs("headline").columns.to_list()
        ['text', 'provider', 'model', 'tokens', 'cost']
        >>> run.outputs("headline").index.to_list()
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    """
    from xtyl_nb.frames.results import outputs_frame

    return outputs_frame(self._backend, self.id, self._plan, node)


def jobs(self: Run) -> pd.DataFrame:
    """Give one row per job: what it did, how long it took, what it cost, how it failed.

    Returns:
        A DataFrame with `node`, `row` (the label in the frame's index), `item`, `type`,
        `status`, `attempts`, `started` and `finished` (UTC), `duration`, `cached`, `provider`,
        `model`, `tokens`, `cost` (US dollars), `error_class` and `error`.

    Example:
        >>> run.jobs()[["node", "row", "item", "status"]].head(2)
               node  row item     status
        0  headline    0    0  completed
        1  headline    0    1  completed
    """
    from xtyl_nb.frames.results import jobs_frame

    return jobs_frame(self._backend, self.id, self._plan)


def inspect(self: Run, node: str, *, row: Any = None, item: str | int | None = None) -> JobDetail:
    """Look at one job closely: what it was asked, its attempts, its result or its error.

    Args:
        node: The node's id.
        row: A label of the frame's index; the first row if left out.
        item: The place in that row's list, from 0. With no `row`, also the path of both, such
            as "3.0".

    Returns:
        Its `asked` (the parameters with every template filled in), `attempts`, `text`, `images`
        (paths), `error`, `traceback`, `tokens`, `cost` (US dollars), `started` and `finished`
        (seconds since 1970, UTC), `decision` and more.

    Raises:
        FrameError: No row has this label, or several have it.
        RunNotFound: The run has no such node, or the node no such job.

    Example:
        >>> run.inspect("headline", row=1, item=2).asked["prompt"]
        'A headline for Tidal mug'
    """
    position = str(0 if row is None else self._decisions.position(row))
    if item is not None:
        position = f"{position}.{item}" if row is not None or isinstance(item, int) else item
    return self._backend.inspect(self.id, node, position)


def events(self: Run) -> pd.DataFrame:
    """Give one row per recorded fact, in order.

    Returns:
        A DataFrame with `sequence`, `time` (UTC), `kind`, `node`, `row` (the label in the
        frame's index) and `item`.

    Example:
        >>> run.events()["kind"].iloc[-1]
        'completed'
    """
    from xtyl_nb.frames.results import events_frame

    return events_frame(self._backend, self.id)


def gallery(self: Run, node: str | None = None) -> Gallery:
    """Lay out the images that the run made as a contact sheet.

    Args:
        node: The id of the node whose images to show; all images if left out.

    Returns:
        A Gallery, which a notebook shows; its `paths` are the files.

    Example:
        >>> run.gallery("poster")
        Gallery(2 images)
    """
    from xtyl_nb.drawing.gallery import Gallery

    names = [node] if node else self._plan.nodes
    return Gallery((job for name in names for job in self._jobs_of(name)), self._backend.store_of(self.id))


def timeline(self: Run) -> Timeline:
    """Lay out when each job was at work, as bars on one scale.

    Returns:
        A Timeline, which a notebook shows; its `bars` are the jobs, in seconds since the run
        began.

    Example:
        >>> run.timeline()
        Timeline(... jobs, ... s)
    """
    from xtyl_nb.drawing.timeline import timeline_of

    return timeline_of(self._backend.queries.jobs(self.id), list(self._plan.nodes), self.overview())


def save(self: Run, folder: str | Path) -> list[Path]:
    """Write the outputs of the attach nodes, or else of the last nodes, into a folder.

    Args:
        folder: Where to; it gets one folder per row.

    Returns:
        The paths that were written: texts as .txt, images and other files as they are.

    Raises:
        OSError: The folder cannot be written.

    Example:
        >>> paths = run.save("results")
        >>> sorted({path.parent.name for path in paths})
        ['000-aurora-lamp', '001-tidal-mug']
    """
    from xtyl_nb.runs.export import save_results

    return save_results(self._backend, self.id, self._plan, folder)
