"""Functions of notebooks as values: packed with what they use, stored, loaded where they run, told apart by a digest of their
code; and what of its kernel a function finds again. Nothing here calls one: that is for `runners`.

Other rooms may use `packing` in the kernel, `loading` where functions run, and on both sides what names, signs and compares them.
"""

__all__ = [
    "allow_list",
    "by_name",
    "code_digest",
    "loading",
    "local_modules",
    "packed_function",
    "packing",
    "references",
    "surroundings",
    "uses",
    "variables",
    "versions",
]
