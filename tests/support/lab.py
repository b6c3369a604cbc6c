"""A real JupyterLab in a folder of its own, and how a Chromium is started beside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from uuid import uuid4

from repository import SUPPORT
from servers import PATIENT_SECONDS, wait_until
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

TOKEN = "browser-test"
LAUNCH = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A running JupyterLab and the folder it serves."""

    address: str
    folder: Path
    token: str = TOKEN

    def write(self, name: str, *cells: str, outputs: tuple[Any, ...] = ()) -> str:
        """Save a notebook; returns the address that opens it."""
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{place}",
                    "metadata": {},
                    "execution_count": None,
                    "source": source,
                    "outputs": list(outputs) if place == 0 else [],
                }
                for place, source in enumerate(cells)
            ],
        }
        (self.folder / name).write_text(json.dumps(notebook))
        return self.open(name)

    def open(self, name: str) -> str:
        # A workspace of its own, so that no tabs of earlier tests come back.
        return f"{self.address}/lab/workspaces/w{uuid4().hex[:8]}/tree/{name}?token={TOKEN}"

    def stop_kernels(self) -> None:
        """End every kernel, as a closed laptop would."""
        for kernel in json.load(self._ask("kernels")):
            self._ask(f"sessions/{kernel['session']}" if "session" in kernel else f"kernels/{kernel['id']}", "DELETE")

    def _ask(self, path: str, method: str = "GET") -> Any:
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(f"{self.address}/api/{path}", method=method, headers=headers)
        return urllib.request.urlopen(request, timeout=PATIENT_SECONDS)


@contextmanager
def laboratory(root: Path) -> Iterator[Lab]:
    """JupyterLab on a free loopback port, with configuration, data, notebooks and a home of its own in this folder."""
    folders = {name: root / name.lower() for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    for folder in (*folders.values(), root / "work", root / "ipython"):
        folder.mkdir()
    environment = os.environ | {name: str(folder) for name, folder in folders.items()}
    environment |= {"IPYTHONDIR": str(root / "ipython"), "LAB_FOLDER": str(root)}
    # A notebook that ends its back end must not end that of another session.
    environment["XTYL_HOME"] = str(root / "home")
    environment["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += ["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={TOKEN}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    settings = folders["JUPYTER_CONFIG_DIR"] / "lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with open(root / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=root / "work", env=environment, stdout=log, stderr=log)
    served = Lab(address=f"http://127.0.0.1:{port}", folder=root / "work")
    try:
        wait_until(lambda: answers(f"{served.address}/api"), otherwise=f"JupyterLab did not start: {root / 'log'}")
        yield served
    finally:
        process.terminate()
        process.wait(PATIENT_SECONDS)
        down(load_settings({"XTYL_HOME": str(root / "home")}))


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
