"""Providers of vendors: those whose protocol is their own, through one library, and those that speak OpenAI's. `table` names
them all, with their variables, and imports nothing heavy; the registry makes what is in `provider` and `gateway` by name.
Nothing else here is for other rooms.
"""

__all__ = ["table"]
