"""The fluent builder: what users write a workflow with, and how its problems are shown.

The package shows `builder` and `errors` to users.
"""

__all__ = ["builder", "errors", "implied_edges"]
