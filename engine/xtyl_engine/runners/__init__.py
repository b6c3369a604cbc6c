"""Calls users' functions in processes of their own. A launcher loads the functions of one run and forks runners, which call them
one at a time. Other rooms may use `pool` to have a call made, with `launchers` for what a run's launcher begins with
and `patience` for how long a call may take, and `calling` to make one in this process.
"""

__all__ = ["calling", "launchers", "patience", "pool"]
