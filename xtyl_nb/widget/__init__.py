"""The live graph in the cell: an anywidget, the thread that follows a run, the answers to a page's questions, the page itself.

Others show a run by `display`; nothing else is for other rooms.
"""

__all__ = ["display"]
