"""A worker process: the task `xtyl.advance` and all that it owns. A message is a hint that an execution has ready jobs;
losing one, doubling one or replaying an old one changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from billiard import current_process
from celery import Celery, signals
from celery.exceptions import WorkerShutdown
from celery.worker.request import Request
from kombu.asynchronous import get_event_loop

from xtyl_engine.broker.celery_app import TASK, make_app, send_hint
from xtyl_engine.broker.live_events import Publisher
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.keeper import keep_house
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.errors import WorkflowException
from xtyl_engine.execute import Executor
from xtyl_engine.failpoints import Point, arm, reach
from xtyl_engine.health import Heartbeat
from xtyl_engine.pool import Pool
from xtyl_engine.relay import Relay
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.rate_limits.permits import read_rates
from xtyl_engine.scheduler.routing import read_route
from xtyl_engine.settings import PREFORK, Settings, load_settings
from xtyl_engine.slots import HOLD_SECONDS, Slots
from xtyl_engine.sweep import Sweeper
from xtyl_engine.telemetry.log_lines import keep_journal
from xtyl_engine.transport import read_with_care
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.watch import Watch, answer_for_pool

log = logging.getLogger("xtyl")
SLOT_FREED_SECONDS = 0.002
PAUSE_SECONDS = 1.0
# Made before a pool forks: its children tell what they count by it.
_relay = Relay()


class Process:
    """Everything one worker process owns: made when the worker starts, in the process that runs the jobs."""

    def __init__(self, settings: Settings, app: Celery):
        arm(settings.crash, settings.home)
        self.shutdown_seconds = settings.shutdown_seconds
        # A forked process has one slot, and others beside it.
        is_forked = settings.pool == PREFORK
        count = 1 if is_forked else settings.slots
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.database = Database(settings.database_url, pool_size=count + 4)
        ensure_schema(self.database)
        self.publisher = Publisher(settings.event_url)
        plans = PlanCache()
        rates = read_rates(settings)
        recorder = Recorder(
            self.database, self.owner, settings.lease_seconds, self.publisher.publish, plans.load, rates
        )
        store = ArtifactStore(settings.artifacts_folder, patience_seconds=HOLD_SECONDS)
        executor = Executor(settings, self.database, plans, store, recorder.may_start)
        route = rates.route
        self.slots = Slots(
            recorder,
            executor,
            lambda id: send_hint(app, id, (route.queue,)),
            count,
            settings.slice_seconds,
            forward=lambda id: send_hint(app, id, (route.other_queue,)),
            others=_pool.idle if is_forked else int,
        )
        self.heartbeat = Heartbeat(settings.home, settings.pool)
        self.watch = Watch(settings, _relay, self.slots, plans.load)
        self.sweeper = Sweeper(
            self.database,
            self.slots,
            self.owner,
            self.publisher.publish,
            plans.load,
            settings.lease_seconds,
            settings.beat_seconds,
            settings.sweep_seconds,
            route,
            self.heartbeat.note,
        )
        self.sweeper.start()
        self.keeper = keep_house(settings, self.database)
        threading.Thread(target=self._await_end, name="xtyl-end", daemon=True).start()

    @property
    def is_own(self) -> bool:
        """Whether it was made in this process, and not in the one that this was forked from."""
        return self.owner.split(":")[1] == str(os.getpid())

    def _await_end(self) -> None:
        """When the worker is told to end: start nothing new, and give back what is not finished in time. A thread cannot be
        killed, so the process ends with it: what was given back must not go on here."""
        _pool.await_end()
        self.slots.closing = True
        reach(Point.SHUTDOWN_BEGUN)
        threading.Event().wait(self.shutdown_seconds)
        if held := self.slots.release():
            log.warning("%d jobs were not finished in %g s and are given back", held, self.shutdown_seconds)
            reach(Point.SHUTDOWN_RELEASED)
            self.heartbeat.close()
            os._exit(0)

    def close(self) -> None:
        self.sweeper.end()
        if self.keeper is not None:
            self.keeper.end()
        self.heartbeat.close()
        self.publisher.close()
        self.database.close()
        self.watch.close()


class Waker:
    """Lets Celery's loop look at the queue again when a slot becomes free. With every slot taken the loop stops taking messages,
    and by itself it starts again only at its next timer, up to a second later."""

    def __init__(self) -> None:
        self._hub: Any = get_event_loop()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        if self._hub is not None:
            self._hub.add_reader(self._read, self._look)

    def wake(self) -> None:
        """Called in a slot's thread, a moment before Celery counts the slot as free."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def _look(self) -> None:
        os.read(self._read, 4096)
        self._hub.call_later(SLOT_FREED_SECONDS, lambda: None)


_process: Process | None = None
_waker: Waker | None = None
_making = threading.Lock()


def process() -> Process:
    """This process's own, made at first use: a pool child must not share its parent's connections."""
    global _process
    with _making:
        if _process is None or not _process.is_own:
            _process = Process(load_settings(), app)
        return _process


read_with_care()
# Made before a pool forks: its processes hear of each other and of the end by it.
_pool = Pool(load_settings().slots)
app = make_app(load_settings().celery_url)
app.amqp.queues.select(read_route(load_settings()).queues)


class HintRequest(Request):
    """A hint was off the queue when it was read: there is nothing to acknowledge."""

    acknowledged = True


@app.task(name=TASK, ignore_result=True, Request="xtyl_engine.worker:HintRequest")
def advance(execution_id: str) -> None:
    """A hint: work on this execution until nothing is ready or the time slice is used."""
    try:
        with _at_work():
            process().slots.advance(str(execution_id))
    finally:
        if _waker is not None:
            _waker.wake()


@contextlib.contextmanager
def _at_work() -> Iterator[None]:
    """Lets the processes beside this one know that it has something to do; threads know."""
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
    # A line for each hint would say nothing of any job, and cost as much as a short one.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    global _waker
    # Threads hand work to each other all the time here; the default of 5 ms would be most of a short job's latency.
    sys.setswitchinterval(0.0005)
    settings = load_settings()
    try:
        if settings.pool == PREFORK:
            _look(settings)
            answer_for_pool(settings, _relay)
        else:
            process()
            _waker = Waker()
    except WorkflowException as error:
        # Ready without a database it would take hints and do nothing with them.
        log.critical("this worker cannot work: %s", error)
        raise WorkerShutdown(1) from error


def _look(settings: Settings) -> None:
    """See that a forked process could work. Nothing stays open: what a parent holds, its children would share, and SQLite loses
    its locks over that."""
    read_rates(settings)
    database = Database(settings.database_url, pool_size=1)
    try:
        ensure_schema(database)
    finally:
        database.close()


@signals.worker_process_init.connect
def _begin_forked(**_: Any) -> None:
    _pool.mark(current_process().index, False)
    # In a thread: Celery ends a process that is not up within seconds, and the database may take longer.
    threading.Thread(target=_make_process, name="xtyl-begin", daemon=True).start()


def _make_process() -> None:
    """Sweep and beat from the start: a process that waited for its first hint might wait for ever."""
    while True:
        try:
            process()
            return
        except WorkflowException as error:
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
