"""Jinja text: which names it reads, and how it becomes text, in a sandbox with a meter.

Others use `render`, and the values that it reads and gives: `names` has a use of a name, `sandbox` an output, `skipped` what
stands for none.
"""

__all__ = ["names", "render", "sandbox", "skipped"]
