"""The verbs of a Run that give its results: as frames, the details of one job, prints, sheets of images and bars, files. They
change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from xtyl_engine.queries.views import JobDetail
    from xtyl_nb.drawing.gallery import Gallery
    from xtyl_nb.drawing.logs import Logs
    from xtyl_nb.drawing.timeline import Timeline
    from xtyl_nb.runs.run import Run


def frame(self: Run) -> pd.DataFrame:
    """Return the input rows with their results, even while the run goes on.

    Returns:
        A DataFrame on the index of the input frame: its columns, then one column per node with
        its main value (a list where it made several items, the path of an image), `status` and
        `error`. Failed rows are included.

    Example:
        >>> run.frame()[["product", "status"]]
               product     status
        0  Aurora lamp  completed
        1    Tidal mug  completed
    """
    from xtyl_nb.frames.results import result_frame

    return result_frame(self._backend, self.id, self._plan, self._frame)


def outputs(self: Run, node: str) -> pd.DataFrame:
    """Return the whole output of each job of a node.

    Args:
        node: The node's id.

    Returns:
        A DataFrame with one row per item, indexed by `row` (the label in the frame's index)
        and, where there are several, `item`; one column per field of the output.

    Raises:
        FrameError: The run has no such node.

    Example:
        >>> run.outputs("headline").columns.to_list()
        ['text', 'provider', 'model', 'tokens', 'cost', 'finish']
        >>> run.outputs("headline").index.to_list()
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    """
    from xtyl_nb.frames.results import outputs_frame

    return outputs_frame(self._backend, self.id, self._plan, node)


def jobs(self: Run) -> pd.DataFrame:
    """Return one row per job, with its duration, its cost and its error.

    Returns:
        A DataFrame with `node`, `row` (the label in the frame's index), `item`, `type`,
        `status`, `attempts`, `started` and `finished` (UTC), `duration`, `cached`, `provider`,
        `model`, `tokens` (of the result), `input_tokens`, `cached_tokens`, `output_tokens`,
        `image_tokens` and `cost` (US dollars; of all its attempts), `price` (where it comes
        from), `unpriced` (attempts that cost an unknown amount), `error_class`, `error`, and
        `warning` (of a completed job: its text was cut at `max_tokens`).

    Example:
        >>> run.jobs()[["node", "row", "item", "status"]].head(2)
               node  row item     status
        0  headline    0    0  completed
        1  headline    0    1  completed
    """
    from xtyl_nb.frames.results import jobs_frame

    return jobs_frame(self._backend, self.id, self._plan)


def cost(self: Run) -> pd.DataFrame:
    """Return what the run used and cost so far: one row per node that asks a provider, and all.

    What was paid twice counts twice: attempts that failed after they were billed, late results,
    jobs that were retried. Sums are exact, in whole 1e-9 dollars.

    Returns:
        A DataFrame by `node`: `jobs`, of these `cached`, `input_tokens`, of these
        `cached_tokens`, `output_tokens`, `image_tokens`, `cost` (US dollars; NA where nothing
        is known), `saved` (what the cached results had cost) and `unpriced`: how many attempts
        cost an unknown amount, which `cost` leaves out.

    Example:
        >>> run.cost()[["jobs", "cost", "unpriced"]]
                  jobs  cost  unpriced
        node
        headline     6   0.0         0
        poster       2   0.0         0
        total        8   0.0         0
    """
    from xtyl_nb.frames.results import cost_frame

    return cost_frame(self._backend, self.id, self._plan)


def inspect(self: Run, node: str, *, row: Any = None, item: str | int | None = None) -> JobDetail:
    """Show the details of one job: its parameters, its attempts, its result or its error.

    Args:
        node: The node's id.
        row: A label of the frame's index; by default the first row.
        item: The place in that row's list, from 0. Without `row`, it may be the path of both,
            such as "3.0".

    Returns:
        Its `asked` (the parameters with all Jinja rendered), `attempts` (each with what it
        `printed`, its `request_id` at the provider, its `notes`, its tokens and `cost`),
        `text`, `images` (paths), `error`, `traceback`, `tokens`, `cost` (US dollars), `started`
        and `finished` (seconds since 1970, UTC), `decision` and more.

    Raises:
        FrameError: No row has this label, or several have it.
        RunNotFound: The run has no such node, or the node no such job.

    Example:
        >>> run.inspect("headline", row=1, item=2).asked["prompt"]
        'A headline for Tidal mug'
    """
    return self._backend.inspect(self.id, node, _position(self, row, item))


def logs(self: Run, node: str | None = None, *, row: Any = None, item: str | int | None = None) -> Logs:
    """Show what the functions of a run printed, logged and warned of, attempt by attempt.

    It has what is printed so far while a job runs. Of each attempt the first and the last 32 KB
    are kept, bars such as those of tqdm as they stood in the end, secrets hidden.

    Args:
        node: A node's id; by default all nodes.
        row: A label of the frame's index; by default all rows.
        item: The place in that row's list, from 0. Without `row`, it may be the path of both,
            such as "3.0".

    Returns:
        Logs, which `print` and a notebook show; its `attempts` are the texts one by one, and
        `pd.DataFrame(logs.attempts)` a table of them.

    Raises:
        FrameError: The run has no such node, no row has this label, or several have it.

    Example:
        >>> def measure(text):
        ...     print(len(text), "characters")
        ...     return len(text)
        >>> sizes = xt.Workflow("sizes").call("size", measure, text="{{ product }}")
        >>> print(sizes.run(briefs).wait(timeout=60).logs("size", row=1))
        9 characters
    """
    from xtyl_nb.drawing.logs import Logs
    from xtyl_nb.frames.results import check_node

    if node is not None:
        check_node(self._plan, node)
    place = None if row is None and item is None else _position(self, row, item)
    found = self._backend.logs(self.id, node, place)
    return Logs(found.items, is_cut=found.next is not None)


def _position(run: Run, row: Any, item: str | int | None) -> str:
    advice = 'or name the job by its place in the table: item="1" is the second row'
    position = str(0 if row is None else run._decisions.position(row, advice))
    if item is None:
        return position
    return f"{position}.{item}" if row is not None or isinstance(item, int) else item


def events(self: Run) -> pd.DataFrame:
    """Return one row per recorded event, in order.

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
        node: The id of the node whose images to show; by default all images.

    Returns:
        A Gallery, which a notebook shows; its `paths` are the files.

    Example:
        >>> run.gallery("poster")
        Gallery(2 images)
    """
    from xtyl_nb.drawing.gallery import Gallery

    names = [node] if node else self._plan.nodes
    return Gallery((job for name in names for job in self._with_images(name)), self._backend.store_of(self.id))


def timeline(self: Run) -> Timeline:
    """Lay out the running time of each job as bars on one scale.

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
    """Write the assets of the attach nodes, or else what the last nodes made, into a folder.

    Of a run that goes on, what there is so far; nothing for failed and rejected rows. Called
    again for the rest, it uses the same names and writes nothing anew that is there.

    Args:
        folder: The target; it gets one folder per row.

    Returns:
        The paths of all files, each once: texts as .txt, tables as .csv, other values as .json,
        images and other files unchanged, those inside a list, dict or table beside it.

    Raises:
        SaveRefused: The folder cannot be written, or a file in it that the user made or edited
            would be lost; an OSError. Every file that is there is whole.

    Example:
        >>> paths = run.save("results")
        >>> sorted({path.parent.name for path in paths})
        ['000-aurora-lamp', '001-tidal-mug']
    """
    from xtyl_nb.runs.export import save_results

    return save_results(self._backend, self.id, self._plan, folder)
