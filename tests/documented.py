"""What users call, by name: what must have a docstring with a list of arguments and an example."""

from __future__ import annotations

import inspect

import xtyl_nb as xt


def documented() -> dict[str, object]:
    """The public classes, functions, verbs and properties, errors aside."""
    found: dict[str, object] = {"Workflow": xt.Workflow}
    for owner in (xt.Workflow,):
        for name in vars(owner):
            if not name.startswith("_"):
                found[f"{owner.__name__}.{name}"] = inspect.getattr_static(owner, name)
    return found
