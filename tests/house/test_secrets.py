"""Secrets are read where they are used and stored nowhere: a team's back end with a password at every part is searched
for them, after runs that succeed and runs that fail in every way in which a provider can quote its key.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
import redis
from sqlalchemy import create_engine, inspect, text

import xtyl_nb as xt
from openai_server import openai_server
from servers import embedded_home, presence, wait_until
from told import told
from workbench import direct_backend
from xtyl_engine.broker.celery_app import make_app, notify_workers
from xtyl_engine.broker.redis_client import read_memory
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.embedded.client import ensure
from xtyl_engine.embedded.doctor import doctor
from xtyl_engine.embedded.redis_server import find_server
from xtyl_engine.embedded.status import status
from xtyl_engine.engine import Engine
from xtyl_engine.errors import WorkflowException
from xtyl_engine.functions.variables import get, socket_beside
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.worker.command import worker_command
from xtyl_engine.worker.health import examine
from xtyl_nb.runs.run import Run
from xtyl_nb.widget.widget import RunWidget

KEY, DATABASE, BROKER = CANARIES = ("sk-canary-key-4711", "canary-database-4711", "canary-broker-4711")
# How the server misbehaves; `bad-key` quotes the key in its answer.
MODELS = ("m", "bad-key", "broken", "forbidden", "half-json", "cut-off")


@dataclass(frozen=True, kw_only=True)
class Team:
    """A shared back end after its runs."""

    settings: Settings = field(repr=False)
    runs: dict[str, Run]
    worker: int


@contextlib.contextmanager
def guarded_broker(folder: Path) -> Iterator[str]:
    """A broker that requires a password; its URL."""
    socket = folder / "redis.sock"
    command = [str(find_server()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--requirepass", BROKER]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(socket.exists)
        yield f"unix://:{BROKER}@{socket}"
    finally:
        process.kill()
        process.wait()


def guarded_database(server: str) -> str:
    """A database whose user has a password; its URL."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        rules = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
        rules.write_text("local all team scram-sha-256\n" + rules.read_text())
        for statement in (
            f"CREATE ROLE team LOGIN PASSWORD '{DATABASE}'",
            "CREATE DATABASE team OWNER team",
            "SELECT pg_reload_conf()",
        ):
            connection.execute(text(statement))
    admin.dispose()
    return f"postgresql://team:{DATABASE}@/team?{server.partition('?')[2]}"


@pytest.fixture(scope="module")
def team(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """PostgreSQL, a broker and a worker, each behind a password, and runs with every end."""
    folder = tmp_path_factory.mktemp("team")
    with contextlib.ExitStack() as kept:
        served = kept.enter_context(openai_server())
        broker = kept.enter_context(guarded_broker(folder))
        patch = kept.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XTYL_HOME", str(folder / "home"))
        environ = {"XTYL_HOME": str(folder / "home"), "XTYL_DATABASE_URL": guarded_database(postgres_url)}
        settings = load_settings(environ | {"XTYL_REDIS_URL": broker, "XTYL_SLOTS": "4"})
        prepare_home(settings)
        log = kept.enter_context(open(settings.log_folder / "worker.log", "ab"))
        secrets = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": served.url}
        worker = subprocess.Popen(
            worker_command(settings),
            env=settings.child_environ() | secrets,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        kept.callback(worker.wait, 40)
        kept.callback(worker.terminate)
        xt.connect(database=settings.database_url, redis=settings.event_url)
        kept.callback(xt.connect)
        retry = {"attempts": 2, "base_seconds": 0.05}
        flows = {
            model: xt.Workflow("asks")
            .generate_copy("line", prompt="Hi {{ name }}", provider="openai", model=model, retry=retry)
            .generate_image(
                "poster", prompt="{{ line.text }}", size="64x64", provider="openai", model=model, retry=retry
            )
            for model in MODELS
        }
        runs = {model: flow.run(name="you").wait(60) for model, flow in flows.items()}
        yield Team(settings=settings, runs=runs, worker=worker.pid)


def test_the_runs_did_what_they_should(team: Team) -> None:
    """The key was used: one model answered, one refused the key and quoted it, the others failed otherwise."""
    states = {model: str(run.state) for model, run in team.runs.items()}
    assert states == {model: "completed" if model == "m" else "failed" for model in MODELS}
    assert "Incorrect API key" in team.runs["bad-key"].frame()["error"][0]


def test_no_file_holds_a_secret(team: Team) -> None:
    """Neither logs nor artifacts nor any other file of the home hold one; a planted text is found."""
    for canary in CANARIES:
        found = subprocess.run(
            ["grep", "-rlaF", canary, str(team.settings.home)], capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
    assert "ready" in (team.settings.log_folder / "worker.log").read_text()


def test_no_table_holds_a_secret(team: Team) -> None:
    """No column of any row of any table holds one, events and errors included."""
    database = direct_backend().database
    with database.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [str(row) for table in tables for row in connection.execute(text(f'SELECT t::text FROM "{table}" t'))]
    assert len(tables) > 7
    everything = "\n".join(rows)
    assert "Incorrect API key" in everything
    assert [canary for canary in CANARIES if canary in everything] == []


def test_nothing_in_redis_holds_a_secret(team: Team) -> None:
    """No key and no value of any type holds one."""
    with redis.Redis.from_url(team.settings.event_url, decode_responses=True) as client:
        reading = {"stream": client.xrange, "list": lambda key: client.lrange(key, 0, -1)}
        found: dict[str, Any] = {}
        for key in client.scan_iter():
            kind = str(client.type(key))
            found[key] = (
                reading[kind](key) if kind in reading else client.dump(key) if kind != "set" else client.smembers(key)
            )
    assert any(key.startswith("xtyl:events:") for key in found)
    assert [canary for canary in CANARIES if canary in repr(found)] == []


def shown(run: Run) -> Iterator[str]:
    """All texts that a notebook can show of a run."""
    yield repr(run)
    yield repr(run.overview())
    yield run.frame().to_csv()
    yield run.jobs().to_csv()
    yield run.events().to_csv()
    yield repr(list(run.watch()))
    yield run.outputs("line").to_csv()
    yield json.dumps(RunWidget(run).get_state(), default=repr)
    yield repr(
        [vars(attempt) if hasattr(attempt, "__dict__") else attempt for attempt in run._backend.queries.jobs(run.id)]
    )


def test_nothing_that_is_shown_holds_a_secret(team: Team) -> None:
    """Frames, events, the widget's state, reprs, the doctor's findings and the worker's command line hold none."""
    used = direct_backend()
    texts = [each for run in team.runs.values() for each in shown(run)]
    texts += [
        repr(used),
        repr(used.settings),
        repr(used.engine.connection),
        repr(used.database),
        repr(used.database.engine.url),
    ]
    texts += [repr(doctor(team.settings)), repr(status(team.settings)), xt.runs().to_csv(), repr(team)]
    texts.append(" ".join(worker_command(team.settings)))
    command = subprocess.run(["ps", "-o", "args=", "-p", str(team.worker)], capture_output=True, text=True, check=True)
    assert "xtyl" in command.stdout
    everything = "\n".join([*texts, command.stdout])
    assert "Incorrect API key" in everything
    assert [canary for canary in CANARIES if canary in everything] == []


def test_no_plan_holds_the_environment(team: Team) -> None:
    """A workflow, its document and its dry run know the provider's name and nothing of its key."""
    flow = xt.Workflow("asks").generate_copy("line", prompt="Hi", provider="openai")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        assert KEY not in flow.to_json() + repr(flow) + flow._repr_html_() + flow.plan().to_csv()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An embedded back end that was started before any secret was set."""
    with embedded_home(tmp_path) as settings:
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        xt.connect()
        ensure(settings)
        yield settings
        xt.connect()


def processes_with(words: str, part: str) -> list[str]:
    """The processes besides this one whose `environ` or `cmdline` holds these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and words.encode() in (folder / part).read_bytes():
                found.append(folder.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes show their environment in /proc alone")
def test_what_a_kernel_lends_is_nowhere_but_in_memory(alone: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of a kernel reaches its functions and its provider, and is in no file, table or log, in no command line or
    environment of a process, and nowhere in Redis; neither while its run goes on nor after it."""
    secret = f"canary-{uuid.uuid4().hex}"
    monkeypatch.setenv("MY_TOKEN", secret)
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    flow = (
        xt.Workflow("lent")
        .call("own", lambda: os.environ["MY_TOKEN"].partition("-")[0])
        .generate_copy("line", prompt="{{ own }}", provider="openai", model="bad-key", retry={"attempts": 1})
        .call("fails", lambda: int(os.environ["MY_TOKEN"].partition("-")[0]), after=[])
        .review("pick", of="own")
    )
    with openai_server() as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        run = flow.run()
        wait_until(lambda: len(run.reviews()) == 1 and set(run.jobs()["status"]) == {"completed", "failed", "waiting"})
        assert served.requests[0][2]["authorization"] == f"Bearer {secret}"
    place = socket_beside(direct_backend().engine.connection.redis_url)
    assert place is not None
    assert (get(place, run.id) or {})["MY_TOKEN"] == secret
    found = presence(alone.home)
    assert processes_with(str(alone.home), "environ") != []
    for part in ("environ", "cmdline"):
        assert processes_with(secret, part) == []
    with redis.Redis(unix_socket_path=found.socket) as client:
        dumped = [client.dump(key) for key in client.scan_iter()]
    assert dumped != []
    assert secret not in repr(dumped)
    run.approve("pick", choose=[0])
    run.wait(60)
    assert list(run.frame()["own"]) == ["canary"]
    seen = subprocess.run(
        ["grep", "-rlaF", secret, str(alone.home), str(place.parent)], capture_output=True, check=False
    )
    assert (seen.returncode, seen.stdout) == (1, b"")
    assert secret not in "".join(shown_of(run))


def fails_at_last(how: str, place: str) -> None:
    """End with the key in the error: as it is, in a URL, in a long text just where that is cut, in a cause, as Python writes
    it, in an error that is tried again, and one that the function has set itself."""
    key = os.environ["SHOP_KEY"]
    if how == "busy":
        raise ConnectionError(f"{place}/v1?key={key}")
    if how == "quoted":
        raise ValueError(f"no answer from {place}/v1?k={quote(key, safe='')}")
    if how == "long":
        raise ValueError("a" * 970 + key + "b" * 5_000)
    if how == "cause":
        raise ValueError("no price") from RuntimeError(f"bad key {key}")
    if how == "missing":
        raise KeyError(key)
    if how == "own":
        os.environ["OTHER_SECRET"] = key[::-1]
        del os.environ["SHOP_KEY"]
        raise xt.TransientError(f"bad keys {key} {key[::-1]}")
    raise ValueError("bad key " + key)


def test_no_error_of_a_function_holds_a_secret(alone: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that quotes a secret of its kernel in what it raises leaves it in no table and no file; the rest of its words
    are kept."""
    secret = f"canary/{uuid.uuid4().hex}+\n'end'=="
    monkeypatch.setenv("SHOP_KEY", secret)
    ways = pd.DataFrame({"how": ["plain", "busy", "quoted", "long", "cause", "missing", "own"]})
    flow = xt.Workflow("quotes").call(
        "asks", fails_at_last, how="{{ how }}", place="http://shop", retry={"attempts": 2, "base_seconds": 0.01}
    )
    run = flow.run(ways).wait(60)
    errors = run.jobs()["error"]
    assert "raised ValueError: bad key [hidden]" in errors.iloc[0]
    assert "raised ConnectionError: http://shop/v1?key=[hidden]" in errors.iloc[1]
    assert "no answer from http://shop/v1?k=[hidden]" in errors.iloc[2]
    with direct_backend().database.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [repr(tuple(row)) for name in tables for row in connection.execute(text(f'SELECT * FROM "{name}"'))]
    kept = "\n".join(rows)
    assert "bad key [hidden]" in kept
    traces = "".join(str(run.inspect("asks", row=int(row)).traceback) for row in ways.index)
    assert "RuntimeError: bad key [hidden]" in traces
    for part in (secret[8:22], secret[:-12][::-1][:14]):
        assert part not in kept + traces + "".join(shown_of(run))
        seen = subprocess.run(["grep", "-rlaF", part, str(alone.home)], capture_output=True, check=False)
        assert (seen.returncode, seen.stdout) == (1, b"")


def shown_of(run: Run) -> Iterator[str]:
    yield from (run.frame().to_csv(), run.jobs().to_csv(), run.events().to_csv(), repr(run.overview()))


SECRET = "Kx7PASSq9"
GOOD_BROKER, GOOD_DATABASE = "redis://127.0.0.1:9/0", "sqlite:///{home}/xtyl.db"


@pytest.mark.parametrize(
    ("database", "broker"),
    [
        (f"postgresql://me:{SECRET}@127.0.0.1:9/db", GOOD_BROKER),
        (f"postgresql://me@127.0.0.1:9/db?password={SECRET}&sslpassword={SECRET}", GOOD_BROKER),
        (f"postgresql://me:{SECRET}@127.0.0.1:9/db?nonsense=1", GOOD_BROKER),
        (GOOD_DATABASE, f"redis://:{SECRET}@127.0.0.1:9/0"),
        (GOOD_DATABASE, f"redis://:{SECRET}@127.0.0.1:9/0?protocol={SECRET}"),
        (GOOD_DATABASE, f"redis://:{SECRET}@127.0.0.1:9/0?socket_timeout={SECRET}"),
        (GOOD_DATABASE, f"unix://:{SECRET}@/none/redis.sock"),
    ],
)
def test_no_driver_quotes_a_password(
    database: str, broker: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a database or a broker is away or its URL is odd, no check, error, cause, log line or repr of ours holds it."""
    home = str(tmp_path / "home")
    settings = load_settings(
        {"XTYL_HOME": home, "XTYL_DATABASE_URL": database.format(home=home), "XTYL_REDIS_URL": broker}
    )
    said = [repr(settings), repr(doctor(settings)), repr(status(settings)), repr(examine(settings))]

    def tried(work: Callable[[], object]) -> None:
        try:
            said.append(repr(work()))
        except WorkflowException as error:
            said.append(told(error))

    with contextlib.closing(Database(settings.database_url, patience_seconds=0.0)) as opened:
        said += [repr(opened), repr(opened.engine), repr(opened.engine.url)]
        tried(lambda: ensure_schema(opened) if not opened.is_sqlite else None)
    tried(lambda: Engine(settings, starts=False, patience_seconds=0.0).submit)
    tried(lambda: read_memory(settings.event_url))
    app = make_app(settings.celery_url)
    with caplog.at_level("DEBUG"):
        notify_workers(app, "run", ["xtyl"])
    assert SECRET not in "\n".join([*said, caplog.text])
