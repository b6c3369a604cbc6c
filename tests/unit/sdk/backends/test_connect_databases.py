"""A database that cannot be used is named at first use, with a remedy and without a password, and the back end in use
before stays in use.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from refusals import FLOW, SECRET, refused
from repository import SUPPORT
from servers import valkey_server, wait_until
from workbench import direct_backend
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import HEAD, ensure_schema
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import load_settings, prepare_home
from xtyl_engine.worker.command import worker_command
from xtyl_nb.backends.connect import backend


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """A broker that works."""
    with valkey_server() as url:
        yield url


@pytest.fixture(autouse=True)
def connected(redis: str, tmp_path: Path) -> Iterator[None]:
    """A back end that works, in use before each test and after it."""
    xt.connect(database=f"sqlite:///{tmp_path}/good.db", redis=redis)
    used = backend()
    yield
    assert backend() is used
    xt.connect()


def poem(path: Path) -> None:
    path.write_text("I am a poem, and no database. " * 100)


def newer(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    ensure_schema(database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()


def of_another(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE agent_jobs (x)")


def migrated_by_another(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('a1')"
        )


def folder(path: Path) -> None:
    path.mkdir()


UNUSABLE = {
    "poem": (poem, "is not a database", "name another"),
    "newer": (newer, f"schema 9999, this release knows up to {HEAD}", "pip install -U"),
    "another's table": (of_another, "a table `agent_jobs` that another program made", "XTYL_DATABASE_URL"),
    "another's schema": (migrated_by_another, "kept by another program", "XTYL_DATABASE_URL"),
    "folder": (folder, "unable to open", "Make its folder, and make it yours to write"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_is_no_database_of_ours(kind: str, redis: str, tmp_path: Path) -> None:
    """It is refused with its path or both schemas and a remedy, and left as it is."""
    make, words, cure = UNUSABLE[kind]
    path = tmp_path / "bad.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    said = refused(f"sqlite:///{path}", redis)
    assert words in said
    assert cure in said
    assert (path.read_bytes() if path.is_file() else b"")[100:] == before[100:]


def test_a_worker_says_why_it_cannot_use_its_database(redis: str, tmp_path: Path) -> None:
    """The worker's log names a database of a newer release, with a remedy."""
    newer(tmp_path / "new.db")
    settings = load_settings(
        {
            "XTYL_HOME": str(tmp_path / "home"),
            "XTYL_DATABASE_URL": f"sqlite:///{tmp_path}/new.db",
            "XTYL_REDIS_URL": redis,
        }
    )
    prepare_home(settings)
    log = tmp_path / "worker.log"
    with open(log, "wb") as output:
        worker = subprocess.Popen(
            worker_command(settings), env=settings.child_environ(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: "pip install -U xtyl-nb" in log.read_text())
    finally:
        worker.kill()
        worker.wait()
    assert f"the database has schema 9999, this release knows up to {HEAD}" in log.read_text()


def test_a_lock_held_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the database a run is refused whole, with a message; afterwards the same run goes in."""
    database = direct_backend().database
    monkeypatch.setattr(database, "patience_seconds", 0.1)
    with database.engine.connect() as connection:
        connection.connection.execute("PRAGMA busy_timeout=20")
    with contextlib.closing(sqlite3.connect(tmp_path / "good.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match=r"good\.db answered: database is locked") as caught:
            FLOW.run(name="x")
        assert "Close the program that holds it, such as a database browser, and try again" in str(caught.value.hint)
        assert xt.runs().empty
    assert FLOW.run(name="x").state == "pending"


READ_ONLY = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import xtyl_nb as xt
from servers import valkey_server
folder = Path({folder!r})
os.environ["XTYL_HOME"] = str(folder / "home")
flow = xt.Workflow("w").attach("kit", title="x")
with valkey_server() as redis:
    # Root may write anything, and other users cannot import from root's home: import by a run that works, then become another.
    xt.connect(database=f"sqlite:///{{folder}}/good.db", redis=redis)
    flow.run()
    if os.geteuid() == 0:
        socket = Path(redis.removeprefix("unix://"))
        for path, mode in ((socket, 0o666), (socket.parent, 0o755), (folder, 0o755)):
            path.chmod(mode)
        os.chown(folder / "home", 65534, 65534)
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
    try:
        xt.connect(database=f"sqlite:///{{folder}}/kept/x.db", redis=redis)
        flow.run()
    except xt.BackendError as error:
        print(error)
    os.seteuid(os.getuid())
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_database_that_may_only_be_read(what: str) -> None:
    """A run is refused, with the path, the system's words, and a remedy."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as name:
        kept = Path(name) / "kept"
        kept.mkdir()
        (Path(name) / "home").mkdir(mode=0o700)
        database = Database(f"sqlite:///{kept}/x.db")
        ensure_schema(database)
        database.close()
        (kept / "x.db").chmod(0o444 if what == "file" else 0o666)
        kept.chmod(0o777 if what == "file" else 0o555)
        code = READ_ONLY.format(tests=str(SUPPORT), folder=name)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        kept.chmod(0o777)
    assert str(kept) in done.stdout, done.stderr
    assert any(words in done.stdout for words in ("readonly", "Permission denied", "unable to open"))
    assert "yours to write" in done.stdout


@pytest.fixture
def guarded(postgres_url: str) -> str:
    """The URL of a PostgreSQL user who has a password; the one in the URL is wrong."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = 'guarded'")).first() is None:
            rules = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
            rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
            connection.execute(text("CREATE ROLE guarded LOGIN PASSWORD 'right'"))
            connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    return postgres_url.replace("postgres:@", f"guarded:{SECRET}@")


def test_a_postgresql_that_cannot_be_used(postgres_url: str, guarded: str, redis: str) -> None:
    """A wrong password, user, database, host and port are each named."""
    base, _, query = postgres_url.partition("?")
    cases = [
        (guarded, "password authentication failed", "Correct the user or the password"),
        (postgres_url.replace("postgres:@", f"stranger:{SECRET}@"), "stranger", "createuser"),
        (f"{base.rpartition('/')[0]}/no_such?{query}", "no_such", "createdb"),
        (f"postgresql://me:{SECRET}@127.0.0.1:9/x?connect_timeout=2", "x at 127.0.0.1", "host and port"),
        (f"postgresql://me:{SECRET}@127.0.0.1:port/x", "XTYL_DATABASE_URL", "%40"),
        (f"postgresql://me:{SECRET}#@127.0.0.1/x", "XTYL_DATABASE_URL", "%23"),
    ]
    for url, words, cure in cases:
        said = refused(url, redis)
        assert words in said
        assert cure in said


def test_a_missing_driver(redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PostgreSQL's driver the error says which extra to install."""
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    assert 'pip install "xtyl-nb[server]"' in refused(f"postgresql://me:{SECRET}@127.0.0.1/x", redis)
