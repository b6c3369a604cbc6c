"""A local server that speaks the protocols of Anthropic, Google and Mistral, and misbehaves on purpose: the model's name says
how. It keeps every request.
"""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

VENDORS = ("anthropic", "gemini", "mistral")
SCHEMAS = ("output_config", "responseJsonSchema", "response_format")
# Per model: a status, and the words that each vendor finds for it.
ERRORS: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {
    "bad-key": (
        401,
        {
            "anthropic": {"type": "authentication_error", "message": "invalid x-api-key {key}"},
            "gemini": {
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "message": "API key not valid. Please pass a valid API key.",
                "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
            },
            "mistral": {"detail": "Unauthorized {key}"},
        },
        {},
    ),
    "no-model": (
        404,
        {
            "anthropic": {"type": "not_found_error", "message": "model: no-model"},
            "gemini": {"code": 404, "status": "NOT_FOUND", "message": "models/no-model is not found"},
            "mistral": {
                "object": "error",
                "type": "invalid_model",
                "code": "1500",
                "message": "Invalid model: no-model",
            },
        },
        {},
    ),
    "no-quota": (
        400,
        {
            "anthropic": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the API.",
            },
            "gemini": {"code": 402, "status": "FAILED_PRECONDITION", "message": "insufficient_quota"},
            "mistral": {"message": "Payment required", "code": "402"},
        },
        {},
    ),
    "too-long": (
        400,
        {
            "anthropic": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 210000 tokens > 200000 maximum",
            },
            "gemini": {
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "message": "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
            },
            "mistral": {
                "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"
            },
        },
        {},
    ),
    "filtered-prompt": (
        400,
        {
            "anthropic": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
            "gemini": {"code": 400, "status": "INVALID_ARGUMENT", "message": "content_policy"},
            "mistral": {"message": "content_filter"},
        },
        {},
    ),
    "busy": (
        429,
        {
            "anthropic": {"type": "rate_limit_error", "message": "slow down"},
            "gemini": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down"},
            "mistral": {"message": "Requests rate limit exceeded"},
        },
        {"Retry-After": "7"},
    ),
    "busy-date": (
        429,
        {},
        {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:40 GMT"},
    ),
    "busy-ms": (429, {}, {"retry-after-ms": "250"}),
    "busy-silent": (429, {}, {}),
    "overloaded": (529, {"anthropic": {"type": "overloaded_error", "message": "Overloaded"}}, {}),
    "broken": (500, {}, {}),
    "away": (503, {}, {"Retry-After": "2"}),
    "bad-parameter": (
        422,
        {"mistral": {"detail": [{"loc": ["body", "temperature"], "msg": "must be at most 1.5"}]}},
        {},
    ),
    "elsewhere": (302, {}, {"Location": "https://elsewhere.example/v1"}),
}
# Per model: how an answer ends, in each vendor's word.
ENDINGS = {
    "m": ("end_turn", "STOP", "stop"),
    "cut": ("max_tokens", "MAX_TOKENS", "length"),
    "cut-context": ("model_context_window_exceeded", "MAX_TOKENS", "model_length"),
    "no-room": ("max_tokens", "MAX_TOKENS", "length"),
    "refused": ("refusal", "SAFETY", "content_filter"),
    "paused": ("pause_turn", "OTHER", "tool_calls"),
    "unended": (None, None, None),
    "empty": ("end_turn", "STOP", "stop"),
    "no-usage": ("end_turn", "STOP", "stop"),
}
BODIES = {
    "half-json": '{"id": "x", "content": [{"ty',
    "list": "[1, 2]",
    "nothing": "{}",
    "web-page": "<html>captive portal</html>",
    "error-inside": '{"error": {"message": "out of memory {key}", "type": "internal"}}',
}


@dataclass
class VendorServer:
    """The address of the server, and its requests: path, body, headers."""

    url: str
    requests: list[Any] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def vendor_server() -> Iterator[VendorServer]:
    """Run the server in a thread; hanging answers are released at the end."""
    served = VendorServer(url="")
    handler = type("Bound", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
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
    served: VendorServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.served.requests.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
        place = 0 if "/messages" in self.path else 1 if "generateContent" in self.path else 2
        model = body["model"] if place != 1 else self.path.rpartition("/")[2].partition(":")[0]
        if (model, place) == ("small", 0) and body["max_tokens"] > 4096:
            said = {"type": "invalid_request_error", "message": "max_tokens: 8192 > 4096, the most that small takes"}
            self._answer(400, json.dumps({"type": "error", "error": said}))
        elif model == "plain" and (seed := next((name for name in ("random_seed", "seed") if name in str(body)), None)):
            self._answer(400, json.dumps({"error": {"code": 400, "message": f"{seed} is not supported"}}))
        elif model == "schemaless" and (named := next((name for name in SCHEMAS if name in str(body)), None)):
            self._answer(
                400, json.dumps({"error": {"code": 400, "message": f"{named} is not supported by this model"}})
            )
        elif model in ERRORS:
            status, words, headers = ERRORS[model]
            said = words.get(VENDORS[place], {"message": "oops"})
            self._answer(status, json.dumps(said if place == 2 else {"type": "error", "error": said}), headers)
        elif model in BODIES:
            self._answer(200, BODIES[model])
        elif model == "cut-off":
            self._answer(200, '{"id": "x", ', {"Content-Length": "5000"})
        elif model == "endless":
            self._pour()
        elif model == "hang":
            self.served.release.wait()
        elif model == "drip":
            self._drip()
        else:
            made = (_anthropic, _gemini, _mistral)[place]
            self._answer(200, json.dumps(made(body, model, ENDINGS.get(model, ENDINGS["m"])[place])))

    def _answer(self, status: int, text: str, given: Any = ()) -> None:
        sent = [self.headers.get(name) for name in ("x-api-key", "x-goog-api-key", "authorization")]
        key = next((value for value in sent if value), "")
        data = text.replace("{key}", key.removeprefix("Bearer ")).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), "request-id": "req-1"}
        headers |= dict(given)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = headers["Content-Length"] != str(len(data))

    def _pour(self) -> None:
        """Megabyte after megabyte, as fast as they are taken."""
        self.send_response_only(200)
        self.send_header("Content-Length", "1000000000000")
        self.end_headers()
        with suppress(OSError):
            while not self.served.release.is_set():
                self.wfile.write(b" " * 1_000_000)
        self.close_connection = True

    def _drip(self) -> None:
        """A byte now and then: each comes in time, and the whole never does."""
        self.send_response_only(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.served.release.wait(0.02):
            try:
                self.wfile.write(b" ")
            except OSError:
                break
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _words(content: Any) -> str:
    return str(content if isinstance(content, str) else content[0]["text"])


def _text(model: str, prompt: str) -> str:
    return "" if model in ("empty", "no-room") else f" {prompt} by {model} "


def _anthropic(body: dict[str, Any], model: str, ended: str | None) -> dict[str, Any]:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1, "output_tokens": 6}
    return {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-2026",
        "content": [{"type": "text", "text": _text(model, _words(body["messages"][-1]["content"]))}],
        "stop_reason": ended,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0} if model == "no-usage" else usage,
    }


def _gemini(body: dict[str, Any], model: str, ended: str | None) -> dict[str, Any]:
    part: dict[str, Any] = {"text": _text(model, body["contents"][-1]["parts"][0]["text"])}
    usage: dict[str, Any] = {
        "promptTokenCount": 8,
        "cachedContentTokenCount": 2,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 14,
    }
    if "IMAGE" in body.get("generationConfig", {}).get("responseModalities", ()) and model != "talks":
        data = {"half-image": "iVBORw0KGgo=====&", "no-image": ""}.get(model) or _png()
        part = {"inlineData": {"mimeType": "image/png", "data": data}} if model != "no-image" else {"text": ""}
        usage |= {"candidatesTokenCount": 1294, "totalTokenCount": 1304}
        usage["candidatesTokensDetails"] = [
            {"modality": "IMAGE", "tokenCount": 1290},
            {"modality": "TEXT", "tokenCount": 4},
        ]
    if model == "blocked":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, **({"finishReason": ended} if ended else {})}],
        "modelVersion": f"{model}-2026",
        "responseId": "response-1",
        **({} if model == "no-usage" else {"usageMetadata": usage}),
    }


def _mistral(body: dict[str, Any], model: str, ended: str | None) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 8,
        "completion_tokens": 6,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    message = {"role": "assistant", "content": _text(model, _words(body["messages"][-1]["content"]))}
    return {
        "id": "cmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-2026",
        "choices": [{"index": 0, "finish_reason": ended, "message": message}],
        "usage": usage,
    }


def _png() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
