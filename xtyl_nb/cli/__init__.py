"""The command `xtyl` and its output. No other room imports it.

`main` is the entry point.
"""

__all__ = ["main"]
