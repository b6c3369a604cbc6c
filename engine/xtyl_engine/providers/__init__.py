"""Services that write texts and draw images, one file or folder each, and the registry that finds them.

Others take a provider by name from `registry`, and tests of other packages the `offline` one; `base` has the requests
and results that a provider of another package speaks, `schemas` what answers with fields are held against. Nothing else here
is for other rooms.
"""

__all__ = ["base", "offline", "prices", "readiness", "registry", "schemas"]
