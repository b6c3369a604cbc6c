"""A broker that cannot be used is named by `connect` and by the doctor, with a remedy and without a password; a run
that is submitted all the same is kept.
"""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import xtyl_nb as xt
from refusals import FLOW, SECRET, refused
from servers import wait_until
from xtyl_engine.embedded.doctor import doctor
from xtyl_engine.embedded.redis_server import find_server
from xtyl_engine.settings import load_settings


@contextlib.contextmanager
def broker(*options: str) -> Iterator[Path]:
    """A server with options of its own; the socket it listens on."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as name:
        socket = Path(name, "redis.sock")
        command = [str(find_server()), "--port", "0", "--save", "", "--unixsocket", str(socket), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(socket.exists)
            yield socket
        finally:
            process.kill()
            process.wait()


def broken(redis: str, database: str) -> None:
    """Check that connecting and the doctor refuse this broker in the same words."""
    said = refused(database, redis)
    assert "the broker at " in said
    settings = load_settings({"XTYL_HOME": "/tmp", "XTYL_REDIS_URL": redis, "XTYL_DATABASE_URL": database})
    (found,) = [check for check in doctor(settings) if check.name == "broker"]
    assert not found.ok
    assert f"{found.detail}\n  {found.hint}" == said


OPTIONS = {
    "wrong password": (("--requirepass", "right"), f"unix://:{SECRET}@{{}}", "Correct the password"),
    "no password": (("--requirepass", "right"), "unix://{}", "Set a password"),
    "full": (("--maxmemory", "1"), "unix://{}", "raise its maxmemory"),
    "replica": (("--replicaof", "127.0.0.1", "9"), "unix://{}", "name the primary"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_broker_that_does_not_serve(kind: str, tmp_path: Path) -> None:
    """A wrong password, a full memory and a replica are each named, by `connect` and the doctor alike."""
    options, form, cure = OPTIONS[kind]
    with broker(*options) as socket:
        url = form.format(socket)
        broken(url, f"sqlite:///{tmp_path}/x.db")
        assert cure in refused(f"sqlite:///{tmp_path}/x.db", url)


class WebPage(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    """A closed port, a socket without a listener, a web server and an unreadable URL are told apart."""
    database = f"sqlite:///{tmp_path}/x.db"
    with http.server.HTTPServer(("127.0.0.1", 0), WebPage) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        assert "Is a Redis or Valkey server there at all?" in refused(database, f"redis://127.0.0.1:{web.server_port}")
        web.shutdown()
    broken(f"redis://me:{SECRET}@127.0.0.1:9", database)
    broken(f"unix://{tmp_path}/none.sock", database)
    assert "%40" in refused(database, f"redis://:{SECRET}#@127.0.0.1:6379")


@pytest.mark.parametrize("kind", ["wrong password", "full"])
def test_a_run_is_kept_while_the_broker_refuses(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If variables name the broker, a run is submitted all the same: it is in SQL, says that it waits, and the log says why."""
    options, form, _ = OPTIONS[kind]
    with broker(*options) as socket:
        monkeypatch.setenv("XTYL_REDIS_URL", form.format(socket))
        monkeypatch.setenv("XTYL_DATABASE_URL", f"sqlite:///{tmp_path}/kept.db")
        xt.connect()
        run = FLOW.run(name="x")
        assert run.state == "pending"
        assert run.waiting_for == "a worker"
        assert list(xt.runs().index) == [run.id]
        xt.connect()
    assert "a notification could not be sent" in caplog.text
    assert SECRET not in caplog.text
