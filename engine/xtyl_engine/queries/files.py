"""Looks up the stored files that an execution refers to: in its rows, results, decisions and plan, and in the tables and large
results among those. The right to see an execution is the right to see these files, and no others.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

from sqlalchemy import Text, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import decisions, executions, jobs, rows, templates
from xtyl_engine.values.artifacts import JSON, KEY, SUFFIXES, TABLE, ArtifactError, ArtifactStore, references
from xtyl_engine.values.recent import Recent

REMEMBERED = 10_000
Reference = Mapping[str, Any]
_OF = {
    rows.c["values"]: select(rows.c["values"]).where(rows.c.execution_id == sql.B("execution_id")),
    jobs.c.output: select(jobs.c.output).where(sql.OF_EXECUTION),
    templates.c.plan: select(templates.c.plan)
    .join(executions, executions.c.template_id == templates.c.id)
    .where(executions.c.id == sql.B("execution_id")),
    **{
        column: select(column).join(jobs, jobs.c.id == decisions.c.job_id).where(sql.OF_EXECUTION)
        for column in (decisions.c.before, decisions.c.after)
    },
}
_HOLDING = [found.where(column.contains(sql.B("words", type_=Text()))) for column, found in _OF.items()]
# In JSON, the end of the media types of files that may refer to other files.
INNER = 'json"'


class ExecutionFiles:
    """Looks up files of executions, and remembers what it found, some 10 MB at most: an execution refers to its files as long as
    it exists."""

    def __init__(self, database: Database, store: ArtifactStore):
        self._database = database
        self._store = store
        self._found: Recent[tuple[str, str], Reference] = Recent(REMEMBERED)
        self._turn = threading.Lock()
        self._inside: Recent[str, Mapping[str, Reference]] = Recent(REMEMBERED)

    def find(self, execution_id: str, digest: str) -> Reference:
        """The reference by which the execution knows this file. Raises ArtifactError if it does not."""
        key = (execution_id, digest)
        if (known := self._found.get(key)) is not None:
            return known
        named = (each for each in self._references(execution_id, digest) if each[KEY] == digest)
        inner = (self._within(each).get(digest) for each in self._references(execution_id, INNER))
        # One at a time: what a run refers to may be large.
        with self._turn:
            found = next(filter(None, chain(named, inner)), None)
        if found is None:
            raise ArtifactError(
                f"this run does not refer to a file {digest[:12]}…", hint="Take a file's name from the run's results."
            )
        self._found.put(key, short := _short(found))
        return short

    def _within(self, reference: Reference) -> Mapping[str, Reference]:
        """Every reference in the file of this one, at any depth."""
        if reference.get("media_type") not in (JSON, TABLE):
            return {}
        digest = str(reference[KEY])
        if (known := self._inside.get(digest)) is not None:
            return known
        found: dict[str, Reference] = {}
        # A missing or damaged file refers to nothing here; an attempt to read it says what is wrong.
        with suppress(ArtifactError, ValueError, RecursionError):
            for inner in references(json.loads(self._store.read(reference))):
                found[str(inner[KEY])] = _short(inner)
                found |= self._within(inner)
        if len(found) < REMEMBERED // 4:
            self._inside.put(digest, found, len(found) + 1)
        return found

    def _references(self, execution_id: str, words: str) -> Iterator[Reference]:
        at = {"execution_id": execution_id, "words": words}
        for statement in _HOLDING:
            with self._database.read() as transaction:
                found = transaction.rows(statement, at)
            yield from (each for (text,) in found for each in references(json.loads(text)))


def _short(reference: Reference) -> Reference:
    """What of a reference finds its file: a table's names all its columns, and a word of outside may be of any length."""
    media_type = reference.get("media_type")
    return {KEY: reference[KEY], "media_type": media_type if media_type in SUFFIXES else None}
