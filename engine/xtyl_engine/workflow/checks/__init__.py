"""The problems that a document can have, one module per kind; `validate` runs every check.

Others use only `wording`, which shows names and their closest matches in messages.
"""

__all__ = ["parameters", "references", "structure", "wording"]
