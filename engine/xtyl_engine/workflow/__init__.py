"""From a document to a plan, pure: parse, find every problem at once, derive the order, the axes and what each node reads.

Others use `document`, `document_io`, `graph`, `plan`, `validate`, `default_provider`, and `render` of templating;
analysis and checks serve `validate` alone.
"""

__all__ = [
    "analysis",
    "checks",
    "default_provider",
    "document",
    "document_io",
    "graph",
    "plan",
    "templating",
    "validate",
]
