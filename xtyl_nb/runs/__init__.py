"""The user's handle on one execution: how it is launched, watched, decided and saved.

Workflows launch by `launch`; the package shows `run` and `launch` to users.
"""

__all__ = ["decisions", "export", "launch", "run"]
