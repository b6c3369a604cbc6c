"""The live graph in the cell: an anywidget, the thread that follows a run, the answers to a page's questions, the page itself.

Other rooms show a run by `display`, and use nothing else of this one.
"""

__all__ = ["display"]
