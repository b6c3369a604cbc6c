"""The problems that a document can have, one module per kind; `validate` runs every check.

Others use `rows`, which needs a table besides, and `wording`, which shows names and their closest matches in messages.
"""

__all__ = ["asking", "models", "parameters", "pictures", "references", "rows", "structure", "wording"]
