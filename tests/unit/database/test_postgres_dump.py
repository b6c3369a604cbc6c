"""The programs that copy PostgreSQL: what is said when they are missing or fail, and what a failure leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from servers import empty_database, postgres_program
from xtyl_engine.database.connection import Database
from xtyl_engine.database.postgres_dump import dump, load
from xtyl_engine.database.schema import ensure_schema, revision
from xtyl_engine.errors import BackendError

MISMATCH = """#!/bin/sh
echo 'pg_dump: error: aborting because of server version mismatch' >&2
echo 'pg_dump: detail: server version: 18.0; pg_dump version: 15.14' >&2
exit 1
"""


@pytest.fixture
def url(postgres_url: str) -> str:
    """An empty database, which asks for no password and gets one."""
    return empty_database(postgres_url).replace("postgres:@", "postgres:hidden-word@")


def test_a_program_that_is_missing_is_named(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"pg_dump is not installed here(.|\n)*postgresql-client"):
        dump(url, tmp_path / "dump")


def test_an_older_program_is_named(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions are quoted, with what to install, and no password."""
    (tmp_path / "pg_dump").write_text(MISMATCH)
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(BackendError) as caught:
        dump(url, tmp_path / "dump")
    said = str(caught.value)
    assert "server version: 18.0; pg_dump version: 15.14" in said
    assert "Install the client programs of the server's version" in said
    assert "hidden-word" not in said


@pytest.mark.parametrize(
    "place", ["postgresql://me:hidden-word@host/db", "postgresql://me@host/db?password=hidden-word"]
)
def test_no_command_line_holds_a_password(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the URL has it, the program finds it in its environment."""
    (tmp_path / "pg_dump").write_text('#!/bin/sh\necho "$@" > "$0.words"\necho "$PGPASSWORD" > "$0.secret"\n')
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    dump(place, tmp_path / "dump")
    assert "host" in (tmp_path / "pg_dump.words").read_text()
    assert "hidden-word" not in (tmp_path / "pg_dump.words").read_text()
    assert (tmp_path / "pg_dump.secret").read_text() == "hidden-word\n"


def test_a_database_is_filled_whole_or_not_at_all(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table is in the way, nothing is written and the error says so; once it is gone, everything is."""
    monkeypatch.setenv("PATH", f"{Path(postgres_program('pg_dump')).parent}:/bin:/usr/bin")
    file, psql = tmp_path / "dump", [postgres_program("psql"), url, "-qc"]
    database = Database(url, pool_size=1)
    ensure_schema(database)
    found = revision(database)
    dump(url, file)
    subprocess.run([*psql, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"], check=True)
    subprocess.run([*psql, "CREATE TABLE workflow_templates (mine int)"], check=True)
    with pytest.raises(BackendError, match=r"already exists(.|\n)*empty database"):
        load(url, file)
    assert revision(database) is None
    subprocess.run([*psql, "DROP TABLE workflow_templates"], check=True)
    load(url, file)
    assert revision(database) == found
    database.close()
