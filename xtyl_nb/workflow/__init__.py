"""The fluent builder, with which users write a workflow, and the display of its problems.

Users get the names of `builder` and `errors` from the package.
"""

__all__ = ["builder", "errors", "implied_edges"]
