"""Writes a run's results into a folder, which gets a folder per row. What a result becomes is for `result_files`.

A file is written whole or not at all. One that stands there already is replaced only if it is as an earlier call wrote it:
`.xtyl-saved` in the folder lists the hashes of all that was written there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import EDQUOT, ENOSPC
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from xtyl_engine.errors import WorkflowException
from xtyl_engine.states import FATAL, JobState
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import reading_order
from xtyl_nb.runs.file_names import distinct, readable
from xtyl_nb.runs.result_files import ResultFile, delivered, files_of

if TYPE_CHECKING:
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend

T = TypeVar("T")
RECORD = ".xtyl-saved"
TELL_SECONDS = 2.0
LEAST_DIGITS = 3


class SaveRefused(WorkflowException, OSError):
    """The results cannot be written into this folder."""

    code = "save/refused"


def save_results(backend: Backend, id: str, plan: Plan, folder: str | Path) -> list[Path]:
    """Write the results of every node that delivers, or if there is none, of the last nodes; returns the written paths."""
    root, store = Path(folder).expanduser(), backend.store_of(id)
    files = {root / place / file.name: file for place, file in result_files(backend, id, plan)}
    with _translated(root):
        _record(root, files)
    for count, (path, file) in enumerate(_told(files.items(), len(files))):
        with _translated(path, f"; {count:,} of {len(files):,} files are written"):
            if _digest(path) != file.digest:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, file.read(store))
    return list(files)


def _told(files: Iterable[T], total: int) -> Iterator[T]:
    """The files, and how many of them are over on one line, where they take long."""
    told = time.monotonic()
    words = ""
    for count, file in enumerate(files):
        yield file
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            words = f"\r{count + 1:,} of {total:,} files are saved"
            sys.stderr.write(words)
            sys.stderr.flush()
    if words:
        sys.stderr.write(f"\r{total:,} files are saved".ljust(len(words)) + "\n")


def result_files(backend: Backend, id: str, plan: Plan) -> Iterator[tuple[str, ResultFile]]:
    """The files that the results so far become, by row and node, each with the name of its row's folder."""
    kits = [name for name, node in plan.nodes.items() if node.kind.delivers]
    wanted = kits or [name for name, node in plan.nodes.items() if not node.children]
    # An id has no hyphen, nor has its name in a file: what follows is told apart from it.
    names = dict(zip(plan.nodes, distinct(plan.nodes, "_"), strict=True))
    store, rows = backend.store_of(id), backend.queries.rows(id)
    # Only of these nodes: the outputs of all others may be many times as much.
    jobs = [
        job
        for name in wanted
        for job in backend.queries.node_jobs(id, name)
        if job.state is JobState.COMPLETED and job.output is not None and job.because not in FATAL
    ]
    store.prepare(str(job.output) for job in jobs)
    digits = max(LEAST_DIGITS, len(str(len(rows) - 1)))
    for job in sorted(jobs, key=reading_order(plan)):
        row, *places = job.item.split(".")
        node = plan.nodes[job.node]
        folder = _row_name(row.zfill(digits), *rows[int(row)])
        assets = delivered(node.kind, unspill(str(job.output), store), node.config, plan.main_of)
        for file in files_of(assets, "-".join([names[job.node], *places]), store):
            yield folder, file


def _row_name(number: str, label: Any, values: Mapping[str, Any]) -> str:
    texts = [value for value in values.values() if isinstance(value, str)]
    label = " ".join(map(str, label)) if isinstance(label, list) else label
    name = label if isinstance(label, str) else texts[0] if texts else ""
    return "-".join(filter(None, [number, readable(name.lower())]))


def _record(root: Path, files: Mapping[Path, ResultFile]) -> None:
    """Note what will be written. Raises SaveRefused where a file of the user's would be lost."""
    record = root / RECORD
    ours = set(record.read_text("ascii", "replace").split()) if record.exists() else set()
    theirs = [path for path, file in files.items() if _digest(path) not in {None, file.digest} | ours]
    if theirs:
        raise _refused(theirs)
    if new := sorted({file.digest for file in files.values()} - ours):
        root.mkdir(parents=True, exist_ok=True)
        with open(record, "a") as lines:
            lines.writelines(f"{digest}\n" for digest in new)


def _refused(theirs: Sequence[Path]) -> SaveRefused:
    count = len(theirs)
    more = f" and {count - 1:,} more" if count > 1 else ""
    return SaveRefused(
        f"{theirs[0]}{more} would be lost: a file of another origin, or changed since it was saved",
        hint="Save into another folder, or move the files away. Nothing was written.",
    )


def _digest(path: Path) -> str | None:
    """The hash of what stands at a path, which is no hash where that is no file; None where nothing does."""
    if not os.path.lexists(path):
        return None
    return sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""


def _write(path: Path, data: bytes) -> None:
    """Unlike a file of the back end's, one for its user has the rights that the user's files have."""
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _translated(path: Path, written: str = "") -> Iterator[None]:
    try:
        yield
    except WorkflowException:
        raise
    except OSError as error:
        is_full = error.errno in (ENOSPC, EDQUOT)
        raise SaveRefused(
            f"{path} cannot be written: {error.strerror}{written}",
            hint="Make room, and save again." if is_full else "Save into a folder that is yours to write.",
        ) from error
