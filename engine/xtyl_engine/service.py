"""What the API does, in plain Python: submit, keep templates, control, decide, within the project of whoever asks. `scope` is
that project, None for all of them; what is another project's is not found. There is no HTTP here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtyl_engine import intake
from xtyl_engine.broker import make_app, queues_for, send_hint
from xtyl_engine.catalogue import DEFAULT_PROJECT, Template
from xtyl_engine.control import Controls
from xtyl_engine.database import Database
from xtyl_engine.deposits import Parse, deposit
from xtyl_engine.errors import LimitExceeded, RunNotFound, TemplateNotFound
from xtyl_engine.events import Event
from xtyl_engine.forecast import NodeForecast, forecast
from xtyl_engine.functions import load_key
from xtyl_engine.local import ensure
from xtyl_engine.plan import Plan
from xtyl_engine.plans import PlanCache
from xtyl_engine.providers.named import name_provider
from xtyl_engine.query import Execution
from xtyl_engine.reader import Reader
from xtyl_engine.receipts import Receipts
from xtyl_engine.requests import AnotherBody, ApprovalBody, RejectionBody, SubmissionBody
from xtyl_engine.schedule import count_initial_jobs
from xtyl_engine.schema import ensure_schema
from xtyl_engine.settings import Settings
from xtyl_engine.stream import Publisher
from xtyl_engine.submit import Row, Submission, new_execution_id, submit
from xtyl_engine.validate import validate
from xtyl_engine.values import mend
from xtyl_engine.workflow import parse_document

POOL_SIZE = 24
DATABASE_WAIT_SECONDS = 5.0
MAX_FORECAST_JOBS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a submission: the execution, and whether it is a new one."""

    execution: Execution
    is_new: bool


class Service:
    """One back end, as its API offers it. Safe to share between threads; every method may block."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.connection = ensure(settings)
        self.database = Database(
            self.connection.database_url, pool_size=POOL_SIZE, patience_seconds=DATABASE_WAIT_SECONDS
        )
        plans = PlanCache()
        self.reader = Reader(settings, self.database, plans)
        self.receipts = Receipts(lambda: load_key(settings.key_file))
        self._controls = Controls(self.database, plans, self.reader.store)
        self._publisher = Publisher(self.connection.redis_url)
        self._app = make_app(self.connection.celery_url)

    def prepare(self) -> None:
        """Bring the database up to this release's schema. Raises BackendError."""
        ensure_schema(self.database)

    def close(self) -> None:
        """Let go of every connection; executions go on."""
        self._publisher.close()
        self.database.close()

    @property
    def provider(self) -> str | None:
        """The provider of nodes that name none; None leaves it to the workers of a shared back end."""
        is_embedded = self.settings.redis_url is None
        return os.environ.get("XTYL_PROVIDER") or (self.settings.provider if is_embedded else None)

    def project(self, scope: str | None, asked: str | None) -> str:
        """The project that is meant. Raises RunNotFound for one that is out of scope."""
        if scope is not None and asked not in (None, scope):
            raise RunNotFound(f"there is no project {asked!r} here", hint=f"This token is for the project {scope!r}.")
        return asked or scope or DEFAULT_PROJECT

    def submit(self, scope: str | None, body: SubmissionBody, key: str | None, digest: str, by: str) -> Accepted:
        """Write an execution and hint at it, or find the one that this key has made."""
        project = self.project(scope, body.project_id)
        rows, plan = self._asked(project, body)
        id = new_execution_id(plan.name)
        packed = intake.sign_functions(
            plan,
            body.functions,
            key=load_key(self.settings.key_file),
            execution_id=id,
            is_allowed=self.settings.accept_functions,
        )
        ensure(self.settings)
        submission = Submission(
            id=id,
            plan=plan.with_configs(self._configs(body, plan, {name: each.stored() for name, each in packed.items()})),
            rows=rows,
            shape=intake.read_shape(body, rows),
            functions=list({each.digest: each for each in packed.values()}.values()),
            max_parallel=body.config.max_parallel or self.settings.max_parallel,
            project=project,
            key=key,
            digest=digest,
            by=by,
        )
        done = submit(self.database, submission)
        if done.id == id:
            self._tell(id, list(done.events))
        return Accepted(execution=self.reader.execution(scope, done.id), is_new=done.id == id)

    def forecast(self, scope: str | None, body: SubmissionBody) -> list[NodeForecast]:
        """Per node, how many jobs a submission would run and how many of them are cached. Writes nothing."""
        project = self.project(scope, body.project_id)
        rows, plan = self._asked(project, body)
        jobs = count_initial_jobs(plan, len(rows))
        if jobs > MAX_FORECAST_JOBS:
            raise LimitExceeded(f"{jobs:,} jobs; a forecast looks at {MAX_FORECAST_JOBS:,}", hint="Ask for fewer rows.")
        plan = plan.with_configs(self._configs(body, plan, {}))
        values = [row.values for row in rows]
        return forecast(
            plan,
            values,
            database=self.database,
            store=self.reader.store,
            provider=self.provider or self.settings.provider,
            project=project,
        )

    def keep_template(self, scope: str | None, asked: str | None, document: Mapping[str, Any]) -> tuple[Template, bool]:
        """Keep a workflow under its name; whether that version is new."""
        project = self.project(scope, asked)
        plan = validate(parse_document(self._own(project, dict(document))))
        intake.check_portable(plan)
        try:
            return self.reader.catalogue.one(project, plan.digest), False
        except TemplateNotFound:
            return self.reader.catalogue.add(project, plan), True

    def deposit(
        self, scope: str | None, asked: str | None, data: bytes, media_type: str, parse: Parse
    ) -> dict[str, Any]:
        """Store a file for a project; its reference with a receipt."""
        return deposit(self.reader.store, self.receipts, self.project(scope, asked), data, media_type, parse)

    def control(self, scope: str | None, id: str, action: str, by: str) -> Execution:
        """`pause`, `resume`, `stop` or `retry`. Raises ControlRefused."""
        self.reader.execution(scope, id)
        self._tell(id, getattr(self._controls, action)(id, by=by))
        return self.reader.execution(scope, id)

    def approve(self, scope: str | None, id: str, node: str, item: str, body: ApprovalBody, by: str) -> Execution:
        """Decide a review. Raises DecisionRefused."""
        self._reviewed(scope, id, node, item)
        edits = None if body.edits is None else {int(place): edit for place, edit in body.edits.items()}
        comment = body.comment and mend(body.comment)
        events = self._controls.approve(id, node, item, choose=body.choose, edits=edits, by=by, comment=comment)
        self._tell(id, events)
        return self.reader.execution(scope, id)

    def reject(self, scope: str | None, id: str, node: str, item: str, body: RejectionBody, by: str) -> Execution:
        """Decide a review: nothing here will do. Raises DecisionRefused."""
        self._reviewed(scope, id, node, item)
        self._tell(id, self._controls.reject(id, node, item, reason=mend(body.reason), by=by))
        return self.reader.execution(scope, id)

    def another(self, scope: str | None, id: str, node: str, item: str, body: AnotherBody, by: str) -> Execution:
        """Ask for one more option. Raises DecisionRefused."""
        self._reviewed(scope, id, node, item)
        comment = body.comment and mend(body.comment)
        self._tell(id, self._controls.another(id, node, item, by=by, comment=comment))
        return self.reader.execution(scope, id)

    def _asked(self, project: str, body: SubmissionBody) -> tuple[list[Row], Plan]:
        rows = [Row(label=row.label, values=self._own(project, dict(row.values))) for row in intake.read_rows(body)]
        columns = intake.shared_columns(rows)
        if body.workflow is not None:
            return rows, validate(parse_document(self._own(project, body.workflow)), columns=columns)
        found = self.reader.template_asked(project, body)
        plan = self.reader.template_plan(found)
        intake.check_columns(plan, columns)
        return rows, plan

    def _configs(
        self, body: SubmissionBody, plan: Plan, functions: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """What is written into a plan's nodes. A kept template runs as it was kept."""
        packed = {name: {**plan.nodes[name].config, "function": stored} for name, stored in functions.items()}
        return packed if body.workflow is None else packed | name_provider(plan, self.provider)

    def _own(self, project: str, value: Any) -> Any:
        return self.receipts.take(project, value, self.reader.store.keep)

    def _reviewed(self, scope: str | None, id: str, node: str, item: str) -> None:
        """See that there is such a job: what it may be asked, `control` says. Raises RunNotFound."""
        self.reader.job_state(scope, id, node, item)

    def _tell(self, id: str, events: list[Event]) -> None:
        ensure(self.settings)
        self._publisher.publish(events)
        send_hint(self._app, id, queues_for(self.settings.heavy_types))
