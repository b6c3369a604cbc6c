"""Calls users' functions in processes of their own. A launcher loads functions and forks runners, which call them one at a time,
for one run each. Other rooms may use `pool` to have a call made, with `orders` for the call, `launchers` for what a launcher
begins with and `patience` for how long a call may take, and `calling` to make one in this process.
"""

__all__ = ["calling", "launchers", "orders", "patience", "pool"]
