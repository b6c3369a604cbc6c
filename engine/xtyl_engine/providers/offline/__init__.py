"""The provider that needs no key and no network: canned texts, and posters drawn with Pillow, deterministic and free.

Only the registry of providers imports from here, and only `provider`.
"""

__all__ = ["provider"]
