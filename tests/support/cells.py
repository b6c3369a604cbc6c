"""Code as a kernel holds it: a cell that was executed in `__main__`, its source known to `linecache` alone."""

import linecache
from collections.abc import Callable
from typing import Any

SCORE = "\ndef helper(x):\n    return x + 1\n\ndef score(x):\n    return helper(x) / (x - 1)\n"


def in_notebook(source: str, name: str, filename: str = "/tmp/ipykernel_1/123.py") -> Callable[..., Any]:
    """A function as a notebook's cell defines it: in `__main__`, its source known to linecache alone."""
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, filename, "exec"), namespace)
    made: Callable[..., Any] = namespace[name]
    return made
