"""A package that offers things by entry points, installed where one process finds it, this one or another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xtyl_engine.nodes import registry


def offer(folder: Path, group: str, offered: dict[str, str]) -> None:
    """Describe a package in `folder` that offers these entry points."""
    described = folder / "offering-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    points = "".join(f"{name} = {value}\n" for name, value in offered.items())
    (described / "entry_points.txt").write_text(f"[{group}]\n{points}")


@contextlib.contextmanager
def node_types_of(folder: Path, offered: dict[str, str], **modules: str) -> Iterator[None]:
    """While the block lasts, this process finds the node types of a package with these modules, each by its source."""
    offer(folder, "xtyl.nodes", offered)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    caches = (registry._offered, registry.node_type, registry.type_facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()


def told_where_offered(folder: Path, group: str, offered: dict[str, str], code: str) -> Any:
    """What `code` prints as JSON where a package in `folder` offers these entry points."""
    offer(folder, group, offered)
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
