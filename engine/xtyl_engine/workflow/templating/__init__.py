"""Jinja text: which names it reads, and how it becomes text, in a sandbox with a meter.

Others use `render`; `names` and `sandbox` serve it.
"""

__all__ = ["names", "render", "sandbox"]
