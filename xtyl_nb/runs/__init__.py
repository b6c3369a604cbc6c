"""The user's handle on one execution: launches, watches, decides and saves it.

Workflows start a run by `launch`, commands find them by `listing`; users get the names of `run` and `launch` from the package.
`dollars` reads what they say may be spent.
"""

__all__ = ["dollars", "launch", "listing", "run"]
