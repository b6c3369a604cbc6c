"""A whole back end for the tests of this folder: embedded, and shared over PostgreSQL. Each is started once a session."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from backend import QUICK, Effects
from repository import TESTS
from served import Served, serve
from servers import embedded_home, empty_database, valkey_server
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.worker.command import worker_command


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An embedded back end for this session alone, with short leases."""
    with embedded_home(tmp_path_factory.mktemp("embedded"), **QUICK) as settings:
        yield settings


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """PostgreSQL, a broker and one worker, as a team would run them."""
    home = tmp_path_factory.mktemp("shared") / "home"
    with valkey_server() as broker:
        settings = load_settings(
            {
                "XTYL_HOME": str(home),
                "XTYL_DATABASE_URL": empty_database(request.getfixturevalue("postgres_url")),
                "XTYL_REDIS_URL": broker,
                "XTYL_ACCEPT_FUNCTIONS": "1",
                **QUICK,
            }
        )
        prepare_home(settings)
        yield from _with_worker(settings)


def _with_worker(settings: Settings) -> Iterator[Settings]:
    with open(settings.log_folder / "worker.log", "ab") as log:
        worker = subprocess.Popen(
            worker_command(settings),
            env=settings.child_environ(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield settings
    finally:
        worker.terminate()
        worker.wait(40)


@pytest.fixture(autouse=True)
def own_home(embedded: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test here uses the session's embedded back end, unless it asks for another."""
    # The worker treats modules beside the tests as the user's own.
    monkeypatch.chdir(TESTS)
    for name in [name for name in os.environ if name.startswith(("XTYL_", "OPENAI_", "OTEL_"))]:
        monkeypatch.delenv(name)
    for name, value in embedded.to_environ().items():
        monkeypatch.setenv(name, value)
    yield
    xt.connect()


@pytest.fixture(scope="session")
def served(shared: Settings) -> Iterator[Served]:
    """The API of the shared back end, in a separate process."""
    with serve(shared) as made:
        yield made


@pytest.fixture(params=["embedded", "shared", "http"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The back end in use: embedded, then shared from the inside, then over HTTP with a separate home for the notebook."""
    kind: str = request.param
    if kind == "http":
        for name in [name for name in os.environ if name.startswith("XTYL_")]:
            monkeypatch.delenv(name)
        served: Served = request.getfixturevalue("served")
        monkeypatch.setenv("XTYL_HOME", str(tmp_path / "notebook"))
        monkeypatch.setenv("XTYL_URL", served.url)
        monkeypatch.setenv("XTYL_TOKEN", served.token)
        xt.connect(served.url, token=served.token)
        return kind
    settings: Settings = request.getfixturevalue(kind)
    for name, value in settings.to_environ().items():
        monkeypatch.setenv(name, value)
    if settings.redis_url is not None:
        xt.connect(database=settings.database_url, redis=settings.redis_url)
    return kind


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[str], object]:
    """Evaluates an expression in another process, which has imported xtyl_nb as xt; its value comes back."""

    def evaluate(expression: str) -> object:
        path = tmp_path / f"{uuid.uuid4().hex}.pickle"
        code = f"import pandas as pd, xtyl_nb as xt; pd.to_pickle({expression}, {str(path)!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
        return pd.read_pickle(path)

    return evaluate


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    """A file to which a job adds one line each time it starts."""
    return Effects(tmp_path / "effects")
