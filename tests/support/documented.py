"""The public names that must have a docstring with a list of arguments and an example."""

from __future__ import annotations

import inspect

import xtyl_nb as xt
from xtyl_nb.drawing.gallery import Gallery
from xtyl_nb.drawing.logs import Logs
from xtyl_nb.drawing.timeline import Timeline

# Those that users only get, and never make.
GIVEN = (xt.Run, Gallery, Logs, Timeline)


def documented() -> dict[str, object]:
    """The public classes, functions, verbs and properties, errors and values aside."""
    functions = {name: getattr(xt, name) for name in xt.__all__ if inspect.isfunction(getattr(xt, name))}
    found: dict[str, object] = functions | {"Workflow": xt.Workflow}
    for owner in (xt.Workflow, *GIVEN):
        for name in vars(owner):
            if not name.startswith("_"):
                found[f"{owner.__name__}.{name}"] = inspect.getattr_static(owner, name)
    return found | {owner.__name__: owner for owner in GIVEN}
