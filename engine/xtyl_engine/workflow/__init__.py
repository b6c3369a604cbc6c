"""From a document to a plan, pure: parse, find every problem at once, derive the order, the axes and what each node reads.

Others use `document`, `document_io`, `graph`, `plan`, `validate`, `model_defaults`, and `render` of templating;
analysis and checks serve `validate` alone.
"""

__all__ = [
    "analysis",
    "checks",
    "cost_range",
    "document",
    "document_io",
    "graph",
    "highest_cost",
    "model_defaults",
    "plan",
    "templating",
    "unfolding",
    "validate",
]
