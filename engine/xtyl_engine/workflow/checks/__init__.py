"""What may be wrong with a document, one module per kind of problem; `validate` runs them all.

Others use only `wording`, which names things and their closest matches in messages.
"""

__all__ = ["parameters", "references", "structure", "wording"]
