"""The schema in a database: made, checked and upgraded. The one home of Alembic, which is imported only when there is
something to upgrade: a fresh database gets its tables at once and is stamped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from xtyl_engine.database import Database
from xtyl_engine.errors import BackendError
from xtyl_engine.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"
MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x7874796C
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
        with database.engine.begin() as connection:
            if not database.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _bring_up(connection)
    except BackendError:
        raise
    except Exception as error:
        raise database.translated(error) from error


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
        _upgrade(connection, found)


def _check_bare(connection: Connection) -> None:
    """A table of the same name that we did not make would be taken for ours."""
    if taken := sorted(set(inspect(connection).get_table_names()) & set(metadata.tables)):
        raise SchemaError(
            f"the database has a table `{taken[0]}` that another program made",
            hint="Give xtyl a database of its own: set XTYL_DATABASE_URL to another one.",
        )


def _upgrade(connection: Connection, found: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known and not inspect(connection).has_table("workflow_executions"):
        raise SchemaError(
            f"the database is kept by another program, which also uses Alembic: its schema is {found}",
            hint="Give xtyl a database of its own: set XTYL_DATABASE_URL to another one.",
        )
    if found not in known:
        raise SchemaError(
            f"the database has schema {found}, this release knows up to {HEAD}",
            hint="A newer release has written it: upgrade this one with `pip install -U xtyl-nb`.",
        )
    command.upgrade(config, HEAD)


def alembic_config(connection: Connection) -> Config:
    """The configuration for Alembic's commands on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
