"""The jobs of one node in detail: config with its Jinja rendered, attempts, output and cost. Read a page at a time, for the
job panel; the numbers that a display refreshes all the time come from `overview`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import and_, case, func, or_, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import decisions, jobs
from xtyl_engine.errors import RunNotFound, WorkflowException, closest_name
from xtyl_engine.nodes.pictures import sent_as
from xtyl_engine.nodes.review import edits_of
from xtyl_engine.providers.prices import dollars
from xtyl_engine.providers.schemas.fields import fields_of
from xtyl_engine.queries.executions import ANSWERS, ATTEMPTS, JOB_COLUMNS, PRINTS, USAGES, USED, Queries, read_job
from xtyl_engine.queries.files import INNER
from xtyl_engine.queries.job_inputs import read_row, read_upstream, read_wish
from xtyl_engine.queries.overview import label_of
from xtyl_engine.queries.views import Attempt, Decision, Job, JobDetail, JobPage, shared
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import ArtifactStore, is_artifact, kind_of_file, with_references
from xtyl_engine.values.plain import unspill
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.templating.render import rendered

MAX_PAGE = 200
_J = jobs.c
_URGENT = case((sql.job_in(JobState.FAILED, JobState.QUARANTINED), 0), (sql.job_in(JobState.WAITING), 1), else_=2)
# An output names its images, or a file that may hold some: a step of fifty thousand texts need not be read to know it has none.
_MAY_HOLD_IMAGES = or_(_J.output.contains('"image/'), _J.output.contains(INNER))
_ASKED = {False: sql.OF_NODE, True: and_(sql.OF_NODE, _MAY_HOLD_IMAGES)}
_PAGE = {
    images: select(*JOB_COLUMNS).where(asked).order_by(_URGENT, _J.id).limit(sql.B("count")).offset(sql.B("start"))
    for images, asked in _ASKED.items()
}
_COUNT = {images: select(func.count()).where(asked) for images, asked in _ASKED.items()}
_JOB = select(*JOB_COLUMNS).where(sql.AT)
_D = decisions.c
_DECISION = select(_D.action, _D.by, _D.time, _D.comment, _D.after).where(_D.job_id == sql.B("job_id"))


class JobDetails:
    """Reads jobs of executions in detail."""

    def __init__(self, queries: Queries, store: ArtifactStore):
        self._queries = queries
        self._store = store

    def page(
        self, execution_id: str, node: str, start: int = 0, count: int = 50, *, with_images: bool = False
    ) -> JobPage:
        """Up to `count` jobs of a node from the `start`-th on, failed ones first, then waiting ones; on request only those whose
        outputs may hold images. Raises RunNotFound."""
        start = max(0, start)
        at = {"execution_id": execution_id, "node": node, "start": start, "count": min(count, MAX_PAGE)}
        plan = self._plan(execution_id, node)
        with self._queries.database.read(is_snapshot=True) as transaction:
            (total,) = transaction.row(_COUNT[with_images], at) or (0,)
            found = [read_job(row) for row in transaction.rows(_PAGE[with_images], at)]
            details = tuple(self._detail(transaction, execution_id, plan, job) for job in found)
        return JobPage(total=total, start=start, jobs=details)

    def job(self, execution_id: str, node: str, item: str) -> JobDetail:
        """One job with its config, attempts and decision. Raises RunNotFound."""
        plan = self._plan(execution_id, node)
        with self._queries.database.read(is_snapshot=True) as transaction:
            row = transaction.row(_JOB, {"execution_id": execution_id, "node": node, "item": item})
            if row is None:
                raise RunNotFound(f"{node} has no job {item!r} in this run", hint="List its jobs with `run.jobs()`.")
            job = read_job(row)
            asked = self._asked(transaction, execution_id, plan, job) if job.attempts else {}
            detail = self._detail(transaction, execution_id, plan, job, asked)
            decision = _decision(transaction.row(_DECISION, {"job_id": job.id}), self._store)
            at = {"job_id": job.id}
            prints = {number: rest for number, *rest in transaction.rows(PRINTS, at)}
            answers = dict(transaction.rows(ANSWERS, at))
            used = {number: rest for number, *rest in transaction.rows(USAGES, at)}
            attempts = tuple(
                replace(Attempt(*each, *prints.get(each[0], ())), answer=answers.get(each[0]), **_used(used[each[0]]))
                for each in transaction.rows(ATTEMPTS, at)
            )
        return replace(detail, attempts=attempts, decision=decision)

    def _plan(self, execution_id: str, node: str) -> Plan:
        plan = self._queries.plan(execution_id)
        if node not in plan.nodes:
            raise RunNotFound(f"there is no node {node!r} in this run", hint=closest_name(node, plan.nodes))
        return plan

    def _asked(self, transaction: Transaction, id: str, plan: Plan, job: Job) -> Mapping[str, Any]:
        """The node's config as this job got it; as the workflow wrote it where its inputs cannot be read any more."""
        node = plan.nodes[job.node]
        claim = Claim(
            job_id=job.id, execution_id=id, node=job.node, item=job.item, number=job.attempts, tries=0, epoch=0,
            template_id="", owner="",
        )  # fmt: skip
        try:
            names = read_row(transaction, claim) | read_upstream(transaction, plan, claim, self._store)
            wish = read_wish(transaction, plan, claim, self._store) if node.kind.asks_provider else None
            found = rendered(node.kind, node.config, names, wish)
            return {name: sent_as(value) if name in node.kind.pictures else value for name, value in found.items()}
        except (WorkflowException, LookupError):
            return node.config

    def _detail(
        self, transaction: Transaction, id: str, plan: Plan, job: Job, asked: Mapping[str, Any] | None = None
    ) -> JobDetail:
        text, images = self._shown(plan, job.node, job.output)
        # Of its attempts a job knows only how many there were.
        known = shared(job, JobDetail) | {"attempts": ()}
        label = label_of(transaction, id, job.item) or job.item
        return JobDetail(
            **known,
            label=label,
            attempts_made=job.attempts,
            text=text,
            images=images,
            asked=asked or {},
        )

    def _shown(self, plan: Plan, node: str, output: str | None) -> tuple[str | None, tuple[str, ...]]:
        """An output as text, and the paths of the images in it."""
        if not output:
            return None, ()
        try:
            value = unspill(output, self._store)
        except WorkflowException as error:
            return str(error), ()
        schema = plan.nodes[node].kind.schema(plan.nodes[node].config)
        main = plan.main_value(node, value) if schema is None else {name: value.get(name) for name in fields_of(schema)}
        images = tuple(self._images(value))
        if isinstance(main, str):
            return main, images
        if main is None or is_artifact(main):
            return None, images
        return json.dumps(with_references(main, kind_of_file), ensure_ascii=False, indent=1, default=str), images

    def _images(self, value: Any) -> list[str]:
        if is_artifact(value):
            return [str(self._store.path(value))] if str(value.get("media_type", "")).startswith("image/") else []
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        return [path for part in parts for path in self._images(part)]


def _used(values: Sequence[Any]) -> dict[str, Any]:
    """What an attempt used, as the fields of `Attempt` have it."""
    found = dict(zip(USED, values, strict=True))
    return found | {"notes": tuple(json.loads(found["notes"] or "[]")), "cost": dollars(found["cost"])}


def _decision(found: tuple[Any, ...] | None, store: ArtifactStore) -> Decision | None:
    if found is None:
        return None
    action, by, time, comment, text = found
    after = unspill(text, store)
    options = after["items"] if isinstance(after.get("items"), list) else [after]
    edits = tuple(edit for option in options for edit in edits_of(option))
    return Decision(
        action=action, by=by, time=time, comment=comment, choice=tuple(after.get("choice", ())), edits=edits
    )
