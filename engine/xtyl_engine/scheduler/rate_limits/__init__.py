"""How many jobs of a type or a provider may start in a time: buckets in SQL, and the permits that claims take from them.

Others read `permits` for what a claim may take and when the next may start; `bucket` serves it.
"""

__all__ = ["bucket", "permits"]
