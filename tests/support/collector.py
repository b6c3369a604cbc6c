"""A local server that takes any post, as Sentry and an OpenTelemetry collector do. Standard library only."""

import gzip
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Collector:
    """Its address, and the posts that it got: path, headers, body."""

    port: int = 0
    posts: list[Any] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"http://canary-dsn-key@127.0.0.1:{self.port}/7"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, _, body in list(self.posts) if at.startswith(path)]

    def events(self) -> list[dict[str, Any]]:
        """The events of all Sentry envelopes: a header, then for each item its own header and a line."""
        lines = [line for body in self.bodies("/api/7/envelope/") for line in body.splitlines()]
        return [
            json.loads(event) for head, event in itertools.pairwise(lines) if json.loads(head).get("type") == "event"
        ]

    def spans(self) -> list[tuple[dict[str, Any], Any]]:
        """The attributes of each span, and the span."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies("/v1/traces")]
        spans = [span for one in sent for of in one.resource_spans for scope in of.scope_spans for span in scope.spans]
        return [({each.key: _value(each.value) for each in span.attributes}, span) for span in spans]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@contextmanager
def collector() -> Iterator[Collector]:
    """Run the server in a thread."""
    made = Collector()
    handler = type("Bound", (_Handler,), {"collector": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.collector.posts.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
