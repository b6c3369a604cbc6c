"""Stores the templates of each project: plans under a name, numbered, so that a program can run one without knowing its content.
A template never changes, and its id is the plan's digest; a new plan of the same name is its next version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.database.tables import versions
from xtyl_engine.errors import TemplateNotFound
from xtyl_engine.workflow.plan import Plan

_V = versions.c
_ADD_PLAN = text(
    "INSERT INTO workflow_templates (id, name, plan, created) VALUES (:template_id, :name, :plan, :now) "
    "ON CONFLICT (id) DO NOTHING"
)
_ADD_VERSION = text(
    "INSERT INTO template_versions (project, name, version, template_id, created) "
    "SELECT :project, :name, coalesce(max(version), 0) + 1, :template_id, :now FROM template_versions "
    "WHERE project = :project AND name = :name ON CONFLICT DO NOTHING"
)
_SHOWN = (_V.project, _V.name, _V.version, _V.template_id, _V.created)
_OF_PROJECT = _V.project == sql.B("project")
_ONE = select(*_SHOWN).where(_OF_PROJECT, _V.template_id == sql.B("template_id"))
_LATEST_OF_ALL = (
    select(*_SHOWN)
    .where(
        _OF_PROJECT,
        _V.name > sql.B("after"),
        _V.version
        == select(func.max(versions.alias("other").c.version))
        .where(text("other.project = template_versions.project AND other.name = template_versions.name"))
        .scalar_subquery(),
    )
    .order_by(_V.name)
    .limit(sql.B("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One version of a template. `id` names its content; `created` is seconds since the epoch."""

    project: str
    name: str
    version: int
    id: str
    created: float


class Catalogue:
    """The templates in one database."""

    def __init__(self, database: Database):
        self._database = database

    def add(self, project: str, plan: Plan) -> Template:
        """Store a plan; one that is stored already keeps its version."""

        def write(transaction: Transaction) -> None:
            (now,) = transaction.row(sql.CLOCK) or (0.0,)
            keep_version(transaction, plan, project, float(now))

        self._database.transact(write)
        return self.one(project, plan.digest)

    def one(self, project: str, id: str) -> Template:
        """The template with this id. Raises TemplateNotFound."""
        with self._database.read() as transaction:
            found = transaction.row(_ONE, {"project": project, "template_id": id})
        if found is None:
            raise TemplateNotFound(
                f"the project {project!r} has no template {id!r}",
                hint="List the project's templates, or add this one first.",
            )
        return read_template(found)

    def names(self, project: str, *, after: str = "", limit: int = 100) -> list[Template]:
        """The newest version of each template, by name, from the one that follows `after`."""
        with self._database.read() as transaction:
            found = transaction.rows(_LATEST_OF_ALL, {"project": project, "after": after, "limit": limit})
        return [read_template(row) for row in found]


def keep_version(transaction: Transaction, plan: Plan, project: str, now: float) -> None:
    """Write the plan, and its version in the project, unless they exist."""
    at = {"project": project, "template_id": plan.digest, "name": plan.name, "now": now}
    while transaction.row(_ONE, at) is None:
        transaction.run(_ADD_PLAN, at | {"plan": plan.to_json()})
        # Another process may take the number at the same moment: the next round then sees that, and takes the next number.
        transaction.run(_ADD_VERSION, at)


def read_template(row: tuple[Any, ...]) -> Template:
    """The Template in a row of `template_versions`."""
    project, name, version, id, created = row
    return Template(project=project, name=name, version=version, id=id, created=created)
