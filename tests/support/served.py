"""A back end's API as a process of its own, with a token that may do everything in every project."""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers import free_port, wait_until
from xtyl_engine.settings import Settings

XTYL = str(Path(sys.executable).with_name("xtyl"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running API."""

    url: str
    token: str = field(repr=False)


@contextlib.contextmanager
def serve(
    settings: Settings, *, start: Sequence[str] = (XTYL,), environ: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """The API of the back end that settings name, until the block ends; `start` is the `xtyl` of another release, with the
    environment that finds it."""
    # One back end may be served twice, and a token's name is taken once.
    token = make_token(settings, name=f"tests-{secrets.token_hex(4)}")
    port = free_port()
    with open(settings.log_folder / "api.log", "ab") as log:
        api = subprocess.Popen(
            [*start, "api", "--port", str(port)],
            env=environ or settings.child_environ(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _is_ready(f"http://127.0.0.1:{port}/readyz"))
        yield Served(url=f"http://127.0.0.1:{port}", token=token)
    finally:
        api.terminate()
        api.wait(40)


def make_token(settings: Settings, *, name: str, role: str = "write", project: str = "*") -> str:
    """Make a token with the command, which shows it once."""
    command = [XTYL, "token", "create", name, "--role", role, "--project", project]
    said = subprocess.run(command, env=settings.child_environ(), capture_output=True, text=True, check=True, timeout=60)
    found = re.search(r"xtyl_\S+", said.stdout)
    assert found, said
    return found.group()


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
