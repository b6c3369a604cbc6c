"""What is removed when it is old: executions with their rows, and files that nothing refers to.

Others use `keeper`, which does both in steps short enough not to block a worker, and `executions` for what to keep.
"""

__all__ = ["executions", "files", "keeper"]
