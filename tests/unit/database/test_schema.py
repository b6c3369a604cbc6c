"""The schema in a database: created, upgraded, checked, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import HEAD, SchemaError, alembic_config, change_schema, ensure_schema, revision
from xtyl_engine.database.tables import executions, jobs, metadata, templates


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
    """A fresh database gets exactly the tables, and a second call changes nothing."""
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
    """The error names both schemas and a remedy; nothing is changed."""
    ensure_schema(bare)
    with bare.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=f"schema 9999, this release knows up to {HEAD}") as caught:
        ensure_schema(bare)
    assert "pip install -U" in (caught.value.hint or "")
    assert revision(bare) == "9999"


def test_the_schema_goes_back_to_an_older_one(bare):
    """It goes to any revision that this release knows, there and back, and then equals the tables."""
    ensure_schema(bare)
    change_schema(bare, "0001")
    assert revision(bare) == "0001"
    change_schema(bare, HEAD)
    assert differences(bare) == []


@pytest.mark.parametrize("target", ["0000", "base", "head", ""])
def test_a_revision_that_is_not_known_is_refused(bare, target):
    """No unknown word removes the tables; the error lists the revisions."""
    ensure_schema(bare)
    with pytest.raises(SchemaError, match="there is no schema") as caught:
        change_schema(bare, target)
    assert "0001, 0002" in (caught.value.hint or "")
    assert revision(bare) == HEAD


def test_no_schema_is_taken_from_under_a_worker(bare):
    """While a job is running the way back is refused, naming its worker; an expired lease does not count."""
    ensure_schema(bare)
    with bare.engine.begin() as connection:
        connection.execute(templates.insert().values(id="t", name="w", plan="{}", created=0))
        shape = {"shape": "{}", "rows": 1, "total": 1, "created": 0}
        connection.execute(executions.insert().values(id="e", template_id="t", name="w", state="running", **shape))
        job = {"execution_id": "e", "node": "a", "item": "0", "state": "running", "owner": "host:1", "lease": 4e9}
        connection.execute(jobs.insert().values(**job))
    with pytest.raises(SchemaError, match="host:1 is still at work"):
        change_schema(bare, "0001")
    with bare.engine.begin() as connection:
        connection.execute(jobs.update().values(lease=1.0))
    change_schema(bare, "0001")
    assert revision(bare) == "0001"


def test_many_at_once_make_one_schema(bare, database_url):
    """Processes that start together on a fresh database all find it created."""
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


def test_a_client_of_the_release_before_can_still_submit(bare):
    """The newest schema takes a new workflow that it numbers in its own way."""
    ensure_schema(bare)
    row = {"id": "d", "name": "n", "version": 3, "plan": "{}", "created": 1.0}
    with bare.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO workflow_templates (id, name, version, plan, created) VALUES (:id, :name, :version, :plan, :created)"
            ),
            row,
        )
        assert connection.execute(text("SELECT version FROM workflow_templates")).scalar() == 3
