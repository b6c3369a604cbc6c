"""A node type and a provider for xtyl-nb, each in a module of its own. Nothing here needs to be imported: the entry points in
pyproject.toml name both, and xtyl-nb loads them when a workflow asks.
"""
