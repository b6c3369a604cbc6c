"""What the API shows, within the project of whoever asks: `scope` is that project, None for all of them, and what is another
project's is not found. Nothing here changes anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtyl_engine import statements as sql
from xtyl_engine.artifacts import JSON, TABLE, ArtifactError, ArtifactStore
from xtyl_engine.catalogue import Catalogue, Template
from xtyl_engine.closeup import Closeup
from xtyl_engine.database import Database
from xtyl_engine.errors import RunNotFound, TemplateNotFound
from xtyl_engine.events import Event
from xtyl_engine.glance import Glance
from xtyl_engine.images import sniff_image
from xtyl_engine.kept import Kept
from xtyl_engine.listing import Listing, Page
from xtyl_engine.overview import JobDetail, JobPage, Overview, Review
from xtyl_engine.permits import read_rates
from xtyl_engine.plan import Plan
from xtyl_engine.plans import PlanCache
from xtyl_engine.query import Execution, Job, Queries
from xtyl_engine.requests import SubmissionBody
from xtyl_engine.settings import Settings
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.submit import Row

_FILE = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")
# What a browser shows as it is and runs nothing of; images are known by their first bytes.
SHOWN = {JSON: JSON, TABLE: JSON, "text/csv": "text/csv; charset=utf-8", "text/plain": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A stored file as it is sent."""

    name: str
    media_type: str
    data: bytes


class Reader:
    """Looks at what is in one database and its store. Safe to share between threads."""

    def __init__(self, settings: Settings, database: Database, plans: PlanCache):
        self._database = database
        self._plans = plans
        self.store = ArtifactStore(settings.artifacts_folder)
        self.queries = Queries(database, plans)
        self.catalogue = Catalogue(database)
        self._glance = Glance(self.queries, self.store, read_rates(settings))
        self._closeup = Closeup(self.queries, self.store)
        self._listing = Listing(database)
        self._kept = Kept(database, self.store)

    def look(self) -> None:
        """See that the database answers. Raises BackendError."""
        with self._database.read() as transaction:
            transaction.row(sql.CLOCK)

    def execution(self, scope: str | None, id: str) -> Execution:
        """Raises RunNotFound."""
        found = self.queries.execution(id)
        if scope is not None and found.project != scope:
            # In the words of one that is not there, so that nothing is told.
            raise RunNotFound.of(id)
        return found

    def executions(
        self, project: str, state: ExecutionState | None, name: str | None, after: str | None, limit: int
    ) -> Page[Execution]:
        """A project's executions, newest first."""
        return self._listing.executions(project, state=state, name=name, after=after, limit=limit)

    def overview(self, scope: str | None, id: str) -> Overview:
        """One execution at a glance."""
        self.execution(scope, id)
        return self._glance.overview(id)

    def plan(self, scope: str | None, id: str) -> Plan:
        """The plan that an execution runs by."""
        self.execution(scope, id)
        return self.queries.plan(id)

    def job_state(self, scope: str | None, id: str, node: str, item: str) -> JobState:
        """How a job stands. Raises RunNotFound."""
        self.execution(scope, id)
        with self._database.read() as transaction:
            found = transaction.row(sql.OUTPUT, {"execution_id": id, "node": node, "item": item})
        if found is None:
            raise RunNotFound(f"this run has no job {item!r} of {node!r}", hint="Its jobs are listed under `jobs`.")
        return JobState(found[0])

    def rows(self, scope: str | None, id: str, after: str | None, limit: int) -> Page[Row]:
        """The input rows of an execution."""
        self.execution(scope, id)
        return self._listing.rows(id, after=after, limit=limit)

    def jobs(
        self,
        scope: str | None,
        id: str,
        *,
        node: str | None,
        state: JobState | None,
        outputs: bool,
        after: str | None,
        limit: int,
    ) -> Page[Job]:
        """Jobs of an execution, by node and item."""
        self.execution(scope, id)
        return self._listing.jobs(id, node=node, state=state, outputs=outputs, after=after, limit=limit)

    def job(self, scope: str | None, id: str, node: str, item: str) -> JobDetail:
        """One job seen closely."""
        self.execution(scope, id)
        return self._closeup.job(id, node, item)

    def job_page(self, scope: str | None, id: str, node: str, start: int, count: int) -> JobPage:
        """Some jobs of a node seen closely, those that need somebody first."""
        self.execution(scope, id)
        return self._closeup.page(id, node, start, count)

    def reviews(self, scope: str | None, id: str, after: str | None, limit: int) -> Page[Review]:
        """The decisions that an execution waits for, in order; the cursor is node and item of the last one, `pick/3`."""
        self.execution(scope, id)
        node, _, item = (after or "").partition("/")
        found = self._glance.reviews(id, (node, item) if after else None, limit + 1)
        shown = found[:limit]
        return Page(items=shown, next=f"{shown[-1].node}/{shown[-1].item}" if len(found) > limit else None)

    def events(self, scope: str | None, id: str, after: str | None, limit: int) -> Page[Event]:
        """The events of an execution."""
        self.execution(scope, id)
        return self._listing.events(id, after=after, limit=limit)

    def file(self, scope: str | None, id: str, name: str, size: int | None) -> File:
        """A file that an execution refers to, scaled if it is an image and a size is given.

        Raises ArtifactError, ImageRefused."""
        self.execution(scope, id)
        parts = _FILE.fullmatch(name)
        if parts is None:
            raise ArtifactError("that is no name of a file", hint="A name is 64 hexadecimal digits and an ending.")
        reference = self._kept.find(id, parts[1])
        if size is not None:
            data, media_type = self.store.scaled(reference, size)
            return File(name=f"{parts[1]}-{size}.{media_type.removeprefix('image/')}", media_type=media_type, data=data)
        data = self.store.read(reference)
        shown = SHOWN.get(str(reference.get("media_type")), "application/octet-stream")
        return File(name=self.store.path(reference).name, media_type=sniff_image(data) or shown, data=data)

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

    def template_asked(self, project: str, body: SubmissionBody) -> Template:
        """The template that a submission names by its id, or by name and version. Raises TemplateNotFound."""
        if body.template is not None:
            return self.template(project, body.template.name, body.template.version)
        return self.catalogue.one(project, str(body.template_id))

    def template_plan(self, template: Template) -> Plan:
        """What a template holds."""
        with self._database.read() as transaction:
            return self._plans.load(transaction, template.id)


def with_output(job: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """A job as it travels: its output a value, not text."""
    return {**job, "output": None if text is None else json.loads(text)}
