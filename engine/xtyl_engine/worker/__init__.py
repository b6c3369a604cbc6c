"""A worker process: Celery's task, slots that execute jobs, sweeps, heartbeat, and whether it is healthy.

`celery -A xtyl_engine.worker.task` runs it. Others use `command` for its command line and `health` to ask after it;
nothing else is for other rooms.
"""

from typing import Any

__all__ = ["command", "health"]


def __getattr__(name: str) -> Any:
    if name == "app":
        # A supervisor of the release before starts its workers by this name.
        from xtyl_engine.worker.task import app

        return app
    raise AttributeError(name)
