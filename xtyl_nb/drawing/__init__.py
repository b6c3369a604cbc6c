"""Pictures and words computed in Python: layout, cards, the still picture of a run, sketches, galleries, timelines.

The widget, frames and the terminal draw with it; it asks a run only what `displayable` names.
"""

__all__ = [
    "cards",
    "displayable",
    "draw",
    "folding",
    "gallery",
    "layout",
    "run_picture",
    "thumbnail",
    "timeline",
    "words",
    "workflow_picture",
]
