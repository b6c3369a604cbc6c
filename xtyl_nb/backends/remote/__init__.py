"""A back end reached over HTTP: the same protocol, with pages, event streams, and files that are fetched when they are read.

`connect` uses `backend`, the command line uses `doctor`.
"""

__all__ = ["backend", "doctor"]
