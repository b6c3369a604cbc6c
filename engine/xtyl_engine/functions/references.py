"""The names by which functions and modules are imported, those of earlier releases too."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from xtyl_engine.functions.local_modules import is_local

# The present names of modules that functions and workflows of an earlier release name.
MOVED: dict[str, str] = {
    "xtyl_engine.artifacts": "xtyl_engine.values.artifacts",
    "xtyl_engine.nodes": "xtyl_engine.nodes.registry",
    "xtyl_engine.overview": "xtyl_engine.queries.views",
    "xtyl_engine.plan": "xtyl_engine.workflow.plan",
    "xtyl_engine.providers": "xtyl_engine.providers.registry",
    "xtyl_engine.query": "xtyl_engine.queries.views",
    "xtyl_engine.submit": "xtyl_engine.scheduler.submit",
    "xtyl_engine.values": "xtyl_engine.values.plain",
    "xtyl_engine.values.functions": "xtyl_engine.functions.packed_function",
    "xtyl_engine.values.loading": "xtyl_engine.functions.loading",
    "xtyl_engine.workflow": "xtyl_engine.workflow.document",
    "xtyl_nb.briefs": "xtyl_nb.data.briefs",
    "xtyl_nb.build": "xtyl_nb.workflow.builder",
    "xtyl_nb.client": "xtyl_nb.backends.connect",
    "xtyl_nb.direct": "xtyl_nb.backends.direct",
    "xtyl_nb.frame": "xtyl_nb.frames.results",
    "xtyl_nb.gallery": "xtyl_nb.drawing.gallery",
    "xtyl_nb.launch": "xtyl_nb.runs.launch",
    "xtyl_nb.problems": "xtyl_nb.workflow.errors",
    "xtyl_nb.remote": "xtyl_nb.backends.remote.backend",
    "xtyl_nb.run": "xtyl_nb.runs.run",
    "xtyl_nb.table": "xtyl_nb.frames.result_frame",
    "xtyl_nb.timeline": "xtyl_nb.drawing.timeline",
    "xtyl_nb.widget": "xtyl_nb.widget.widget",
}
# Keys of caches hold these under the names that they had first.
_NAMED = {"xtyl_engine.functions.loading": "xtyl_engine.values.loading"}


def reference(function: Any) -> str | None:
    """`module:qualname` if a worker can import the function by it, else None.

    Other functions are packed: those of the notebook, nested ones, and those of local modules, which a worker may lack or
    hold in an older version.
    """
    module = getattr(function, "__module__", None)
    if not isinstance(module, str) or module in ("", "__main__") or is_local(sys.modules.get(module)):
        return None
    return f"{_NAMED.get(module, module)}:{function.__qualname__}" if finds(module, function) else None


def finds(module: str, obj: Any) -> bool:
    """Whether an object's own name finds it in a module."""
    name = getattr(obj, "__qualname__", None)
    if not isinstance(name, str) or "<" in name:
        return False
    try:
        return resolve(module, name) is obj
    except (ImportError, AttributeError):
        return False


def resolve(module: str, name: str) -> Any:
    """What a dotted name means in a module, by its present place."""
    found: Any = import_module(MOVED.get(module, module))
    for part in name.split("."):
        found = getattr(found, part)
    return found
