"""What jobs take and give: plain JSON, files and their locks, packed functions, what of a kernel they find again, the text of an
error, what was printed, secrets hidden in it, and a memory with a bound.

Every room may use these modules. They know no workflow, no database and no worker.
"""

__all__ = [
    "artifacts",
    "atomic_write",
    "code_digest",
    "error_text",
    "functions",
    "images",
    "loading",
    "local_modules",
    "locks",
    "masking",
    "packing",
    "plain",
    "prints",
    "progress",
    "recent",
    "references",
    "surroundings",
    "uses",
    "variables",
    "versions",
]
