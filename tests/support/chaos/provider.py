"""The fake provider: a separate process that speaks OpenAI's protocol and writes a durable line for each request and each answer.
The engine never writes that log, so the judge can tell from it which requests were made and paid for.

`provider.py <log> <seed>` prints its port. No two answers are alike; some requests are refused or cut off, as the seed says.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOWEST_SECONDS = 0.15
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Log:
    """A log whose lines are on disk when `write` returns."""

    def __init__(self, path: str):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def write(self, **facts: object) -> None:
        with self._lock:
            os.write(self._file, (json.dumps(facts | {"time": time.time()}) + "\n").encode())
            os.fsync(self._file)


class Handler(BaseHTTPRequestHandler):
    log: Log
    draw: random.Random

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key, prompt = self.headers.get("Idempotency-Key"), body["messages"][-1]["content"]
        self.log.write(kind="request", key=key, prompt=prompt)
        threading.Event().wait(self.draw.uniform(0.01, SLOWEST_SECONDS))
        chance = self.draw.random()
        if chance < 0.04:
            self._say(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"})
        elif chance < 0.08:
            self._say(500, {"error": {"message": "oops"}}, {})
        else:
            text = f"answer {uuid.uuid4().hex}"
            self.log.write(kind="answer", key=key, text=text)
            if chance > 0.97:
                # The answer is paid for, and never arrives.
                self.close_connection = True
                return
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._say(
                200, {"id": "x", "object": "chat.completion", "model": "fake", "choices": [choice], "usage": USAGE}, {}
            )

    def _say(self, status: int, body: object, headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def main(path: str, seed: str) -> None:
    bound = type("Bound", (Handler,), {"log": Log(path), "draw": random.Random(int(seed))})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
