"""Live events for many listeners: one reader per execution, a channel of its newest events, a subscriber for each listener.

`broadcaster` is the way in.
"""

__all__ = ["broadcaster", "channel", "subscriber"]
