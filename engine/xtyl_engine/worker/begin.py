"""Begins a worker: `python -P -m xtyl_engine.worker.begin worker ...`, with the words of Celery's own command. That command would
import modules, ours among them, from the folder in which it is started.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from xtyl_engine.worker.task import app

    app.start(sys.argv[1:])
