"""Live events for many listeners: one reader per execution, a channel of its newest events, a subscriber for each listener.

`broadcaster` opens a subscriber for a listener; `routes/stream` sends what the subscriber gives to the browser.
"""

__all__ = ["broadcaster", "subscriber"]
