"""Removes what is old: executions with their rows, and files that nothing refers to.

Others use `keeper`, which removes both in steps short enough not to block a worker, and `executions` for how long to keep.
"""

__all__ = ["executions", "files", "keeper"]
