"""A small real web server for tests: it gives the answers of the test, and keeps the requests."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """The answer to one request; `chunks` are sent one by one, each as soon as the iterator gives it."""

    status: int = 200
    body: bytes = b"{}"
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterator[bytes] | None = None


def problem(status: int, code: str, detail: str, **more: Any) -> Answer:
    """A problem document."""
    body = json.dumps({"type": "about:blank", "status": status, "code": code, "detail": detail, **more}).encode()
    return Answer(status=status, body=body, media_type="application/problem+json")


def document(value: Any) -> Answer:
    """A JSON document."""
    return Answer(body=json.dumps(value).encode())


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """A running server. `answer` may be exchanged at any time."""

    url: str
    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)


@contextlib.contextmanager
def web(answer: Callable[[Asked], Answer] = lambda asked: Answer()) -> Iterator[Web]:
    """A server on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = Asked(self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            made.asked.append(asked)
            said = made.answer(asked)
            self.send_response(said.status)
            self.send_header("Content-Type", said.media_type)
            for name, text in said.headers.items():
                self.send_header(name, text)
            if said.chunks is None:
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)
                return
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with contextlib.suppress(OSError):
                for chunk in said.chunks:
                    self.wfile.write(chunk)
                    self.wfile.flush()

        do_POST = do_GET

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Web(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
