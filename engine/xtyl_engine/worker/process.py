"""Builds everything that one worker process owns, in the process that runs the jobs, and closes it at the end. Its parts do the
work; this module only connects them.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial

from celery import Celery

from xtyl_engine.broker.celery_app import notify_workers
from xtyl_engine.broker.live_events import Publisher, forget_streams
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.database.retention.keeper import keep_house
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.failpoints import Point, arm, failpoint
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.rate_limits.permits import read_claim_policy
from xtyl_engine.settings import PREFORK, Settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_engine.worker.first_claim import note_claim
from xtyl_engine.worker.heartbeat import Heartbeat
from xtyl_engine.worker.instrument import Watch
from xtyl_engine.worker.kernels import Kernels
from xtyl_engine.worker.owners import Owners
from xtyl_engine.worker.prefork import BETWEEN_SECONDS, Pool, Relay
from xtyl_engine.worker.slots import HOLD_SECONDS, Slots
from xtyl_engine.worker.sweeper import Sweeper

log = logging.getLogger("xtyl")


class Process:
    """Everything that one worker process owns: database, publisher, slots, sweeper, keeper, heartbeat, telemetry."""

    def __init__(self, settings: Settings, app: Celery, pool: Pool, relay: Relay):
        arm(settings.crash, settings.home)
        self.pool = pool
        self.shutdown_seconds = settings.shutdown_seconds
        self.database = Database(settings.database_url, pool_size=_slot_count(settings) + 4)
        ensure_schema(self.database)
        self.owners = Owners(settings.home)
        self.owners.tidy(self._owners_of_jobs)
        self.publisher = Publisher(settings.event_url)
        plans = PlanCache()
        rates = read_claim_policy(settings)
        lease, beat = settings.lease_seconds, settings.beat_seconds
        recorder = Recorder(
            self.database, self.owners.name, lease, self.publisher.publish, plans.load, rates, beat_seconds=beat
        )
        store = ArtifactStore(settings.artifacts_folder, patience_seconds=HOLD_SECONDS)
        kernels = Kernels(self.database, settings)
        executor = Executor(settings, self.database, plans, store, recorder.may_start, recorder.hold, kernels=kernels)
        self.runners = executor.runners
        self.slots = self._slots(app, settings, recorder, executor)
        recorder.at_work = self.slots.at_work
        self.heartbeat = Heartbeat(settings.home, settings.pool)
        self.watch = Watch(settings, relay, self.slots, plans.load)
        self.sweeper = Sweeper(
            self.database,
            self.slots,
            self.owners.name,
            self.publisher.publish,
            plans.load,
            lease,
            beat,
            settings.sweep_seconds,
            self.heartbeat.note,
            settings.silent_seconds,
            self.owners.pulse,
            self.owners.keep,
            kernels.forget_ended,
        )
        self.sweeper.start()
        self.keeper = keep_house(settings, self.database, lambda ids: forget_streams(settings.event_url, ids))
        threading.Thread(target=self._await_end, name="xtyl-end", daemon=True).start()
        if settings.pool != PREFORK:
            # A process of a pool may never be asked for a call.
            self.runners.warm()

    def _slots(self, app: Celery, settings: Settings, recorder: Recorder, executor: Executor) -> Slots:
        route = recorder.rates.route
        is_forked = settings.pool == PREFORK
        return Slots(
            recorder,
            executor,
            lambda id: notify_workers(app, id, (route.queue,)),
            _slot_count(settings),
            settings.slice_seconds,
            forward=lambda id: notify_workers(app, id, (route.other_queue,)),
            others=(lambda: self.pool.idle(BETWEEN_SECONDS)) if is_forked else int,
            on_first_claim=partial(note_claim, settings.home),
        )

    @property
    def is_own(self) -> bool:
        """Whether it was built in this process, and not in the parent that forked it."""
        return self.owners.pid == os.getpid()

    def _owners_of_jobs(self) -> list[str]:
        with self.database.read() as transaction:
            return [owner for owner, *_ in transaction.rows(sql.OWNERS)]

    def _await_end(self) -> None:
        """When the worker is told to end: start nothing new, and give back jobs that do not finish in time. A thread cannot be
        killed, so the process exits: a job that was given back must not go on here. A worker that only closes keeps its jobs."""
        self.pool.await_close()
        self.slots.closing = True
        failpoint(Point.SHUTDOWN_BEGUN)
        self.pool.await_end()
        threading.Event().wait(self.shutdown_seconds)
        if held := self.slots.release():
            log.warning("%d jobs were not finished in %g s and are given back", held, self.shutdown_seconds)
            failpoint(Point.SHUTDOWN_RELEASED)
            self.heartbeat.close()
            os._exit(0)

    def close(self) -> None:
        self.sweeper.end()
        if self.keeper is not None:
            self.keeper.end()
        self.runners.close()
        self.heartbeat.close()
        self.publisher.close()
        self.database.close()
        self.watch.close()


def _slot_count(settings: Settings) -> int:
    """A forked process has one slot, and sibling processes have the others."""
    return 1 if settings.pool == PREFORK else settings.slots
