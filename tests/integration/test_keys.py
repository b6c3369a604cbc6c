"""Keys that a kernel sets: each run uses those of its own, and one whose keys are gone with its back end waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest

import xtyl_nb as xt
from backend import QUICK
from openai_server import OpenAIServer, openai_server
from own_back_end import own_back_end
from servers import embedded_home, presence, wait_until
from workbench import direct_backend
from xtyl_engine.embedded.client import ensure
from xtyl_engine.settings import Settings
from xtyl_engine.states import JobState
from xtyl_engine.values.locks import holder, supervisor_lock

KERNEL = """
import os, pathlib, sys, threading
import xtyl_nb as xt

def gate(path):
    while not pathlib.Path(path).exists():
        threading.Event().wait(0.02)

flow = xt.Workflow("asks").call("open", gate, path=sys.argv[1])
flow = flow.generate_copy("line", prompt="Hi {{ open }}", provider="openai", model="m", cache=False)
print(flow.run().id)
"""


@pytest.fixture(scope="module")
def served() -> Iterator[OpenAIServer]:
    with openai_server() as served:
        yield served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with own_back_end(tmp_path_factory.mktemp("keys")) as settings:
        yield settings


@pytest.fixture
def settings(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the back end, which this process uses."""
    for name, value in home.to_environ().items():
        monkeypatch.setenv(name, value)
    return home


def submitted(settings: Settings, gate: Path, served: OpenAIServer, key: str) -> str:
    """The run of a kernel that has set this key, and has ended."""
    environ = settings.child_environ() | {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": served.url}
    command = [sys.executable, "-W", "ignore", "-c", KERNEL, str(gate)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def keys_at(served: OpenAIServer) -> list[str]:
    """The keys that the server was asked with."""
    return [headers["authorization"].removeprefix("Bearer ") for _, _, headers in served.requests]


def test_each_run_asks_with_the_key_of_its_kernel(settings: Settings, served: OpenAIServer, tmp_path: Path) -> None:
    """Two kernels with two keys share a back end, which was started before with none."""
    runs = [submitted(settings, tmp_path / "gate", served, key) for key in ("key-of-one", "key-of-two")]
    (tmp_path / "gate").touch()
    xt.connect()
    for run in runs:
        assert xt.attach(run).wait(60).state == "completed"
    assert sorted(keys_at(served)[-2:]) == ["key-of-one", "key-of-two"]


def test_a_run_waits_for_the_key_that_is_gone(
    settings: Settings, served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back end is killed, and started again by a process without the key: the job is neither failed nor asked for, the run
    says which variable it waits for, also while a kernel without it looks at it, and goes on by itself once one has it."""
    run_id = submitted(settings, tmp_path / "gate", served, "key-of-one")
    before = len(served.requests)
    seen = presence(settings.home)
    for pid in (seen.pid, seen.worker_pid, seen.server_pid):
        assert pid is not None
        os.kill(pid, SIGKILL)
    wait_until(lambda: holder(supervisor_lock(settings.home)) is None)
    xt.connect()
    ensure(settings)
    (tmp_path / "gate").touch()
    back_end = direct_backend()
    wait_until(lambda: "OPENAI_API_KEY" in str(back_end.engine.overviews.overview(run_id).waiting_for))
    counts = back_end.engine.overviews.overview(run_id).nodes["line"].counts
    assert counts.get(JobState.READY) == 1
    assert len(served.requests) == before
    assert "OPENAI_API_KEY" in str(xt.attach(run_id).waiting_for)
    xt.connect()
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-another")
    monkeypatch.setenv("OPENAI_BASE_URL", served.url)
    assert xt.attach(run_id).wait(60).state == "completed"
    assert keys_at(served)[-1] == "key-of-another"


def test_a_key_is_in_memory_alone(served: OpenAIServer, tmp_path: Path) -> None:
    """The kernel that has it starts the back end, and runs a function besides: no process of the back end was started with it,
    and no file of the home holds it."""
    (tmp_path / "gate").touch()
    with embedded_home(tmp_path, **QUICK) as settings:
        run = submitted(settings, tmp_path / "gate", served, "key-in-memory-alone")
        wait_until(lambda: "key-in-memory-alone" in keys_at(served))
        environments = list(environments_naming(str(settings.home)))
        assert len(environments) >= 3
        assert not [text for text in environments if b"key-in-memory" in text or served.url.encode() in text]
        files = [path for path in settings.home.rglob("*") if path.is_file()]
        assert any(run.encode() in path.read_bytes() for path in files)
        assert not [path for path in files if b"key-in-memory" in path.read_bytes()]


def environments_naming(text: str) -> Iterator[bytes]:
    """The environments with which processes were started, where they name this."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text.encode() in (found := path.read_bytes()):
                yield found
