"""The table of briefs that the package ships, for the demo, the notebooks and a first try.

Users call `briefs.load_briefs` as `xtyl_nb.load_briefs`.
"""

__all__ = ["briefs"]
