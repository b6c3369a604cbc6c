"""Tells whether this process is a Jupyter kernel, and which cell runs. It imports no part of IPython."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    return hasattr(_shell(), "kernel")


def cell_number() -> int | None:
    """The number of the running cell; None outside IPython."""
    shell = _shell()
    return None if shell is None else shell.execution_count


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
