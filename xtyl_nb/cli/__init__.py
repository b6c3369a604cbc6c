"""The command `xtyl` and what it prints. Nothing else imports it.

`main` is the entry point.
"""

__all__ = ["main"]
