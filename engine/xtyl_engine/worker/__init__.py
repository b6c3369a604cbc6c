"""A worker process: Celery's task, slots that execute jobs, sweeps, a heartbeat, and a health check.

`begin` begins it. Other rooms may use `command` for its command line, `first_claim` for whether it has worked, `health` for its
check and `owners` for whether the process of an owner lives, and nothing else.
"""

from typing import Any

__all__ = ["command", "first_claim", "health", "owners"]


def __getattr__(name: str) -> Any:
    if name == "app":
        # A supervisor of the previous release starts its workers by this name.
        from xtyl_engine.worker.task import app

        return app
    raise AttributeError(name)
