"""Pictures and words computed in Python: layout, cards, the still picture of a run, drawings of workflows, galleries, prints,
timelines.

The widget, the frames and the terminal use it; of a run it needs only what `displayable` declares. `layout` and
`workflow_picture` serve the other modules.
"""

__all__ = [
    "cards",
    "displayable",
    "draw",
    "folding",
    "gallery",
    "logs",
    "run_picture",
    "thumbnail",
    "timeline",
    "words",
]
