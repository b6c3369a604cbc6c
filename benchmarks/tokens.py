"""What one token of each role can cost the API: `python benchmarks/tokens.py` starts Valkey and `xtyl api`, asks with hostile
requests of each kind at once, and prints for each kind the memory and the time of a processor that the API's processes took, and
how long `/healthz` took meanwhile.
"""

from __future__ import annotations

import io
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import httpx
from PIL import Image

from bench import work_off
from servers import valkey_server, wait_until
from xtyl_engine.api.service import Service
from xtyl_engine.api.tokens import Role, TokenFile
from xtyl_engine.settings import Settings, load_settings, prepare_home

TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1024 * 1024
RUNS = "/api/workflows/executions"
FORECAST = "/api/workflows/forecast"
LOOP = "{% for a in many %}{% for b in many %}{% if a == b %}{% endif %}{% endfor %}{% endfor %}"


@dataclass(frozen=True)
class Hands:
    """What runs an execution's jobs in this process."""

    settings: Settings
    service: Service


@dataclass(frozen=True, kw_only=True)
class Api:
    """A served back end, and a client for each role."""

    port: int
    pid: int
    hands: Hands
    clients: dict[str, httpx.Client]

    def ask(self, role: str, method: str, path: str, **rest: Any) -> httpx.Response:
        return self.clients[role].request(method, path, **rest)


def main() -> None:
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| role | route | asked at once | answers | API, MB | bounded, MB | processor, s | `/healthz`, s at most |")
    print("|---|---|---|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory(prefix="xt") as folder,
        valkey_server() as broker,
        served(Path(folder), broker) as api,
    ):
        wait_until(lambda: len(children(api.pid)) >= 2)
        print(f"| | | nothing | | {resident(api.pid):.0f} | {sum(map(resident, children(api.pid))):.0f} | | |")
        for role, route, what, kind in kinds(api):
            print(f"| {role} | {route} | {what} | {measured(api, kind)} |", flush=True)
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")


def kinds(api: Api) -> Iterator[tuple[str, str, str, list[Callable[[], Any]]]]:
    """The hostile requests of each kind, with the role that may send them."""

    def forecast(prompt: str, rows: int, **values: Any) -> Callable[[], Any]:
        data = json.dumps({"workflow": document(prompt), "inputs": [values] * rows})
        return lambda: api.ask("read", "POST", FORECAST, content=data)

    many = list(range(1000))
    pictures = [upload(api, png(4096, tint)) for tint in range(8)]
    bomb, text = upload(api, png(7000, 9)), "x" * 55 * MEGABYTE
    id = submit(api, [{"pictures": [*pictures, bomb]}])
    long = submit(api, [{"text": text}])

    def scaled(picture: dict[str, Any], size: int) -> Callable[[], Any]:
        return lambda: api.ask("read", "GET", f"{RUNS}/{id}/artifacts/{picture['$artifact']}?size={size}")

    digits = forecast("{{ 5|round(-12000000) }}", 1)
    yield "read", f"POST {FORECAST}", "one of millions of digits", [digits]
    yield (
        "read",
        f"POST {FORECAST}",
        "8, one of them of 60 long loops",
        [forecast(LOOP, 60, many=many), *[forecast(LOOP, 1, many=many)] * 7],
    )
    yield "read", f"POST {FORECAST}", "40 of 3.9 MB", [forecast("{{ text }}", 1, text="x" * 3_900_000)] * 40
    yield "read", f"POST {FORECAST}", "80 half-sent bodies of 4 MB", [lambda: half_sent(api, 4 * MEGABYTE)] * 80
    yield "read", "GET E/artifacts/{name}?size=", "8 images of 4096 x 4096", [scaled(each, 512) for each in pictures]
    yield (
        "read",
        "GET E/artifacts/{name}?size=",
        "one of 49 megapixels in 8 sizes",
        [scaled(bomb, n * 64) for n in range(1, 9)],
    )
    yield "read", "GET E/rows", "8 of one row of 55 MB", [lambda: api.ask("read", "GET", f"{RUNS}/{long}/rows")] * 8
    wide = submit(api, [{"keys": {f"k{n}": 1 for n in range(900_000)}}])
    yield "read", "GET E/rows", "one row of 900,000 keys", [lambda: api.ask("read", "GET", f"{RUNS}/{wide}/rows")]
    loops = submit(api, [{"many": many}], LOOP)
    work_off(api.hands, loops)
    job = f"{RUNS}/{loops}/jobs/a/0"
    yield "read", "GET E/jobs/{node}/{item}", "16 of a long loop", [lambda: api.ask("read", "GET", job)] * 16
    whole = upload(api, bytes(60 * MEGABYTE), "application/octet-stream")
    files = submit(api, [{"file": whole}])
    path = f"{RUNS}/{files}/artifacts/{whole['$artifact']}"
    yield "read", "GET E/artifacts/{name}", "8 of a file of 60 MB", [lambda: api.ask("read", "GET", path)] * 8
    yield "none", "", "4,000 connections without a request", [lambda: silent(api, 4_000)]
    table = json.dumps({"workflow": document("A line"), "inputs": [{"text": text}]}).encode()
    yield "write", f"POST {RUNS}", "3 of a text of 55 MB", [lambda: api.ask("write", "POST", RUNS, content=table)] * 3
    nodes = [{"id": f"a{n}", "type": "generate_copy", "config": {"prompt": "{{ text }} " * 100}} for n in range(2000)]
    dense = json.dumps({"workflow": {"name": "dense", "nodes": nodes}, "inputs": {"text": "x"}})
    yield "write", f"POST {RUNS}", "2 of 2,000 steps", [lambda: api.ask("write", "POST", RUNS, content=dense)] * 2
    data = png(7000, 11)
    yield (
        "write",
        "POST /api/artifacts",
        "4 images of 49 megapixels",
        [lambda: api.ask("write", "POST", "/api/artifacts?media_type=image/png", content=data)] * 4,
    )


def measured(api: Api, kind: list[Callable[[], Any]]) -> str:
    """The cells of one kind: all its requests are sent at once."""
    began, most, over = spent(api.pid), [resident(api.pid), 0.0, 0.0], threading.Event()

    def look() -> None:
        while not over.is_set():
            most[0] = max(most[0], resident(api.pid))
            most[1] = max(most[1], sum(map(resident, children(api.pid))))
            time.sleep(0.01)

    def live() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{api.port}", timeout=60) as client:
            while not over.is_set():
                asked = time.monotonic()
                # An idle connection makes room for others; a client opens another one.
                with suppress(httpx.TransportError):
                    client.get("/healthz")
                most[2] = max(most[2], time.monotonic() - asked)
                time.sleep(0.02)

    watchers = [threading.Thread(target=each) for each in (look, live)]
    for each in watchers:
        each.start()
    with ThreadPoolExecutor(len(kind)) as threads:
        answers = Counter(getattr(found, "status_code", "ended") for found in threads.map(lambda ask: ask(), kind))
    over.set()
    for each in watchers:
        each.join()
    told = ", ".join(f"{count} x {status}" for status, count in answers.items())
    return f"{told} | {most[0]:.0f} | {most[1]:.0f} | {spent(api.pid) - began:.1f} | {most[2]:.2f}"


def half_sent(api: Api, size: int) -> None:
    head = f"POST {FORECAST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
    token = api.clients["read"].headers["Authorization"]
    with socket.create_connection(("127.0.0.1", api.port)) as client:
        client.sendall(f"{head}Authorization: {token}\r\n\r\n".encode())
        try:
            client.sendall(b"x" * (size - 1))
            client.settimeout(60)
            client.recv(1)
        except OSError:
            # The API has refused it, and hung up.
            return


def document(prompt: str) -> dict[str, Any]:
    return {"name": "hostile", "nodes": [{"id": "a", "type": "generate_copy", "config": {"prompt": prompt}}]}


def png(side: int, tint: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (side, side), (tint, 0, 0, 128)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def silent(api: Api, count: int) -> None:
    with ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(socket.create_connection(("127.0.0.1", api.port)))


def upload(api: Api, data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    stored = api.ask("write", "POST", f"/api/artifacts?media_type={media_type}", content=data).raise_for_status()
    found: dict[str, Any] = stored.json()
    return found


def submit(api: Api, rows: list[dict[str, Any]], prompt: str = "A line") -> str:
    body = {"workflow": document(prompt), "inputs": rows}
    answer = api.ask("write", "POST", RUNS, json=body).raise_for_status()
    return str(answer.json()["id"])


@contextmanager
def served(folder: Path, broker: str) -> Iterator[Api]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    named = {
        "XTYL_HOME": str(folder / "home"),
        "XTYL_DATABASE_URL": f"sqlite:///{folder / 'xtyl.db'}",
        "XTYL_REDIS_URL": broker,
    }
    settings = load_settings(named)
    prepare_home(settings)
    tokens = TokenFile(settings.tokens_file)
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("xtyl")), "api", "--port", str(port)],
        env=os.environ | named,
        stderr=subprocess.DEVNULL,
    )
    try:
        clients = {
            str(role): httpx.Client(
                base_url=address,
                timeout=120,
                headers={"Authorization": f"Bearer {tokens.create(str(role), role, 'press')}"},
            )
            for role in (Role.READ, Role.WRITE)
        }
        wait_until(lambda: is_there(address))
        yield Api(port=port, pid=process.pid, clients=clients, hands=Hands(settings, Service(settings)))
    finally:
        process.terminate()
        process.wait()


def is_there(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def resident(pid: int) -> float:
    """The memory of a process, in MB."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def spent(pid: int) -> float:
    """Seconds of a processor that a process and its ended and living children took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(each) for each in fields[11:15])
    living = 0
    for child in children(pid):
        try:
            living += sum(
                int(each) for each in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]
            )
        except OSError:
            continue
    return (own + living) / TICKS


if __name__ == "__main__":
    main()
