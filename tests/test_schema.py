"""The schema in a database: made, upgraded, checked, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from xtyl_engine.database import Database
from xtyl_engine.schema import HEAD, SchemaError, alembic_config, ensure_schema, revision
from xtyl_engine.tables import metadata


@pytest.fixture
def bare(database_url):
    """A database without tables."""
    database = Database(database_url)
    yield database
    database.close()


def differences(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)


def test_the_created_schema_is_the_tables(bare):
    """What is created for a fresh database is what the tables say, and a second look changes nothing."""
    assert revision(bare) is None
    ensure_schema(bare)
    assert differences(bare) == []
    assert revision(bare) == HEAD
    ensure_schema(bare)
    assert revision(bare) == HEAD


def test_the_migrated_schema_is_the_tables_too(bare):
    """Going through every migration ends at the same schema, and the way back leaves nothing, from where it is made anew."""
    with bare.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    assert differences(bare) == []
    assert revision(bare) == HEAD
    ensure_schema(bare)
    with bare.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert {kind for kind, *_ in differences(bare)} == {"add_table", "add_index"}
    ensure_schema(bare)
    assert differences(bare) == []


def test_a_database_of_a_newer_release_is_refused_by_name(bare):
    """The error names both schemas and says what to do; nothing is changed."""
    ensure_schema(bare)
    with bare.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=f"schema 9999, this release knows up to {HEAD}") as caught:
        ensure_schema(bare)
    assert "pip install -U" in caught.value.hint
    assert revision(bare) == "9999"


def test_many_at_once_make_one_schema(bare, database_url):
    """Processes that start together on a fresh database all find it made."""
    found: list[object] = []
    barrier = threading.Barrier(6)

    def make():
        database = Database(database_url)
        try:
            barrier.wait(20)
            ensure_schema(database)
            found.append(revision(database))
        except Exception as error:
            found.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [HEAD] * 6
    assert differences(bare) == []
