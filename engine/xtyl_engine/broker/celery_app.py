"""Sends notifications: Celery's app, its queues, and one function to send with. The queues track nothing: no acknowledgement, no
redelivery. The worker's side is in `worker`, which no client imports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.scheduler.routing import HEAVY_QUEUE, QUEUE, queues_for

__all__ = ["HEAVY_QUEUE", "QUEUE", "TASK", "make_app", "notify_workers", "queues_for"]

log = logging.getLogger("xtyl")
TASK = "xtyl.advance"

CONFIGURATION: dict[str, Any] = {
    # A notification may be lost, so nothing tracks it: no acknowledgement, no redelivery, no lookup of an exchange's queues.
    "task_queues": tuple(Queue(name, Exchange(""), routing_key=name, no_ack=True) for name in (QUEUE, HEAVY_QUEUE)),
    "task_default_queue": QUEUE,
    "task_default_exchange": "",
    "task_default_routing_key": QUEUE,
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_publish_retry": False,
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "worker_soft_shutdown_timeout": 30,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "retry_on_timeout": False,
        # A notification that cannot be sent now is left to the sweeper, so that pausing and submitting never wait for the broker.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
}


def make_app(broker_url: str | None) -> Celery:
    """A Celery app that sends and receives notifications over this broker."""
    app = Celery("xtyl", broker=broker_url)
    app.conf.update(CONFIGURATION)
    return app


def notify_workers(app: Celery, execution_id: str, queues: Iterable[str] = (QUEUE,)) -> None:
    """Notify the workers at these queues that an execution has ready jobs; `queues_for` names the queues. A notification that
    cannot be sent is left to the sweeper."""
    try:
        failpoint(Point.HINT_BEFORE)
        for queue in queues:
            app.send_task(TASK, (execution_id,), queue=queue, retry=False, ignore_result=True)
        failpoint(Point.HINT_SENT)
    except Exception as error:
        log.warning("a notification could not be sent: %s; the next sweep sends it again", error)
