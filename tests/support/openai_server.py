"""A local server that speaks OpenAI's protocol and misbehaves on purpose: the model's name says how. It keeps every
request. Standard library only.
"""

import base64
import io
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kinds_of_servers import refusal_of

ERRORS = {
    "bad-request": (400, "unknown parameter", "invalid_request_error", {}),
    "too-many-tokens": (400, "max_tokens is too large", "invalid_value", {}),
    "no-limit": (400, "neither max_tokens nor max_completion_tokens", "invalid_request_error", {}),
    "content-policy": (400, "your prompt was rejected", "content_policy_violation", {}),
    "bad-key": (401, "Incorrect API key provided: {key}", "invalid_api_key", {}),
    "forbidden": (403, "no access", None, {}),
    "no-model": (404, "the model does not exist", "model_not_found", {}),
    "rate-limit": (429, "slow down", "rate_limit_exceeded", {"Retry-After": "7"}),
    "rate-limit-date": (429, "slow down", None, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "rate-limit-nonsense": (429, "slow down", None, {"Retry-After": "soon"}),
    "no-quota": (429, "you exceeded your quota", "insufficient_quota", {"Retry-After": "1"}),
    "broken": (500, "oops", None, {}),
    "overloaded": (503, "overloaded", None, {"Retry-After": "2"}),
}
# A key that it refuses, whatever the model.
MISTYPED = "sk-mistyped"
# Models that take `max_completion_tokens` alone, and the ways in which servers say so.
RESPELT = {
    "reasoning": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
    },
    "reasoning-tersely": {"message": "not here", "param": "max_tokens", "code": "unsupported_parameter"},
    "reasoning-bluntly": "max_tokens is over, write max_completion_tokens",
}
BODIES = {
    "no-choices": '{"id":"x","object":"chat.completion","choices":[]}',
    "null-choices": '{"choices":null,"data":null}',
    "empty-text": '{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":""}}]}',
    "no-room": '{"choices":[{"index":0,"finish_reason":"length","message":{"role":"assistant","content":null}}]}',
    "filtered": '{"choices":[{"index":0,"finish_reason":"content_filter","message":{"content":"half"}}]}',
    "cut": '{"choices":[{"index":0,"finish_reason":"length","message":{"content":"Light that"}}]}',
    "refused": '{"choices":[{"index":0,"finish_reason":"stop","message":{"content":null,"refusal":"I cannot"}}]}',
    "half-json": '{"choices":[{"index":0,"mess',
    "list": "[1,2]",
    "number": "7",
    "link": '{"data":[{"url":"http://127.0.0.1:9/secret.png"}]}',
    "half-base64": '{"data":[{"b64_json":"iVBORw0KGgo"}]}',
    "no-data": '{"data":[]}',
    "empty-image": '{"data":[{}]}',
}


@dataclass
class OpenAIServer:
    """The address of the server, its requests, and how it answers models as a test sets it: status, body, headers."""

    url: str
    answers: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def openai_server() -> Iterator[OpenAIServer]:
    """Run the server in a thread; hanging answers are released at the end."""
    served = OpenAIServer(url="")
    handler = type("Bound", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: OpenAIServer

    def do_POST(self) -> None:
        data, kind = self.rfile.read(int(self.headers["Content-Length"])), self.headers["Content-Type"]
        body = read_form(kind, data) if kind.startswith("multipart/") else json.loads(data)
        self.served.requests.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        model = body["model"]
        if model in self.served.answers:
            self._answer(*self.served.answers[model])
        elif self.headers.get("Authorization") == f"Bearer {MISTYPED}":
            self._refuse(*ERRORS["bad-key"])
        elif model in ERRORS:
            self._refuse(*ERRORS[model])
        elif model in RESPELT and "max_tokens" in body:
            self._answer(400, json.dumps({"error": RESPELT[model]}))
        elif refused := refusal_of(model, self.path, body):
            self._answer(*refused)
        elif model in BODIES:
            self._answer(200, BODIES[model])
        elif model.startswith("echo"):
            self._answer(200, json.dumps(self._echo(model)))
        elif model == "hang":
            self.served.release.wait()
        elif model == "web-page":
            self._answer(200, "<html>captive portal</html>", {"Content-Type": "text/html"})
        elif model == "cut-off":
            self._answer(200, '{"choices":[', {"Content-Length": "5000"})
        elif self.path.partition("?")[0].endswith("/chat/completions"):
            self._answer(200, json.dumps(_completion(body)))
        else:
            size = body.get("size", "64x64")
            self._answer(200, json.dumps({"data": [{"b64_json": png(*map(int, size.split("x")))}]}))

    def do_GET(self) -> None:
        status, text, headers = self.served.answers.get(self.path, (404, "", {}))
        self.served.requests.append((self.path, None, {name.lower(): value for name, value in self.headers.items()}))
        self._answer(status, text, headers)

    def _echo(self, model: str) -> dict[str, Any]:
        """An answer that quotes the key wherever it can."""
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        said = {"content": f"by {key}"} if model == "echo" else {"content": None, "refusal": f"not with {key}"}
        return {"model": f"m {key}", "choices": [{"index": 0, "finish_reason": "stop", "message": said}]}

    def _refuse(self, status: int, message: str, code: str | None, headers: dict[str, str]) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self._answer(status, json.dumps({"error": {"message": message.format(key=key), "code": code}}), headers)

    def _answer(self, status: int, text: str, given: Any = ()) -> None:
        data = text.encode("latin-1" if status == 200 and self.command == "GET" else "utf-8")
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"} | dict(
            given
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def read_form(kind: str, data: bytes) -> dict[str, Any]:
    """The fields of a form, texts as they are; the files of each field as a list of name, media type and bytes."""
    form: dict[str, Any] = {}
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + data)
    for part in message.get_payload():
        assert isinstance(part, Message)
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename() is None:
            form[str(name)] = content.decode()
        else:
            form.setdefault(str(name), []).append((part.get_filename(), part.get_content_type(), content))
    return form


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    content = body["messages"][-1]["content"]
    text = f" {content if isinstance(content, str) else content[0]['text']} by {body['model']} "
    return {
        "id": "x",
        "object": "chat.completion",
        "model": f"{body['model']}-2026",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
    }


def png(width: int, height: int) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    buffer = io.BytesIO(b"")
    buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)))
    buffer.write(chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * width) * height)) + chunk(b"IEND", b""))
    return base64.b64encode(buffer.getvalue()).decode()
