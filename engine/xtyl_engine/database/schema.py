"""The schema in a database: made, checked, upgraded, and taken back to an older release's. The one home of Alembic, which is
imported only when there is something to change: a fresh database gets its tables at once and is stamped.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from xtyl_engine.checks import Check, place
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Now
from xtyl_engine.database.tables import jobs, metadata
from xtyl_engine.errors import BackendError
from xtyl_engine.states import JobState

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"
MIGRATIONS = Path(__file__).parent / "migrations"
TABLE_WAIT_SECONDS = 120.0
_LOCK = 0x7874796C
# Who waits for a whole table keeps everybody else waiting behind it, so a change gives up soon and comes again. What it does
# once it has the table may take longer than the statements of a worker.
_MANNERS = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class SchemaError(BackendError):
    """The database's schema is not the one this release works with."""

    code = "backend/schema"


def ensure_schema(database: Database) -> None:
    """Make the tables of a fresh database, upgrade those of an older release. Two processes at once are safe.

    Raises SchemaError for a database that a newer release has written.
    """
    try:
        with database.engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
    except Exception as error:
        raise database.translated(error) from error
    _change(database, _bring_up)


def check_schema(database: Database, *, may_be_new: bool = False) -> None:
    """See that the schema is this release's, or not there yet where it may be new, and change nothing. Raises SchemaError, and
    BackendError where the database does not answer."""
    try:
        with database.engine.connect() as connection:
            found = _revision(connection)
            if found is None and not may_be_new:
                raise SchemaError("the database has no tables yet", hint="`xtyl migrate` makes them.")
            if found not in (None, HEAD):
                _check_known(connection, found)
                raise SchemaError(
                    f"the database has schema {found}, this release works with {HEAD}",
                    hint="The next run or `xtyl migrate` brings it up; if it was taken back for an older release, start "
                    "that one.",
                )
    except BackendError:
        raise
    except Exception as error:
        raise database.translated(error) from error


def examine_schema(url: str, *, may_be_new: bool = False) -> Check:
    """Where a database is that has this release's schema, or, if it may be new, no tables yet. Raises as `check_schema`."""
    database = Database(url, pool_size=1)
    try:
        check_schema(database, may_be_new=may_be_new)
        found = revision(database)
    finally:
        database.close()
    words = "no tables yet; the first run makes them" if found is None else f"schema {found}"
    return Check(name="database", ok=True, detail=f"{place(url)}: {words}")


def change_schema(database: Database, target: str) -> None:
    """Take the schema to another revision, also to an older one: what only the newer schema holds is then gone.

    Raises SchemaError for a revision that is not known here, and while workers are at work.
    """

    def change(connection: Connection) -> None:
        found = _revision(connection)
        if target not in (known := _known(connection)):
            raise SchemaError(f"there is no schema {target!r}", hint=f"This release knows {', '.join(sorted(known))}.")
        if found is None:
            raise SchemaError("the database has no tables yet", hint="`xtyl migrate` makes them.")
        _check_known(connection, found)
        if known.index(target) < known.index(found):
            _check_idle(connection)
        _move(connection, found, target)

    _change(database, change)


def _change(database: Database, work: Callable[[Connection], None]) -> None:
    """Do it in one transaction, one process at a time, while others work on."""
    deadline = time.monotonic() + TABLE_WAIT_SECONDS
    while True:
        try:
            with database.engine.begin() as connection:
                if not database.is_sqlite:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                    connection.execute(text(_MANNERS))
                return work(connection)
        except BackendError:
            raise
        except Exception as error:
            told = database.translated(error)
            if database.is_sqlite or not told.data.get("retryable") or time.monotonic() > deadline:
                raise told from error
        time.sleep(random.uniform(0.2, 1.0))


def revision(database: Database) -> str | None:
    """The schema's revision, None for a database without tables."""
    with database.engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def _bring_up(connection: Connection) -> None:
    found = _revision(connection)
    if found is None:
        _check_bare(connection)
        metadata.create_all(connection)
        _version.create(connection, checkfirst=True)
        connection.execute(_version.insert().values(version_num=HEAD))
    elif found != HEAD:
        _check_known(connection, found)
        _move(connection, found, HEAD)


def _check_bare(connection: Connection) -> None:
    """A table of the same name that we did not make would be taken for ours."""
    if taken := sorted(set(inspect(connection).get_table_names()) & set(metadata.tables)):
        raise SchemaError(
            f"the database has a table `{taken[0]}` that another program made",
            hint="Give xtyl a database of its own: set XTYL_DATABASE_URL to another one.",
        )


def _known(connection: Connection) -> list[str]:
    """The revisions that this release can lead to, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config(connection))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def _check_known(connection: Connection, found: str) -> None:
    if found in _known(connection):
        return
    if not inspect(connection).has_table("workflow_executions"):
        raise SchemaError(
            f"the database is kept by another program, which also uses Alembic: its schema is {found}",
            hint="Give xtyl a database of its own: set XTYL_DATABASE_URL to another one.",
        )
    raise SchemaError(
        f"the database has schema {found}, this release knows up to {HEAD}",
        hint="A newer release has written it: upgrade this one with `pip install -U xtyl-nb`, or take the database back "
        f"with the newer one: `xtyl migrate --to {HEAD}`.",
    )


def _check_idle(connection: Connection) -> None:
    """Workers of this release would find their tables changed under them."""
    held = select(jobs.c.owner).where(sql.job_in(JobState.RUNNING), jobs.c.lease > Now()).limit(1)
    if owner := connection.execute(held).scalar():
        raise SchemaError(
            f"the worker {owner} is still at work on this schema",
            hint="End every worker first (SIGTERM; they give back what they have not finished), then try again.",
        )


def _move(connection: Connection, found: str, target: str) -> None:
    from alembic import command

    known = _known(connection)
    change = command.upgrade if known.index(found) <= known.index(target) else command.downgrade
    change(alembic_config(connection), target)


def alembic_config(connection: Connection) -> Config:
    """The configuration for Alembic's commands on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
