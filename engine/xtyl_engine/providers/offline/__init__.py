"""The provider that needs no key and no network: canned texts, and posters drawn with Pillow, deterministic and free.

Only the registry of providers imports from here, and only `provider`.
"""

from typing import Any

__all__ = ["provider"]


def __getattr__(name: str) -> Any:
    if name == "OfflineProvider":
        # A worker of the release before, still at work when the package is upgraded under it, looks for it here.
        from xtyl_engine.providers.offline.provider import OfflineProvider

        return OfflineProvider
    raise AttributeError(name)
