"""Makes, checks, upgrades and downgrades the schema of a database. The home of Alembic, which is imported only to change an
existing schema: a fresh database gets its tables at once and is stamped. The tables themselves are in `tables`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, text

from xtyl_engine.checks import Check, place
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Now
from xtyl_engine.database.head import HEAD as HEAD
from xtyl_engine.database.tables import jobs, metadata
from xtyl_engine.errors import BackendError
from xtyl_engine.states import JobState

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
TABLE_WAIT_SECONDS = 120.0
_LOCK = 0x7874796C
# A change that waits for a whole table makes every other statement wait behind it, so it gives up soon and tries again. Once
# it has the table, it may take longer than the statements of a worker.
_MANNERS = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_LONG = {
    "jobs_waiting": "CREATE INDEX CONCURRENTLY jobs_waiting ON agent_jobs (execution_id, id) WHERE state = 'waiting'",
}
_VALIDITY = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class SchemaError(BackendError):
    """The database's schema is not the one this release works with."""

    code = "backend/schema"


def unknown(owner: str) -> None:
    """Know nothing of any worker process."""


def ensure_schema(database: Database) -> None:
    """Make the tables of a fresh database, or upgrade those of an older release. Safe in two processes at once.

    Raises SchemaError for a database that a newer release has written.
    """
    database.follow_file()
    try:
        with database.engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
    except Exception as error:
        raise database.translated(error) from error
    _build_indexes(database)
    _change(database, _bring_up)


def check_schema(database: Database, *, may_be_new: bool = False) -> None:
    """Raise SchemaError unless the database has this release's schema, or, if it may be new, no tables yet. Raises
    BackendError if the database does not answer. Changes nothing."""
    try:
        with database.engine.connect() as connection:
            found = _revision(connection)
            if found is None and not may_be_new:
                raise SchemaError("the database has no tables yet", hint="Run `xtyl migrate`, which makes them.")
            if found not in (None, HEAD):
                _check_known(connection, found)
                raise SchemaError(
                    f"the database has schema {found}, this release works with {HEAD}",
                    hint="Start a run or `xtyl migrate` to upgrade it; if it was taken back for an older release, start that "
                    "release.",
                )
    except BackendError:
        raise
    except Exception as error:
        raise database.translated(error) from error


def examine_schema(url: str, *, may_be_new: bool = False) -> Check:
    """The check of a database's schema, with its place and revision. Raises as `check_schema`."""
    with closing(Database(url, pool_size=1)) as database:
        check_schema(database, may_be_new=may_be_new)
        found = revision(database)
    words = "no tables yet; the first run makes them" if found is None else f"schema {found}"
    return Check(name="database", ok=True, detail=f"{place(url)}: {words}")


def change_schema(database: Database, target: str, lives: Callable[[str], bool | None] = unknown) -> None:
    """Take the schema to another revision. Going to an older one deletes what only the newer schema holds. `lives` says whether
    the worker process lives that owns running jobs; where it does not know, their leases count.

    Raises SchemaError for a revision that this release does not know, and while workers run jobs.
    """

    def change(connection: Connection) -> None:
        found = _revision(connection)
        if target not in (known := _known(connection)):
            raise SchemaError(
                f"there is no schema {target!r}",
                hint=f"Use one of {', '.join(sorted(known))}, which this release knows.",
            )
        if found is None:
            raise SchemaError("the database has no tables yet", hint="Run `xtyl migrate`, which makes them.")
        _check_known(connection, found)
        if known.index(target) < known.index(found):
            _check_idle(connection, lives)
        _move(connection, found, target)

    _build_indexes(database)
    _change(database, change)


def _build_indexes(database: Database) -> None:
    """On PostgreSQL, build the indexes that take long outside of the transaction that changes the schema, while workers go on."""
    if database.is_sqlite:
        return
    try:
        with database.engine.connect() as opened:
            connection = opened.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("SET statement_timeout = 0"))
            # Ask again and again: a statement that waits would hold a snapshot, for whose end the building process waits.
            while not connection.execute(text(f"SELECT pg_try_advisory_lock({_LOCK + 1})")).scalar():
                time.sleep(random.uniform(0.1, 0.3))
            for name, statement in _LONG.items():
                found = connection.execute(_VALIDITY, {"name": name}).scalar()
                if found is False:
                    # Left by a process that died over it.
                    connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
                if not found and inspect(connection).has_table(jobs.name):
                    connection.execute(text(statement))
            opened.invalidate()
    except Exception as error:
        raise database.translated(error) from error


def _change(database: Database, work: Callable[[Connection], None]) -> None:
    """Change the schema in one transaction, one process at a time, while workers go on."""
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
    """Refuse a database where another program has a table with the name of one of ours."""
    if taken := sorted(set(inspect(connection).get_table_names()) & set(metadata.tables)):
        raise SchemaError(
            f"the database has a table `{taken[0]}` that another program made",
            hint="Give xtyl a database of its own: set XTYL_DATABASE_URL to another one.",
        )


def _known(connection: Connection) -> list[str]:
    """The revisions that this release knows, oldest first."""
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
        hint="Upgrade this release with `pip install -U xtyl-nb`: a newer one has written the database. Or take the database "
        f"back with the newer one: `xtyl migrate --to {HEAD}`.",
    )


def _check_idle(connection: Connection, lives: Callable[[str], bool | None]) -> None:
    """Refuse while workers run jobs: their tables would change under them."""
    at_work = (
        select(jobs.c.owner, func.max(jobs.c.lease) > Now()).where(sql.job_in(JobState.RUNNING)).group_by(jobs.c.owner)
    )
    for owner, has_lease in connection.execute(at_work).all():
        known = lives(owner)
        if has_lease if known is None else known:
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
