"""What jobs take and give: plain JSON, cells, files and their locks, the text of an error, what was printed, secrets hidden in
it, and a memory with a bound.

Every room may use these modules. They know no workflow, no database and no worker.
"""

__all__ = [
    "artifacts",
    "atomic_write",
    "cells",
    "error_text",
    "foreign",
    "images",
    "locks",
    "masking",
    "pictures",
    "plain",
    "prints",
    "progress",
    "recent",
]
