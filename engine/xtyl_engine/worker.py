"""A worker process: the task `xtyl.advance` and all that it owns. A message is a hint that an execution has ready jobs;
losing one, doubling one or replaying an old one changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import socket
import sys
import threading
import uuid
from typing import Any

from celery import Celery, signals
from celery.exceptions import WorkerShutdown
from celery.worker.request import Request
from kombu.asynchronous import get_event_loop

from xtyl_engine.artifacts import ArtifactStore
from xtyl_engine.broker import TASK, make_app, send_hint
from xtyl_engine.database import Database
from xtyl_engine.errors import WorkflowException
from xtyl_engine.execute import Executor
from xtyl_engine.journal import keep_journal
from xtyl_engine.permits import read_rates
from xtyl_engine.plans import PlanCache
from xtyl_engine.points import Point, arm, reach
from xtyl_engine.record import Recorder
from xtyl_engine.relay import Relay
from xtyl_engine.schema import ensure_schema
from xtyl_engine.settings import Settings, load_settings
from xtyl_engine.slots import KEEP_SECONDS, Slots
from xtyl_engine.stream import Publisher
from xtyl_engine.sweep import Sweeper
from xtyl_engine.transport import read_with_care
from xtyl_engine.watch import Watch

log = logging.getLogger("xtyl")
SLOT_FREED_SECONDS = 0.002
# Made before a pool forks: its children hear of the end by the one, and tell what they count by the other.
_ending = multiprocessing.Event()
_relay = Relay()


class Process:
    """Everything one worker process owns: made when the worker starts, in the process that runs the jobs."""

    def __init__(self, settings: Settings, app: Celery):
        arm(settings.crash, settings.home)
        self.shutdown_seconds = settings.shutdown_seconds
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.database = Database(settings.database_url, pool_size=settings.slots + 4)
        ensure_schema(self.database)
        self.publisher = Publisher(settings.event_url)
        plans = PlanCache()
        rates = read_rates(settings)
        recorder = Recorder(
            self.database, self.owner, settings.lease_seconds, self.publisher.publish, plans.load, rates
        )
        store = ArtifactStore(settings.artifacts_folder, patience_seconds=KEEP_SECONDS)
        executor = Executor(settings, self.database, plans, store, recorder.may_start)
        self.slots = Slots(recorder, executor, lambda id: send_hint(app, id), settings.slots, settings.slice_seconds)
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
        )
        self.sweeper.start()
        threading.Thread(target=self._await_end, name="xtyl-end", daemon=True).start()

    @property
    def is_own(self) -> bool:
        """Whether it was made in this process, and not in the one that this was forked from."""
        return self.owner.split(":")[1] == str(os.getpid())

    def _await_end(self) -> None:
        """When the worker is told to end: start nothing new, and give back what is not finished in time. A thread cannot be
        killed, so the process ends with it: what was given back must not go on here."""
        _ending.wait()
        self.slots.closing = True
        reach(Point.SHUTDOWN_BEGUN)
        threading.Event().wait(self.shutdown_seconds)
        if held := self.slots.release():
            log.warning("%d jobs were not finished in %g s and are given back", held, self.shutdown_seconds)
            reach(Point.SHUTDOWN_RELEASED)
            os._exit(0)

    def close(self) -> None:
        self.sweeper.end()
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
app = make_app(load_settings().celery_url)


class HintRequest(Request):
    """A hint was off the queue when it was read: there is nothing to acknowledge."""

    acknowledged = True


@app.task(name=TASK, ignore_result=True, Request="xtyl_engine.worker:HintRequest")
def advance(execution_id: str) -> None:
    """A hint: work on this execution until nothing is ready or the time slice is used."""
    try:
        process().slots.advance(str(execution_id))
    finally:
        if _waker is not None:
            _waker.wake()


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    keep_journal(load_settings())


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    global _waker
    # Threads hand work to each other all the time here; the default of 5 ms would be most of a short job's latency.
    sys.setswitchinterval(0.0005)
    # A line for each hint would say nothing of any job, and cost as much as a short one.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        process()
    except WorkflowException as error:
        # Ready without a database it would take hints and do nothing with them.
        log.critical("this worker cannot work: %s", error)
        raise WorkerShutdown(1) from error
    _waker = Waker()


@signals.worker_shutting_down.connect
def _finish(**_: Any) -> None:
    _ending.set()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    if _process is not None and _process.is_own:
        _process.close()
