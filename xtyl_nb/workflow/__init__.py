"""The fluent builder, with which users write a workflow, and the display of its problems.

Users get `builder`'s Workflow from the package; its verbs are in `steps`, and `errors` shows what is wrong.
"""

__all__ = ["builder"]
