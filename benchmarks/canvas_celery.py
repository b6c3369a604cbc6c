"""The baseline of a whole graph: Celery's own canvas of chains and chords, counted in Redis, nothing durable. Each node is
a task.
"""

from __future__ import annotations

import os

from celery import Celery, chain, group
from celery.canvas import Signature
from naps import nap

app = Celery("canvas", broker=os.environ["CANVAS_BROKER"], backend=os.environ["CANVAS_RESULTS"])
app.conf.update(task_default_queue="canvas", worker_prefetch_multiplier=1, task_serializer="json", result_expires=600)


@app.task(name="canvas.nap")
def work() -> None:
    """One node."""
    nap()


@app.task(name="canvas.over", ignore_result=True)
def over(run: str) -> None:
    """The end of a graph; a list in Redis tells the waiting benchmark."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.rpush(f"canvas:{run}", "over")


def stages(run: str, widths: tuple[int, ...]) -> Signature:
    """Stages in sequence, each of that many nodes, and the end."""
    steps = [work.si() if width == 1 else group(work.si() for _ in range(width)) for width in widths]
    return chain(*steps, over.si(run))
