"""The writes of the API in plain Python: submit, store templates, control, decide, limited to the caller's project. `scope` is
that project, None for all of them; anything of another project is not found. There is no HTTP here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from xtyl_engine import DEFAULT_PROJECT
from xtyl_engine.api.request_models import DecisionBody, SubmissionBody
from xtyl_engine.api.scoped_queries import ScopedQueries
from xtyl_engine.api.submission import Asked, check_functions, check_portable, read_submission, sign_functions
from xtyl_engine.api.uploads import Receipts, deposit
from xtyl_engine.engine import Engine
from xtyl_engine.errors import LimitExceeded, RunNotFound, TemplateNotFound
from xtyl_engine.functions.packed_function import PackedFunction, load_key
from xtyl_engine.queries.forecast import NodeForecast
from xtyl_engine.queries.views import Execution
from xtyl_engine.scheduler.budget import limit_of
from xtyl_engine.scheduler.rules import count_initial_jobs
from xtyl_engine.scheduler.submit import Submission, new_execution_id
from xtyl_engine.scheduler.templates import Template
from xtyl_engine.settings import Settings
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate

POOL_SIZE = 24
DATABASE_WAIT_SECONDS = 5.0
MAX_FORECAST_JOBS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The result of a submission: the execution, and whether it is new."""

    execution: Execution
    is_new: bool


class Service:
    """One back end, as the API offers it; one that only `computes` starts nothing and writes nothing. Safe to share between
    threads; every method may block."""

    def __init__(self, settings: Settings, *, computes: bool = False):
        self.settings = settings
        if computes:
            self.engine = Engine(settings, starts=False, pool_size=1, patience_seconds=0.0, only_reads=True)
        else:
            self.engine = Engine(settings, pool_size=POOL_SIZE, patience_seconds=DATABASE_WAIT_SECONDS)
            # To serve a back end is to have it run: the API is ready once its broker answers.
            self.engine.attendance.ensure()
        self.reader = ScopedQueries(self.engine)
        self.receipts = Receipts(lambda: load_key(settings.key_file))

    def project(self, scope: str | None, asked: str | None) -> str:
        """The project of a request. Raises RunNotFound for one outside the scope."""
        if scope is not None and asked not in (None, scope):
            raise RunNotFound(
                f"there is no project {asked!r} here", hint=f"Ask for the project {scope!r}, which this token is for."
            )
        return asked or scope or DEFAULT_PROJECT

    def submit(self, scope: str | None, body: SubmissionBody, key: str | None, digest: str, by: str) -> Accepted:
        """Write an execution and notify workers of it, or find the one that this key has made."""
        project, asked = self._read(scope, body)
        id = new_execution_id(asked.plan.name)
        signing, is_allowed = load_key(self.settings.key_file), self.settings.accept_functions
        packed = sign_functions(asked.plan, asked.functions, key=signing, execution_id=id, is_allowed=is_allowed)
        submission = Submission(
            id=id,
            plan=self._bound(asked, packed),
            rows=asked.rows,
            shape=asked.shape,
            functions=list({each.digest: each for each in packed.values()}.values()),
            max_parallel=body.config.max_parallel or self.settings.max_parallel,
            budget=limit_of(asked.plan, self.settings.budget),
            project=project,
            key=key,
            digest=digest,
            by=by,
        )
        done = self.engine.submit(submission)
        return Accepted(execution=self.reader.of(scope, done.id).execution, is_new=done.id == id)

    def forecast(self, scope: str | None, body: SubmissionBody) -> list[NodeForecast]:
        """The number of jobs that a submission would run for each node, and how many of them are cached. Writes nothing."""
        project, asked = self._read(scope, body)
        jobs = count_initial_jobs(asked.plan, len(asked.rows))
        if jobs > MAX_FORECAST_JOBS:
            raise LimitExceeded(f"{jobs:,} jobs; a forecast looks at {MAX_FORECAST_JOBS:,}", hint="Send fewer rows.")
        return self.engine.forecast(self._bound(asked, {}), asked.rows, project)

    def keep_template(self, scope: str | None, asked: str | None, document: Mapping[str, Any]) -> tuple[Template, bool]:
        """Store a workflow under its name; its version, and whether that is new."""
        project = self.project(scope, asked)
        plan = validate(parse_document(self._own(project, dict(document))))
        check_portable(plan)
        check_functions(plan, self.settings.opened_functions)
        try:
            return self.reader.catalogue.one(project, plan.digest), False
        except TemplateNotFound:
            return self.reader.catalogue.add(project, plan), True

    def deposit(self, scope: str | None, asked: str | None, data: bytes, media_type: str) -> dict[str, Any]:
        """Store a file for a project; its reference with a receipt."""
        return deposit(self.engine.store, self.receipts, self.project(scope, asked), data, media_type)

    def control(self, scope: str | None, id: str, action: str, by: str, **said: Any) -> Execution:
        """`pause`, `resume`, `stop` or `retry`. Raises ControlRefused."""
        self.reader.of(scope, id)
        self.engine.control(id, action, by=by, **said)
        return self.reader.of(scope, id).execution

    def decide(self, scope: str | None, id: str, node: str, item: str, body: DecisionBody, by: str) -> Execution:
        """Approve or reject the options of a review, or request another one. Raises DecisionRefused."""
        # Check only that the job exists; `control` checks the decision.
        self.reader.of(scope, id).job_state(node, item)
        self.engine.control(id, body.verb, node, item, **body.said(), by=by)
        return self.reader.of(scope, id).execution

    def _read(self, scope: str | None, body: SubmissionBody) -> tuple[str, Asked]:
        project = self.project(scope, body.project_id)
        asked = read_submission(body, own=partial(self._own, project), kept=partial(self.reader.plan_asked, project))
        check_functions(asked.plan, self.settings.opened_functions)
        return project, asked

    def _bound(self, asked: Asked, functions: Mapping[str, PackedFunction]) -> Plan:
        stored = {name: each.stored() for name, each in functions.items()}
        return asked.plan if asked.is_kept else self.engine.bind(asked.plan, stored)

    def _own(self, project: str, value: Any) -> Any:
        return self.receipts.take(project, value, self.engine.store.keep)
