"""The provider that needs no key and no network: texts from templates, posters drawn with Pillow, deterministic and free.

Only the registry of providers enters here, by `provider`.
"""

__all__ = ["provider"]
