"""The services of docker-compose.yml run on this machine, each with its own command and environment, against a real PostgreSQL
and a real broker with a password.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import xtyl_nb as xt
from fleet import collected
from repository import ROOT
from servers import empty_database, free_port, postgres_program, wait_until
from xtyl_engine.embedded.redis_server import find_server

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PASSWORDS = {name: secrets.token_hex(12) for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD")}
PASSWORDS["FLOWER_PASSWORD"] = f"{secrets.token_hex(6)},{secrets.token_hex(6)}"
# The rest of the .env file.
GIVEN = PASSWORDS | {"XTYL_FUNCTIONS": "html:*"}
KINDS = {"threads", "prefork"}
# Services that end by themselves, and whether Docker starts them again when they fail.
ONCE = {"migrate": "on-failure", "restore": "no"}
API_NUMBERS = {
    "xtyl_http_seconds_count",
    "xtyl_stream_lag_seconds_count",
    "xtyl_stream_listeners",
    "xtyl_stream_cut_total",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


def filled(text: str) -> str:
    """A value as Compose reads it, with the values of a .env file."""

    def value(found: re.Match[str]) -> str:
        return GIVEN.get(found[1], "" if ":?" in found[0] else found[2] or "")

    return _VARIABLE.sub(value, text).replace("$$", "$")


def started(name: str, moved: dict[str, str], *arguments: str) -> list[str]:
    """The command line of a service, with addresses that exist only in its network replaced by those of this machine."""
    return [*(moved_to(word, moved) for word in SERVICES[name]["command"]), *arguments]


def moved_to(text: str, moved: dict[str, str]) -> str:
    """A value as Compose reads it, for this machine."""
    text = filled(text)
    for there, here in moved.items():
        text = text.replace(there, here)
    return text


def environment(name: str, moved: dict[str, str]) -> dict[str, str]:
    """The variables of a service, and those of this machine that it needs to find Python."""
    values = {key: moved_to(str(value), moved) for key, value in SERVICES[name].get("environment", {}).items()}
    programs = [Path(sys.executable).parent, Path(postgres_program("pg_dump")).parent]
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return {"PATH": path, "HOME": moved["/var/lib/xtyl"], **values}


@contextmanager
def running(command: list[str], environ: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service, until the block ends."""
    with open(folder / "services.log", "ab") as log:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(40)


@pytest.fixture
def moved(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """Addresses on this machine for the names of the Compose network."""
    broker, metrics, flower, api = free_port(), free_port(), free_port(), free_port()
    password = PASSWORDS["POSTGRES_PASSWORD"]
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "flower.py").write_text(filled(COMPOSE["configs"]["flower"]["content"]))
    return {
        f"postgresql://xtyl:{password}@postgres:5432/xtyl": postgres_url,
        "@redis:6379": f"@127.0.0.1:{broker}",
        "0.0.0.0:9101": f"127.0.0.1:{metrics}",
        "--address=0.0.0.0": "--address=127.0.0.1",
        "--port=5555": f"--port={flower}",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=8000": f"--port={api}",
        "127.0.0.1:8000": f"127.0.0.1:{api}",
        "/var/lib/xtyl": str(tmp_path / "home"),
        "/var/backups/xtyl": str(tmp_path / "backups"),
        "valkey-server": str(find_server()),
        "/etc/flower.py": str(tmp_path / "flower.py"),
    }


@pytest.fixture
def elsewhere(moved: dict[str, str], postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """The same addresses, with an empty database and a home that is not there yet."""
    (url,) = (there for there, here in moved.items() if here == postgres_url)
    return moved | {url: empty_database(postgres_url), "/var/lib/xtyl": str(tmp_path / "elsewhere")}


def asked(port: str, what: str, password: str = PASSWORDS["FLOWER_PASSWORD"]) -> Any:
    """The answer of Flower's own interface."""
    url = f"http://127.0.0.1:{port}/api/{what}"
    token = base64.b64encode(f"flower:{password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def port_of(moved: dict[str, str], there: str) -> int:
    return int(moved[there].rpartition(":")[2])


def check_api(moved: dict[str, str], folder: Path) -> None:
    """With a token made as the manual says, a run is submitted and listened to until it is over."""
    command = ["xtyl", "token", "create", "desk", "--role=write", "--project=press"]
    made = subprocess.run(
        command, env=environment("api", moved), cwd=folder, capture_output=True, text=True, check=True
    )
    base = f"http://{moved['127.0.0.1:8000']}"
    with httpx.Client(
        base_url=base, headers={"Authorization": f"Bearer {made.stdout.strip()}"}, trust_env=False
    ) as web:
        wait_until(lambda: is_up(web))
        me = web.get("/api/me").json()
        assert (me["project"], me["functions"]) == ("press", False)
        flow = {"name": "asked", "nodes": [{"id": "line", "type": "generate_copy", "config": {"prompt": "{{ word }}"}}]}
        run = web.post("/api/workflows/executions", json={"workflow": flow, "inputs": [{"word": "one"}]}).json()
        told = web.get(f"/api/workflows/executions/{run['id']}/stream", timeout=60).text
    assert 'event: done\ndata: {"state":"completed"' in told


def check_backup(moved: dict[str, str], elsewhere: dict[str, str], run: xt.Run, folder: Path) -> None:
    """The backup service makes a backup that Prometheus and its health check see; what restores it finds the run as it was."""
    values = environment("backup", moved)
    places = moved | {"0.0.0.0:9101": f"127.0.0.1:{free_port()}"}
    port = port_of(places, "0.0.0.0:9101")
    before = contents(run)
    with running(started("backup", places), environment("backup", places), folder) as process:
        check = [moved_to(word, moved) for word in SERVICES["backup"]["healthcheck"]["test"][1:]]
        wait_until(lambda: subprocess.run(check, env=values, cwd=folder, capture_output=True).returncode == 0)
        told = collected(port)
        assert abs(told["xtyl_backup_timestamp_seconds"] - time.time()) < 3600
        assert told["xtyl_backup_bytes"] > 0
        assert told["xtyl_backup_failures_total"] == 0
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        assert not any(password in shown for password in PASSWORDS.values())
    assert process.returncode == 0
    restored = started("restore", elsewhere)
    subprocess.run(restored, env=environment("restore", elsewhere), cwd=folder, capture_output=True, check=True)
    given = environment("worker", elsewhere)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTYL_HOME", given["XTYL_HOME"])
        xt.connect(database=given["XTYL_DATABASE_URL"], redis=given["XTYL_REDIS_URL"])
        after = xt.attach(run.id)
        assert after.state == "completed"
        assert contents(after) == before


def contents(run: xt.Run) -> list[dict[str, Any]]:
    """The rows of a run's frame, with the bytes of a picture in place of its path, which must be in the home of now."""
    found = run.frame().to_dict("records")
    assert all(Path(row["art"]).is_relative_to(os.environ["XTYL_HOME"]) for row in found)
    return [
        {**{str(name): value for name, value in row.items()}, "art": Path(row["art"]).read_bytes()} for row in found
    ]


def is_up(web: httpx.Client) -> bool:
    try:
        return web.get("/readyz").is_success
    except httpx.TransportError:
        return False


def kind(worker: str) -> str:
    return worker.partition("-")[0]


def online(port: str) -> set[str]:
    """The kinds of workers that reported to Flower lately."""
    try:
        return {kind(name) for name, is_online in asked(port, "workers?status=1").items() if is_online}
    except urllib.error.URLError:
        return set()


def test_the_services_run_a_workflow_together(
    moved: dict[str, str], elsewhere: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of a notebook and over HTTP end, are counted and shown by Flower, all services are well, no password is seen, and a
    backup is restored."""
    port = moved["@redis:6379"].rpartition(":")[2]
    with ExitStack() as stack:
        broker = started("redis", moved, "--port", port, "--bind", "127.0.0.1")
        server = stack.enter_context(running(broker, environment("redis", moved), tmp_path))
        migrated = subprocess.run(
            started("migrate", moved), env=environment("migrate", moved), capture_output=True, text=True, check=True
        )
        assert "schema" in migrated.stdout
        # Each container has its own port 9101; here the API has another than the workers.
        places = moved | {"0.0.0.0:9101": f"127.0.0.1:{free_port()}"}
        processes = [
            stack.enter_context(running(started(name, given), environment(name, given), tmp_path))
            for name, given in (("worker", moved), ("worker-heavy", moved), ("flower", moved), ("api", places))
        ]
        given = environment("worker", moved)
        monkeypatch.setenv("XTYL_HOME", given["XTYL_HOME"])
        xt.connect(database=given["XTYL_DATABASE_URL"], redis=given["XTYL_REDIS_URL"])
        stack.callback(xt.connect)
        flower = moved["--port=5555"].rpartition("=")[2]
        wait_until(lambda: online(flower) == KINDS)
        run = (
            xt.Workflow("shared")
            .generate_copy("line", prompt="About {{ word }}")
            .generate_image("art", prompt="{{ line.text }}", size="16x16")
            .call("safe", html.escape, s="{{ line.text }}")
            .run([{"word": "one"}, {"word": "two"}])
        )
        assert run.wait(60).state == "completed"
        wait_until(lambda: "xtyl_slots_free" in collected(port_of(moved, "0.0.0.0:9101")))
        wait_until(lambda: {kind(task["worker"]) for task in asked(flower, "tasks").values()} == KINDS)
        assert {task["name"] for task in asked(flower, "tasks").values()} == {"xtyl.advance"}
        check_api(moved, tmp_path)
        wait_until(
            lambda: {name.partition("{")[0] for name in collected(port_of(places, "0.0.0.0:9101"))} >= API_NUMBERS
        )
        for name in ("worker", "worker-heavy", "api"):
            check = [moved_to(word, moved) for word in SERVICES[name]["healthcheck"]["test"][1:]]
            subprocess.run(check, env=environment(name, moved), cwd=tmp_path, capture_output=True, check=True)
        shown = [Path(f"/proc/{process.pid}/cmdline").read_bytes().decode() for process in (server, *processes)]
        assert not [password for password in PASSWORDS.values() if any(password in line for line in shown)]
        commands = [word for service in SERVICES.values() for word in service.get("command", [])]
        assert not [word for word in commands if "PASSWORD}" in word or "PASSWORD:" in word]
        for wrong in ("wrong", *PASSWORDS["FLOWER_PASSWORD"].split(",")):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                asked(flower, "workers", wrong)
        assert httpx.get(f"http://127.0.0.1:{flower}/metrics", trust_env=False).status_code == 401
        told = httpx.get(
            f"http://127.0.0.1:{flower}/metrics", auth=("flower", PASSWORDS["FLOWER_PASSWORD"]), trust_env=False
        )
        assert "flower_" in told.text
        check_backup(moved, elsewhere, run, tmp_path)


def test_every_service_is_fenced_in() -> None:
    """Every service has a restart policy, every lasting one a health check and limits; no port is open to other machines, and no
    service of ours runs as root."""
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["restart"] == ONCE.get(name, "unless-stopped"), name
        if name not in ONCE:
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
    assert "noeviction" in SERVICES["redis"]["command"]
    assert "\nUSER xtyl\n" in (ROOT / "engine" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVICES)
def test_no_command_holds_a_password(name: str) -> None:
    """Every process of the machine sees the command lines of services and of their health checks."""
    service = SERVICES[name]
    words = [service.get("command", []), service.get("entrypoint", []), service.get("healthcheck", {}).get("test", [])]
    assert [word for word in PASSWORDS.values() if word in filled(json.dumps(words))] == []


def test_the_backup_has_what_it_needs_and_no_more() -> None:
    """The image has the copying program of the server's version; the service can neither write to the home nor reach the broker,
    has no provider's key, and writes to a folder that its user owns."""
    image = (ROOT / "engine" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"postgresql-client-(\d+)", image) == re.findall(r"postgres:(\d+)", str(SERVICES["postgres"]))
    home, kept = SERVICES["backup"]["volumes"]
    assert home.endswith(":/var/lib/xtyl:ro")
    assert kept == f"${{XTYL_BACKUPS:-backups}}:{SERVICES['backup']['command'][-1]}"
    assert f"--owner=xtyl --mode=700 {SERVICES['backup']['command'][-1]}" in image
    names = {"XTYL_HOME", "XTYL_DATABASE_URL", "XTYL_LOG_FORMAT", "XTYL_METRICS"}
    assert SERVICES["backup"]["environment"].keys() == SERVICES["restore"]["environment"].keys() == names
    assert SERVICES["restore"]["profiles"] == ["restore"]


def test_compose_reads_it() -> None:
    """The file is valid by the Compose specification's own schema, and as YAML."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_password_has_a_default() -> None:
    """A missing password is named in the error; every variable of the file is in the example, without a usable value."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, default in _VARIABLE.findall(text):
        assert f"{name}=" in example, name
        if "PASSWORD" in name:
            assert default == "set it in .env", name
            assert f"{name}=\n" in example, name
