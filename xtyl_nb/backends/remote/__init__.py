"""A back end reached over HTTP: the same protocol, with pages, event streams and files that come when they are looked at.

`connect` enters by `backend`, the command line by `doctor`.
"""

__all__ = ["backend", "doctor"]
