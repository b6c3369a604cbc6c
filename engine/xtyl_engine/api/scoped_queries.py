"""What the API shows, within the project of whoever asks: `scope` is that project, None for all of them, and what is another
project's is not found. Nothing here changes anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from xtyl_engine.api.request_models import SubmissionBody
from xtyl_engine.database import statements as sql
from xtyl_engine.engine import Engine
from xtyl_engine.errors import RunNotFound, TemplateNotFound
from xtyl_engine.queries.files import Kept
from xtyl_engine.queries.pages import Listing, Page
from xtyl_engine.queries.views import Execution, Review
from xtyl_engine.scheduler.templates import Catalogue, Template
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.values.artifacts import JSON, TABLE, ArtifactError
from xtyl_engine.values.images import sniff_image
from xtyl_engine.workflow.plan import Plan

_FILE = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")
# What a browser shows as it is and runs nothing of; images are known by their first bytes.
SHOWN = {JSON: JSON, TABLE: JSON, "text/csv": "text/csv; charset=utf-8", "text/plain": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A stored file as it is sent."""

    name: str
    media_type: str
    data: bytes


class ScopedExecution:
    """One execution, and what may be asked of it, for a caller who may see it: `Reader.of` has made sure."""

    def __init__(self, execution: Execution, engine: Engine, listing: Listing, kept: Kept):
        self.execution = execution
        self._engine = engine
        self._kept = kept
        id = execution.id
        self.overview = partial(engine.glance.overview, id)
        self.plan = partial(engine.queries.plan, id)
        self.job = partial(engine.closeup.job, id)
        self.job_page = partial(engine.closeup.page, id)
        self.states = partial(engine.queries.job_groups, id)
        self.rows = partial(listing.rows, id)
        self.jobs = partial(listing.jobs, id)
        self.events = partial(listing.events, id)

    def job_state(self, node: str, item: str) -> JobState:
        """How a job stands. Raises RunNotFound."""
        with self._engine.database.read() as transaction:
            found = transaction.row(sql.OUTPUT, {"execution_id": self.execution.id, "node": node, "item": item})
        if found is None:
            raise RunNotFound(f"this run has no job {item!r} of {node!r}", hint="Its jobs are listed under `jobs`.")
        return JobState(found[0])

    def reviews(self, after: str | None, limit: int) -> Page[Review]:
        """The decisions that it waits for, in order; the cursor is node and item of the last one, `pick/3`."""
        node, _, item = (after or "").partition("/")
        found = self._engine.glance.reviews(self.execution.id, (node, item) if after else None, limit + 1)
        shown = found[:limit]
        return Page(items=shown, next=f"{shown[-1].node}/{shown[-1].item}" if len(found) > limit else None)

    def file(self, name: str, size: int | None) -> File:
        """A file that it refers to, scaled if it is an image and a size is given. Raises ArtifactError, ImageRefused."""
        parts = _FILE.fullmatch(name)
        if parts is None:
            raise ArtifactError("that is no name of a file", hint="A name is 64 hexadecimal digits and an ending.")
        reference = self._kept.find(self.execution.id, parts[1])
        if size is not None:
            data, media_type = self._engine.store.scaled(reference, size)
            return File(name=f"{parts[1]}-{size}.{media_type.removeprefix('image/')}", media_type=media_type, data=data)
        data = self._engine.store.read(reference)
        shown = SHOWN.get(str(reference.get("media_type")), "application/octet-stream")
        return File(name=self._engine.store.path(reference).name, media_type=sniff_image(data) or shown, data=data)


class Reader:
    """Looks at what is in one database and its store. Safe to share between threads."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.catalogue = Catalogue(engine.database)
        self._listing = Listing(engine.database)
        self._kept = Kept(engine.database, engine.store)

    def look(self) -> None:
        """See that the database answers. Raises BackendError."""
        with self._engine.database.read() as transaction:
            transaction.row(sql.CLOCK)

    def of(self, scope: str | None, id: str) -> ScopedExecution:
        """The execution with this id. Raises RunNotFound, also for one that is out of scope."""
        found = self._engine.queries.execution(id)
        if scope is not None and found.project != scope:
            # In the words of one that is not there, so that nothing is told.
            raise RunNotFound.of(id)
        return ScopedExecution(found, self._engine, self._listing, self._kept)

    def executions(
        self, project: str, state: ExecutionState | None, name: str | None, after: str | None, limit: int
    ) -> Page[Execution]:
        """A project's executions, newest first."""
        return self._listing.executions(project, state=state, name=name, after=after, limit=limit)

    def templates(self, project: str, after: str | None, limit: int) -> Page[Template]:
        """The newest version of each template, by name."""
        found = self.catalogue.names(project, after=after or "", limit=limit + 1)
        return Page(items=tuple(found[:limit]), next=found[limit - 1].name if len(found) > limit else None)

    def template_versions(self, project: str, name: str, after: str | None, limit: int) -> Page[Template]:
        """The versions of a template, newest first. Raises TemplateNotFound if there is none at all."""
        self.template(project, name, None)
        return self._listing.versions(project, name, after=after, limit=limit)

    def template(self, project: str, name: str, version: int | None) -> Template:
        """One version of a template, the newest if none is named. Raises TemplateNotFound."""
        found = self._listing.version(project, name, version)
        if found is None:
            which = f"version {version} of the template" if version is not None else "template"
            raise TemplateNotFound(f"there is no {which} {name!r}", hint="List the templates of this project.")
        return found

    def plan_asked(self, project: str, body: SubmissionBody) -> Plan:
        """The plan of the template that a submission names by its id, or by name and version. Raises TemplateNotFound."""
        if body.template is not None:
            return self.template_plan(self.template(project, body.template.name, body.template.version))
        return self.template_plan(self.catalogue.one(project, str(body.template_id)))

    def template_plan(self, template: Template) -> Plan:
        """What a template holds."""
        with self._engine.database.read() as transaction:
            return self._engine.plans.load(transaction, template.id)


def with_output(job: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """A job as it travels: its output a value, not text."""
    return {**job, "output": None if text is None else json.loads(text)}
