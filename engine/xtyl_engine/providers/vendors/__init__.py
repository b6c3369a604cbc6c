"""Providers of vendors whose protocol is their own, through one library. `table` names them all, with their variables, and
imports nothing heavy; the registry makes what is in `provider` by its name. Nothing else here is for other rooms.
"""

__all__ = ["table"]
