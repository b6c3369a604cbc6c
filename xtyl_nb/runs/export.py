"""Writes a run's results as files: one folder per row, texts as .txt, images and other files unchanged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact
from xtyl_engine.values.plain import encode, unspill
from xtyl_engine.workflow.plan import reading_order

if TYPE_CHECKING:
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend


def save_results(backend: Backend, id: str, plan: Plan, folder: str | Path) -> list[Path]:
    """Write the outputs of every node that delivers, or if there is none, of the last nodes; returns the written paths."""
    root = Path(folder)
    kits = [name for name, node in plan.nodes.items() if node.kind.delivers]
    wanted = set(kits or [name for name, node in plan.nodes.items() if not node.children])
    queries, store = backend.queries, backend.store_of(id)
    # Only of these nodes: the outputs of all others may be many times as much.
    jobs = [job for name in wanted for job in queries.node_jobs(id, name)]
    rows = queries.rows(id)
    written: list[Path] = []
    outputs = [
        (each.node, each.item, each.output)
        for each in sorted(jobs, key=reading_order(plan))
        if each.state is JobState.COMPLETED and each.output is not None
    ]
    store.prepare(output for *_, output in outputs)
    for node, item, output in outputs:
        row, *places = item.split(".")
        place = root / _row_name(int(row), *rows[int(row)])
        prefix = "-".join([node, *places])
        written += _save(unspill(output, store), place, prefix, store)
    return written


def _save(value: Mapping[str, Any], folder: Path, prefix: str, store: ArtifactStore) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in value.items():
        stem = folder / f"{prefix}-{_safe(name)}"
        if is_artifact(part):
            source = store.path(part)
            path = stem.with_suffix(source.suffix)
            shutil.copyfile(source, path)
        else:
            path = stem.with_suffix(".txt")
            path.write_text(part if isinstance(part, str) else encode(part), encoding="utf-8")
        yield path


def _row_name(position: int, label: Any, values: Mapping[str, Any]) -> str:
    texts = [value for value in values.values() if isinstance(value, str)]
    name = label if isinstance(label, str) else texts[0] if texts else ""
    return "-".join(filter(None, [f"{position:03}", _safe(name)]))


def _safe(name: str) -> str:
    """A label for a folder, of letters, digits and hyphens only: a user's text must never act as a path."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
