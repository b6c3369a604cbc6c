"""Connects one worker process to telemetry, as its settings say: metrics to Prometheus, errors to Sentry, spans to OpenTelemetry.
It sets the callbacks of slots and executor, and leaves those of a service that is off at their free defaults.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from xtyl_engine.database.connection import Transaction
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.telemetry.job_counts import JobCounts
from xtyl_engine.telemetry.otel import watch_traces
from xtyl_engine.telemetry.prometheus import WORKER, Figures
from xtyl_engine.telemetry.queue_times import QueueTimes
from xtyl_engine.telemetry.sentry import watch_errors
from xtyl_engine.telemetry.timed_provider import TimedProvider
from xtyl_engine.workflow.plan import Plan

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings
    from xtyl_engine.worker.prefork import Relay
    from xtyl_engine.worker.slots import Slots

log = logging.getLogger("xtyl")
ROUND_SECONDS = 1.0
Load = Callable[[Transaction, str], Plan]


def answer_for_pool(settings: Settings, relay: Relay) -> None:
    """In the main process of a pool: report its children's samples to Prometheus. It does not report the numbers of jobs in SQL:
    it keeps no database open, because its children would share the connection."""
    if not settings.metrics:
        return
    figures = Figures(WORKER)
    figures.ask("xtyl_slots_free", lambda: [((), max(0, settings.slots - relay.standing()[0]))])
    figures.ask("xtyl_jobs_held", lambda: [((), relay.standing()[1])])
    if figures.serve(settings.metrics):
        relay.listen(figures.take)


class Watch:
    """One per worker process. Raises SettingsError if a setting needs a library that is missing."""

    def __init__(self, settings: Settings, relay: Relay, slots: Slots, load: Load):
        self._settings, self._relay, self._slots = settings, relay, slots
        self._ended = threading.Event()
        executor, meter = slots.executor, slots.meter
        self._errors = watch_errors(settings)
        if self._errors is not None:
            executor.on_failure = self._errors.failed
        self._traces = watch_traces(settings, executor.type_of)
        if self._traces is not None:
            executor.trace = self._traces.attempt
            meter.committed = self._traces.committed
        if settings.metrics:
            self._count(load)

    def close(self) -> None:
        """Send the remaining spans and errors."""
        self._ended.set()
        if self._traces is not None:
            self._traces.close()
        if self._errors is not None:
            self._errors.close()

    def _count(self, load: Load) -> None:
        executor, meter = self._slots.executor, self._slots.meter
        if self._relay.is_main:
            figures = Figures(WORKER)
            figures.ask("xtyl_slots_free", lambda: [((), self._slots.free())])
            figures.ask("xtyl_jobs_held", lambda: [((), len(self._slots.held()))])
            figures.ask("xtyl_unfinished_jobs", JobCounts(executor.database, load))
            if not figures.serve(self._settings.metrics):
                return
            meter.tell = figures.take
        else:
            meter.tell = self._relay.tell
        self._waits = QueueTimes(executor.database, load)
        meter.started = self._waits.note
        executor.provider = lambda name, variables: TimedProvider(get_provider(name, variables), meter.called)
        executor.store.on_full = lambda seconds: meter.held_up("disk", seconds)
        threading.Thread(target=self._go_round, name="xtyl-meter", daemon=True).start()

    def _go_round(self) -> None:
        while not self._ended.wait(ROUND_SECONDS):
            try:
                self._report()
            except Exception as error:
                log.warning("the queue times of jobs are not reported: %s", error)

    def _report(self) -> None:
        if not self._relay.is_main:
            self._relay.tell_standing(self._slots.count - self._slots.free(), len(self._slots.held()))
        waits = self._waits.read()
        self._slots.meter.tell([("xtyl_job_queue_seconds", (type,), seconds) for type, seconds in waits])
