"""One back end from the inside: its database, its broker and its files, and what submits, controls and reads through them. The
notebook's direct back end and the HTTP service are built on it. It knows nothing of HTTP, projects or rights.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.broker.celery_app import make_app, notify_workers, queues_for
from xtyl_engine.broker.live_events import Listener, Publisher
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.embedded.attendance import Attendance
from xtyl_engine.embedded.client import Connection
from xtyl_engine.errors import WorkflowError, WorkflowException
from xtyl_engine.events import Event
from xtyl_engine.failpoints import arm
from xtyl_engine.functions.variables import PATIENCE_SECONDS, put, socket_beside, variables_of
from xtyl_engine.providers.registry import key_variables, provider_names, provider_variables
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.forecast import NodeForecast, forecast
from xtyl_engine.queries.job_detail import JobDetails
from xtyl_engine.queries.overview import Overviews
from xtyl_engine.scheduler.control import Controls
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.scheduler.rate_limits.permits import read_claim_policy
from xtyl_engine.scheduler.submit import Row, Submission, Submitted, submit
from xtyl_engine.settings import Settings, load_settings, variable
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.recent import Recent
from xtyl_engine.workflow.checks.asking import find_keyless, find_strange_models, find_unpriced
from xtyl_engine.workflow.model_defaults import ModelDefaults
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import check_models

RECHECK_SECONDS = 1.0
FIRST_PAUSES_SECONDS = (0.001, 0.002, 0.004, 0.008)
# These need no worker.
HOLDS = ("pause", "stop")
# With these a kernel takes a run over: its own variables count from then on.
TAKES_OVER = ("resume", "retry")
LENT_RUNS = 256


class Line:
    """What speaks to the broker at one place; each part connects at first use."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.publisher = Publisher(connection.redis_url)
        self.listener = Listener(connection.redis_url)
        self.app = make_app(connection.celery_url)

    def close(self) -> None:
        self.publisher.close()
        self.listener.close()


class Engine:
    """Speaks to the database and the broker that settings name. `database` holds options of `Database`: how many connections to
    keep, how long to retry. What gives work starts an embedded back end; what reads an open execution starts one that died, if
    `starts`. With `lends` the runs of an embedded back end find this process's variables. Threads may share it; every method may
    block."""

    def __init__(self, settings: Settings, *, starts: bool = True, lends: bool = False, **database: Any):
        self.settings = settings
        self._lends = lends and settings.redis_url is None
        self._lent: Recent[str, str] = Recent(LENT_RUNS)
        # First: a worker would refuse the same settings too, but only in its own log.
        self._rates = read_claim_policy(settings)
        self._starts = starts
        self._options = database
        self.open()

    def open(self) -> None:
        """Make everything that speaks to the database and the broker; each connects at first use."""
        arm(self.settings.crash, self.settings.home)
        without = provider_variables() if self._lends else ()
        self.attendance = Attendance(self.settings, starts=self._starts, on_other=self._lend_again, without=without)
        self.database = Database(self.connection.database_url, **self._options)
        self.plans = PlanCache()
        self.store = ArtifactStore(self.settings.artifacts_folder)
        self.queries = Queries(self.database, self.plans, self.attendance.look)
        silent = self.settings.silent_seconds
        sees = self.settings.redis_url is None
        self.overviews = Overviews(self.queries, self.store, self._rates, self.attendance.look, silent, sees)
        self.job_details = JobDetails(self.queries, self.store)
        self._controls = Controls(self.database, self.plans, self.store)
        self._prepared: tuple[int, int] | None = None
        self._moving = threading.Lock()
        self._line = Line(self.connection)

    @property
    def connection(self) -> Connection:
        """The addresses of the back end now."""
        return self.attendance.connection

    def prepare(self) -> None:
        """Bring the database up to this release's schema. Raises BackendError."""
        ensure_schema(self.database)
        self._prepared = self.database.file.now

    @property
    def provider(self) -> str | None:
        """The provider that this process's settings name now; None leaves the choice to the workers of a shared back end."""
        is_embedded = self.settings.redis_url is None
        return os.environ.get("XTYL_PROVIDER") or (load_settings().provider if is_embedded else None)

    def bind(self, plan: Plan, functions: Mapping[str, Mapping[str, Any]]) -> Plan:
        """The plan as it is submitted: stored functions in their nodes, and this process's provider in nodes that name none. A
        worker keeps the settings it was started with, and a run must not depend on when that was."""
        configs = {node: {**plan.nodes[node].config, "function": stored} for node, stored in functions.items()}
        return self._asking(plan.with_configs(configs))

    def _asking(self, plan: Plan) -> Plan:
        """The plan with the provider and model of each node written down. Raises WorkflowError where one cannot do its work."""
        is_embedded = self.settings.redis_url is None
        settings = load_settings() if is_embedded else None
        said = {name: os.environ.get(variable(name), "").strip() for name in ("text_model", "image_model")}
        models = ModelDefaults.of(settings) if settings else ModelDefaults(provider=self.provider or "", **said)
        asking = plan.with_configs(models.serve_all(plan))
        # The workers of a shared back end may have packages that are not here.
        check_models(asking, packages=is_embedded)
        if is_embedded and (unpriced := tuple(find_unpriced(asking, os.environ))):
            raise WorkflowError(unpriced, workflow=plan.name, document=plan.document)
        return asking

    def doubts(self, plan: Plan) -> list[str]:
        """What a plan's nodes lack in this process's environment, and may do without, and models that are probably misspelt. What
        the workers of a shared back end have is not known here."""
        asking = self._asking(plan)
        if self.settings.redis_url is not None:
            return list(find_strange_models(asking, None))
        return [*find_keyless(asking, os.environ), *find_strange_models(asking, os.environ)]

    def submit(self, submission: Submission) -> Submitted:
        """Write an execution, or find the one that the same key made before; notify workers of a new one."""
        self.attendance.ensure(to_begin=True)
        if self._prepared is not None and self.database.file.now != self._prepared:
            # The home was removed and made anew, or a backup was restored, since this process opened it.
            self.prepare()
        # Before it is written: a worker may begin at once.
        self.lend(submission.id)
        done = submit(self.database, submission)
        if done.id == submission.id:
            self._tell(done.id, done.events)
        return done

    def forecast(self, plan: Plan, rows: Sequence[Row], project: str = DEFAULT_PROJECT) -> list[NodeForecast]:
        """Per node, how many jobs it would run and how many of them are cached. Writes nothing."""
        return forecast(
            self._asking(plan),
            [row.values for row in rows],
            database=self.database,
            store=self.store,
            provider=self.provider or self.settings.provider,
            project=project,
        )

    def control(self, id: str, action: str, *place: str, **said: Any) -> None:
        """Call the method of `Controls` with this name: pause, resume, stop, retry, or a decision on the review at a node and
        item. Raises ControlRefused, DecisionRefused."""
        if action not in HOLDS:
            # A worker that is there may go on at once.
            self.offer(id, replace=action in TAKES_OVER)
        events = getattr(self._controls, action)(id, *place, **said)
        if action not in HOLDS:
            self.attendance.ensure()
            # It may have been started just now.
            self.offer(id, replace=action in TAKES_OVER)
        self._tell(id, events)

    def lend(self, id: str, *, replace: bool = True, patience: float = PATIENCE_SECONDS) -> None:
        """Let a run's functions and providers find the variables of this process; without `replace` only if it has none. Raises
        BackendError, LimitExceeded."""
        place = socket_beside(self.connection.redis_url)
        if self._lends and place is not None:
            put(place, id, variables_of(), replace=replace, patience=patience)
            self._lent.put(id, id)

    def offer(self, id: str, *, replace: bool = False) -> bool:
        """Lend as `lend` does, if the back end is there to take it. Jobs that wait for a variable go on where this process has
        it."""
        with suppress(WorkflowException):
            has_wanted = self._lends and self._has(self._controls.wanted(id))
            self.lend(id, replace=replace or has_wanted, patience=0.0)
            if has_wanted and self._controls.free(id):
                self._tell(id, ())
            return True
        return False

    @staticmethod
    def _has(wanted: str | None) -> bool:
        """Whether this process has the variable that a run waits for, or another that its provider takes for it."""
        alike = next((names for names in map(key_variables, provider_names()) if wanted in names[:1]), (wanted,))
        return any(name is not None and os.environ.get(name, "").strip() for name in alike)

    def _lend_again(self) -> None:
        """A supervisor that was killed has taken along what it was lent."""
        # One that is frozen takes nothing, and holds up a read once.
        all(self.offer(id) for id in self._lent.kept())

    def changed(self, id: str, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; returns whether there is one."""
        deadline = time.monotonic() + timeout
        # A short job ends within the 20 ms in which live events are gathered, and a broker's own pauses are no shorter.
        for pause in FIRST_PAUSES_SECONDS:
            if self.queries.sequence(id)[0] > after:
                return True
            time.sleep(min(pause, timeout))
        while True:
            listener = self._broker().listener
            place = listener.place(id)
            if self.queries.sequence(id)[0] > after:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            listener.wait(id, place, min(left, RECHECK_SECONDS))

    def close(self) -> None:
        """Close every connection; executions go on."""
        self._line.close()
        self.database.close()

    def _tell(self, id: str, events: Sequence[Event]) -> None:
        line = self._broker()
        line.publisher.publish(events)
        notify_workers(line.app, id, queues_for(self.settings.heavy_types))

    def _broker(self) -> Line:
        """What speaks to the broker, made anew once the broker is at another place."""
        with self._moving:
            if self._line.connection != self.connection:
                self._line.close()
                self._line = Line(self.connection)
            return self._line
