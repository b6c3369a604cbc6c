"""Limits how many jobs of a node type or a provider start per time: buckets in SQL, and permits that claims take from them.

Other rooms use `permits`, for the permits of a claim and the time of the next start; `bucket` is for `permits` alone.
"""

__all__ = ["permits"]
