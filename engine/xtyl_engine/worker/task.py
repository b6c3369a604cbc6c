"""Celery's side of a worker: the app, the task `xtyl.advance`, and the signals that begin and end a process. A message is a
notification that an execution has ready jobs; a lost, doubled or replayed one changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from billiard import current_process
from celery import signals
from celery.exceptions import WorkerShutdown
from celery.worker import state
from celery.worker.request import Request

from xtyl_engine.broker.celery_app import TASK, make_app
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import RunNotFound, WorkflowException
from xtyl_engine.functions.variables import socket_beside
from xtyl_engine.providers.prices import check_prices
from xtyl_engine.scheduler.rate_limits.permits import read_claim_policy
from xtyl_engine.scheduler.routing import read_route
from xtyl_engine.settings import PREFORK, Settings, load_settings
from xtyl_engine.telemetry.log_lines import keep_journal
from xtyl_engine.worker.command import RETIRE
from xtyl_engine.worker.instrument import answer_for_pool
from xtyl_engine.worker.prefork import Pool, Relay
from xtyl_engine.worker.process import Process
from xtyl_engine.worker.transport import read_with_care
from xtyl_engine.worker.waker import Waker

log = logging.getLogger("xtyl")
PAUSE_SECONDS = 1.0
# Created before a pool forks: its children send their samples through it.
_relay = Relay()


_process: Process | None = None
_waker: Waker | None = None
_making = threading.Lock()


def process() -> Process:
    """This process's Process, built at first use: a pool's child must not share its parent's connections."""
    global _process
    with _making:
        if _process is None or not _process.is_own:
            _process = Process(load_settings(), app, _pool, _relay)
        return _process


read_with_care()
# Created before a pool forks: its processes learn of each other, and of the end, through it.
_pool = Pool(load_settings().slots)
app = make_app(load_settings().celery_url)
app.amqp.queues.select(read_route(load_settings()).queues)


class NotificationRequest(Request):
    """A request for a notification: it left the queue when it was read, so there is nothing to acknowledge."""

    acknowledged = True


@app.task(name=TASK, ignore_result=True, Request="xtyl_engine.worker.task:NotificationRequest")
def advance(execution_id: str) -> None:
    """Work on this execution until nothing is ready or the time slice is used up."""
    try:
        with _at_work():
            process().slots.advance(str(execution_id))
    except RunNotFound as error:
        log.warning("a notification is dropped: %s", error.message)
    finally:
        if _waker is not None:
            _waker.wake()


@contextlib.contextmanager
def _at_work() -> Iterator[None]:
    """Mark this process as at work, for its siblings; in a pool of threads there is nothing to mark."""
    place = getattr(current_process(), "index", None)
    if place is None:
        yield
        return
    _pool.mark(place, True)
    try:
        yield
    finally:
        _pool.mark(place, False)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    keep_journal(load_settings())
    # A line for each notification names no job, and costs as much as a short job.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    global _waker
    # Threads hand work to each other all the time; the default of 5 ms would be most of a short job's latency.
    sys.setswitchinterval(0.0005)
    settings = load_settings()
    signal.signal(RETIRE, _retire)
    try:
        if socket_beside(settings.event_url) is None:
            # An embedded back end takes the prices of each kernel.
            check_prices(os.environ)
        if settings.pool == PREFORK:
            _look(settings)
            answer_for_pool(settings, _relay)
        else:
            process()
            _waker = Waker()
    except WorkflowException as error:
        # Without a database it would take notifications and do nothing with them.
        log.critical("this worker cannot work: %s", error)
        raise WorkerShutdown(1) from error


def _retire(number: int, frame: object) -> None:
    """Start nothing new, and end when the jobs that run are done, however long that takes; SIGTERM then limits it as ever."""
    _pool.close()
    state.should_stop = 0


def _look(settings: Settings) -> None:
    """Check that a forked process could work. Nothing stays open: children would share the parent's connections, and SQLite loses
    its locks that way."""
    read_claim_policy(settings)
    with contextlib.closing(Database(settings.database_url, pool_size=1)) as database:
        ensure_schema(database)


@signals.worker_process_init.connect
def _begin_forked(**_: Any) -> None:
    _pool.mark(current_process().index, False)
    # In a thread: Celery kills a process that is not up within seconds, and the database may take longer.
    threading.Thread(target=_make_process, name="xtyl-begin", daemon=True).start()


def _make_process() -> None:
    """Build the process at once, to sweep and beat from the start: its first notification may never come."""
    while True:
        try:
            process()
            return
        except Exception as error:
            log.error("this process cannot work yet: %s", error)
        threading.Event().wait(PAUSE_SECONDS)


@signals.worker_shutting_down.connect
def _finish(**_: Any) -> None:
    _pool.end()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    if _process is not None and _process.is_own:
        _process.close()
