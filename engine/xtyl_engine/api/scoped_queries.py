"""The reads of the API, limited to the caller's project: `scope` is that project, None for all of them. Anything of another
project is not found. This module only reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, BytesIO
from typing import BinaryIO

from xtyl_engine.api.request_models import SubmissionBody
from xtyl_engine.database import statements as sql
from xtyl_engine.engine import Engine
from xtyl_engine.errors import RunNotFound, TemplateNotFound
from xtyl_engine.queries.files import ExecutionFiles
from xtyl_engine.queries.pages import Listing, Page
from xtyl_engine.queries.views import Execution, Review
from xtyl_engine.scheduler.templates import Catalogue, Template
from xtyl_engine.states import JobState
from xtyl_engine.values.artifacts import JSON, TABLE, ArtifactError
from xtyl_engine.values.images import sniff_image
from xtyl_engine.workflow.plan import Plan

# Enough to tell an image by.
FIRST_BYTES = 16
_FILE = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")
# Types that a browser shows without running anything; images are recognised by their first bytes.
SHOWN = {JSON: JSON, TABLE: JSON, "text/csv": "text/csv; charset=utf-8", "text/plain": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A stored file, ready to send; its receiver closes it."""

    name: str
    media_type: str
    size: int
    content: BinaryIO


class ScopedExecution:
    """The reads of one execution, for a caller that may see it: `Reader.of` has checked."""

    def __init__(self, execution: Execution, engine: Engine, listing: Listing, kept: ExecutionFiles):
        self.execution = execution
        self._engine = engine
        self._kept = kept
        id = execution.id
        self.overview = partial(engine.overviews.overview, id)
        self.plan = partial(engine.queries.plan, id)
        self.job = partial(engine.job_details.job, id)
        self.job_page = partial(engine.job_details.page, id)
        self.costs = partial(engine.queries.costs, id)
        self.states = partial(engine.queries.job_groups, id)
        self.rows = partial(listing.rows, id)
        self.longest_row = partial(listing.longest_row, id)
        self.logs = partial(listing.logs, id)
        self.jobs = partial(listing.jobs, id)
        self.events = partial(listing.events, id)

    def job_state(self, node: str, item: str) -> JobState:
        """The state of one job. Raises RunNotFound."""
        with self._engine.database.read() as transaction:
            found = transaction.row(sql.OUTPUT, {"execution_id": self.execution.id, "node": node, "item": item})
        if found is None:
            raise RunNotFound(f"this run has no job {item!r} of {node!r}", hint="List its jobs under `jobs`.")
        return JobState(found[0])

    def reviews(self, after: str | None, limit: int) -> Page[Review]:
        """The open reviews in order; the cursor is node and item of the last one, `pick/3`."""
        node, _, item = (after or "").partition("/")
        found = self._engine.overviews.reviews(self.execution.id, (node, item) if after else None, limit + 1)
        shown = found[:limit]
        return Page(items=shown, next=f"{shown[-1].node}/{shown[-1].item}" if len(found) > limit else None)

    def file(self, name: str, size: int | None) -> File:
        """A file that the execution refers to, scaled if it is an image and a size is given.

        Raises ArtifactError and ImageRefused.
        """
        parts = _FILE.fullmatch(name)
        if parts is None:
            raise ArtifactError("this is not the name of a file", hint="Send 64 hexadecimal digits and an ending.")
        reference = self._kept.find(self.execution.id, parts[1])
        if size is not None:
            data, media_type = self._engine.store.scaled(reference, size)
            ending = media_type.removeprefix("image/")
            return File(
                name=f"{parts[1]}-{size}.{ending}", media_type=media_type, size=len(data), content=BytesIO(data)
            )
        content = self._engine.store.open(reference)
        media_type = sniff_image(content.read(FIRST_BYTES)) or SHOWN.get(
            str(reference["media_type"]), "application/octet-stream"
        )
        length = content.seek(0, SEEK_END)
        content.seek(0)
        return File(name=self._engine.store.path(reference).name, media_type=media_type, size=length, content=content)


class ScopedQueries:
    """Reads one database and its artifact store. Safe to share between threads."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.catalogue = Catalogue(engine.database)
        self._listing = Listing(engine.database)
        self.executions = self._listing.executions
        self._kept = ExecutionFiles(engine.database, engine.store)

    def look(self) -> None:
        """Check that the database answers. Raises BackendError."""
        with self._engine.database.read() as transaction:
            transaction.row(sql.CLOCK)

    def of(self, scope: str | None, id: str) -> ScopedExecution:
        """The execution with this id. Raises RunNotFound, also for one outside the scope."""
        found = self._engine.queries.execution(id)
        if scope is not None and found.project != scope:
            # The words are those for an unknown id, so that they reveal nothing.
            raise RunNotFound.of(id)
        return ScopedExecution(found, self._engine, self._listing, self._kept)

    def templates(self, project: str, after: str | None, limit: int) -> Page[Template]:
        """The newest version of each template, by name."""
        found = self.catalogue.names(project, after=after or "", limit=limit + 1)
        return Page(items=tuple(found[:limit]), next=found[limit - 1].name if len(found) > limit else None)

    def template_versions(self, project: str, name: str, after: str | None, limit: int) -> Page[Template]:
        """The versions of a template, newest first. Raises TemplateNotFound if there is none at all."""
        self.template(project, name, None)
        return self._listing.versions(project, name, after=after, limit=limit)

    def template(self, project: str, name: str, version: int | None) -> Template:
        """One version of a template, by default the newest. Raises TemplateNotFound."""
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
        """The plan of a template."""
        with self._engine.database.read() as transaction:
            return self._engine.plans.load(transaction, template.id)
