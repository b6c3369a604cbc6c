"""Jinja text: which names it reads, and how it becomes text, in a sandbox with a meter.

Others use `render`, and the values that it reads and gives: `names` has a use of a name, `sandbox` the methods of texts, `size`
how much a workflow may hold, `texts` an output, `skipped` what stands for none, `verbatim` what a text tells as it stands.
"""

__all__ = ["names", "render", "sandbox", "size", "skipped", "texts", "verbatim"]
