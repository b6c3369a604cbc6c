"""A node type and a provider for xtyl-nb, each in a module of its own. A notebook does not import them: the entry points in
pyproject.toml name both, and xtyl-nb loads them when a workflow uses them.
"""
