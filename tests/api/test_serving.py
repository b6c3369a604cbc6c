"""`xtyl api` as a process, with a worker: the session in docs/api.md, and a run from its submission to its files."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import FLOW, RUNS
from repository import ROOT
from servers import embedded_home, wait_until
from xtyl_engine.api.tokens import Role, TokenFile
from xtyl_engine.settings import Settings

XTYL = Path(sys.executable).with_name("xtyl")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str]]:
    """A served embedded back end: its settings and the address of its API."""
    port = free_port()
    with embedded_home(tmp_path_factory.mktemp("served")) as settings:
        with open(settings.log_folder / "api.log", "wb") as log:
            api = subprocess.Popen(
                [XTYL, "api", "--port", str(port)], env=settings.child_environ(), stdout=log, stderr=log
            )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: _is_ready(address))
            yield settings, address
        finally:
            api.send_signal(signal.SIGTERM)
            assert api.wait(30) in (0, -signal.SIGTERM)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def client_of(settings: Settings, address: str, name: str) -> httpx.Client:
    secret = TokenFile(settings.tokens_file).create(name, Role.WRITE, "press")
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {secret}"}, timeout=30)


def test_a_run_from_end_to_end(served: tuple[Settings, str]) -> None:
    """A run submitted over HTTP is worked on by the back end's worker and decided, and its image is fetched."""
    settings, address = served
    flow: dict[str, Any] = {
        **FLOW,
        "nodes": [
            *FLOW["nodes"],
            {
                "id": "poster",
                "type": "generate_image",
                "config": {"prompt": "{{ pick.headline.text }}", "size": "256x256"},
            },
        ],
    }
    with client_of(settings, address, "runner") as client:
        made = client.post(RUNS, json={"workflow": flow, "inputs": [{"product": "Lamp"}]})
        assert made.status_code == 201, made.text
        place = made.headers["location"]
        wait_until(lambda: client.get(f"{place}/reviews").json()["reviews"])
        assert client.post(f"{place}/reviews/pick/0/approve", json={"choose": [0]}).status_code == 200
        wait_until(lambda: client.get(place).json()["state"] == "completed")
        (name,) = client.get(f"{place}/overview").json()["nodes"]["poster"]["images"]
        assert client.get(f"{place}/artifacts/{name}").content.startswith(b"\x89PNG")
        (secret,) = (client.headers["authorization"].removeprefix("Bearer "),)
    logs = b"".join(path.read_bytes() for path in settings.log_folder.iterdir())
    assert secret.encode() not in logs


def test_it_listens_to_this_machine_alone(served: tuple[Settings, str]) -> None:
    """By default no other machine reaches it."""
    port = served[1].rpartition(":")[2]
    listening = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True, check=False)
    places = re.findall(rf"^\s*\d+: (\w+):{int(port):04X} \w+:0000 0A", listening.stdout, re.MULTILINE)
    assert places in ([], ["0100007F"])


def test_the_session_in_the_docs_works(served: tuple[Settings, str], tmp_path: Path) -> None:
    """docs/api.md's commands, as printed except for the address, end with a completed run and its jobs."""
    settings, address = served
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash session\n(.*?)```", text, re.DOTALL)
    assert blocks
    script = "set -e\n" + "\n".join(blocks).replace("http://127.0.0.1:8000", address)
    environ = {**settings.child_environ(), "PATH": f"{XTYL.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"state":"completed"' in done.stdout
