"""The baseline: plain Celery, one message per node, counters in the worker's memory, nothing durable. It is the least cost of a
graph in which every node is a task.
"""

from __future__ import annotations

import json
import os
import threading

from celery import Celery

app = Celery("bare", broker=os.environ["BARE_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue="bare",
    worker_prefetch_multiplier=16,
)

_lock = threading.Lock()
_graphs: dict[str, tuple[dict[str, list[str]], dict[str, int], list[int]]] = {}


def _load(run: str, path: str) -> tuple[dict[str, list[str]], dict[str, int], list[int]]:
    with _lock:
        if run not in _graphs:
            with open(path, encoding="utf-8") as source:
                parents = json.load(source)
            children: dict[str, list[str]] = {node: [] for node in parents}
            for node, needs in parents.items():
                for parent in needs:
                    children[parent].append(node)
            _graphs[run] = children, {node: len(needs) for node, needs in parents.items()}, [len(parents)]
        return _graphs[run]


@app.task(name="bare.step")
def step(run: str, path: str, node: str) -> None:
    """One node: count its children down, send those that are ready."""
    children, pending, left = _load(run, path)
    with _lock:
        ready = []
        for child in children[node]:
            pending[child] -= 1
            if not pending[child]:
                ready.append(child)
        left[0] -= 1
        over = not left[0]
    for child in ready:
        step.apply_async((run, path, child), ignore_result=True)
    if over:
        with app.connection_for_write() as connection:
            connection.default_channel.client.rpush(f"bare:{run}", "over")
