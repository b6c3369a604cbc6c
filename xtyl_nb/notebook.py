"""Whether this is a notebook, and which of its cells runs."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel."""
    return hasattr(_shell(), "kernel")


def cell_number() -> int | None:
    """The number of the cell that runs, None outside IPython."""
    shell = _shell()
    return None if shell is None else shell.execution_count


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
