"""The table of briefs that the package ships, for the demo, the notebooks and a first try.

The package shows `briefs` to users.
"""

__all__ = ["briefs"]
