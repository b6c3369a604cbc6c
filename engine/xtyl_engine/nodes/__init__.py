"""Node types, one file each: parameters, the output's fields, and the function that does the work.

Others ask `registry` for a type and its facts; a node type of another package is written with `base`. `review` also says
how a decision is read and shown, `prompt` what a cached result is found by, `usage` what of a provider's report is recorded.
"""

__all__ = ["base", "pictures", "prompt", "registry", "review", "structured", "usage"]
