"""How many calls to a provider a second: `python benchmarks/providers.py` prints a table in Markdown; `--runs` for the medians.

A server of its own process answers at once, in the protocol that is asked. A run has one step and 1,000 rows, on an embedded back
end with 16 slots, with retries and usage as ever; beside it the provider alone, called from 16 threads.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pandas as pd

import xtyl_nb as xt
from xtyl_engine.embedded import client as local
from xtyl_engine.providers.base import TextRequest
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.providers.vendors import calls
from xtyl_engine.settings import load_settings

SLOTS, CALLS = 16, 1_000
NAMES = ("openai", "anthropic", "gemini", "mistral")
# Sockets alone: http.server would be the slower side. One body serves all: each reader takes what is its own.
SERVER = """
import asyncio, json

USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "input_tokens": 5, "output_tokens": 6}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Light that calms."}}
ANSWERS = {
    b"/chat/completions": {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE],
        "usage": USAGE},
    b"/messages": {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Light that calms."}], "stop_sequence": None, "usage": USAGE},
    b":generateContent": {"candidates": [{"content": {"role": "model", "parts": [{"text": "Light that calms."}]},
        "finishReason": "STOP"}], "modelVersion": "m", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6, "totalTokenCount": 11}},
}
REPLIES = {}
for end, answer in ANSWERS.items():
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\nrequest-id: r\\r\\n\\r\\n"
    REPLIES[end] = head.encode() + body


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            path = head.split(b" ", 2)[1]
            writer.write(next(reply for end, reply in REPLIES.items() if path.endswith(end)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
"""


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that answers at once."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def run_through(name: str, rows: int) -> float:
    """The seconds of one run of so many rows."""
    flow = xt.Workflow("calls").generate_copy("line", prompt="A line {{ row }}", provider=name, model="m", cache=False)
    began = time.perf_counter()
    run = flow.run(pd.DataFrame({"row": range(rows)})).wait(300)
    seconds = time.perf_counter() - began
    assert run.state == "completed", run.jobs()["error"].dropna().head(1).tolist()
    assert set(run.jobs()["tokens"]) == {11}
    return seconds


def alone(name: str, count: int) -> float:
    """The seconds of so many calls to the provider by itself, which is made for each call as for each job."""
    environment = dict(os.environ)

    def ask(number: int) -> None:
        request = TextRequest(prompt=f"A line {number}", model="m", key=f"k/{number}", is_seeded=False)
        assert get_provider(name, environment).write(request).usage.tokens == 11

    ask(0)
    with ThreadPoolExecutor(SLOTS) as pool:
        began = time.perf_counter()
        list(pool.map(ask, range(count)))
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--calls", type=int, default=CALLS)
    options = parser.parse_args()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}, load {load}; medians of {options.runs}\n")
    print("| provider | calls a second in a run | of the provider alone |\n|---|---|---|")
    with server() as address, tempfile.TemporaryDirectory(prefix="xtyl-") as home:
        os.environ |= {"XTYL_HOME": home, "XTYL_SLOTS": str(SLOTS)}
        for name in NAMES:
            os.environ[f"{name.upper()}_API_KEY"] = "k-0123456789"
            os.environ[f"{name.upper()}_BASE_URL"] = address
        try:
            for name in NAMES:
                # The first loads the libraries in the worker and here.
                run_through(name, 32)
                runs = [options.calls / run_through(name, options.calls) for _ in range(options.runs)]
                calls_alone = [options.calls / alone(name, options.calls) for _ in range(options.runs)]
                print(
                    f"| {name} | {statistics.median(runs):,.0f} | {statistics.median(calls_alone):,.0f} |", flush=True
                )
        finally:
            calls.close()
            local.down(load_settings())


if __name__ == "__main__":
    main()
