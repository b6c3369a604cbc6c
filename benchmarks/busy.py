"""A hundred executions at once, and executions of a thousand nodes: the time, the cost of a node beyond its own work, and the
resources used. Celery's canvas does the same, by turns.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crowd import Crowd, submit
from gauges import Used
from graphs import Graph, chain, document
from naps import NAP_SECONDS

from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate

IDLE_SECONDS = 10.0
# Draft eight, choose, draw eight, choose, attach.
STORY = (1, 8, 1, 8, 1, 1)
SLOT_TIMES = """
SELECT a.finished - a.started, j.output FROM job_attempts a JOIN agent_jobs j ON j.id = a.job_id WHERE j.execution_id = ANY(:ids)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The times of a load: `seconds` until all is over, the time that each job held its slot, and the length of its nap."""

    seconds: float
    slots: list[float]
    naps: list[float]
    used: Used
    nap_seconds: float = NAP_SECONDS

    @property
    def overheads(self) -> list[float]:
        """Milliseconds that each job held its slot beyond its requested sleep."""
        return sorted(1000 * (taken - self.nap_seconds) for taken in self.slots)

    @property
    def lateness(self) -> float:
        """Average milliseconds that a sleep took longer than requested: the machine's part."""
        return 1000 * (statistics.mean(self.naps) - self.nap_seconds)


def stages(widths: Sequence[int]) -> Graph:
    """Stages in sequence: each node of a stage waits for all nodes of the one before."""
    graph: Graph = {}
    before: list[str] = []
    for place, width in enumerate(widths):
        now = [f"n{place}_{each}" for each in range(width)]
        graph |= dict.fromkeys(now, before)
        before = now
    return graph


def plan_of(graph: Graph, function: str = "naps:nap") -> Plan:
    """A graph of naps as a validated plan."""
    return validate(parse_document(document("load", graph, function)))


def work_off(crowd: Crowd, plan: Plan, count: int, rows: int = 1, nap_seconds: float = NAP_SECONDS) -> Done:
    """Submit that many executions and wait until all are over."""
    with crowd.gauge() as gauge:
        began = time.perf_counter()
        runs = [submit(plan, rows) for _ in range(count)]
        for run in runs:
            run.wait(1800)
        seconds = time.perf_counter() - began
    assert all(run.state == "completed" for run in runs)
    found = crowd.rows(SLOT_TIMES, ids=[run.id for run in runs])
    naps = [json.loads(output)["value"]["took"] for _, output in found]
    slots = [float(taken) for taken, _ in found]
    return Done(seconds=seconds, slots=slots, naps=naps, used=gauge.used, nap_seconds=nap_seconds)


def print_hundred(crowd: Crowd, canvas: Callable[[Sequence[int], int], None], count: int, runs: int) -> None:
    """That many executions at once, as three kinds of graph, and the resources that they use."""
    story = f"{count} executions of 20 nodes: {', '.join(map(str, STORY))}"
    print(
        "| all at once | s | jobs/s | Celery's canvas: s | ms of a slot beyond the job's own: average, p50, p99 | of it the"
        " sleep's lateness |\n|---|---|---|---|---|---|"
    )
    used = {}
    for name, plan, rows, nap_seconds, widths in (
        (f"{story}, 20 ms each", plan_of(stages(STORY)), 1, NAP_SECONDS, STORY),
        (f"{count} executions of a chain of 4 over 5 rows, 20 ms each", plan_of(chain(4)), 5, NAP_SECONDS, ()),
        (f"{story}, 200 ms each", plan_of(stages(STORY), "naps:long_nap"), 1, 10 * NAP_SECONDS, ()),
    ):
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(work_off(crowd, plan, count, rows, nap_seconds))
            theirs += [timed(lambda: canvas(STORY, count))] if widths else []
        done = middle(ours)
        peer = f"{statistics.median(theirs):.2f}" if theirs else ""
        row = f"{done.seconds:.2f} | {len(done.slots) / done.seconds:,.0f} | {peer} | {spread(done.overheads)}"
        print(f"| {name} | {row} | {done.lateness:.1f} |", flush=True)
        used[name] = done
    print_used(crowd, used[f"{story}, 20 ms each"])


def middle(found: list[Done]) -> Done:
    """The load whose time is the median."""
    return sorted(found, key=lambda done: done.seconds)[(len(found) - 1) // 2]


def print_used(crowd: Crowd, done: Done) -> None:
    """The resources that a load used."""
    used, jobs = done.used, len(done.slots)
    most = crowd.value("SELECT setting FROM pg_settings WHERE name = 'max_connections'")
    held = sorted(used.worker_megabytes)
    print("\n| used meanwhile | |\n|---|---|")
    print(f"| connections to PostgreSQL, peak, of | {used.connections} of {most} |")
    print(f"| memory of a worker in MB, p50, most | {statistics.median(held):.0f}, {held[-1]:.0f} |")
    print(f"| memory of the broker in MB, peak | {used.broker_megabytes:.1f} |")
    for part in ("workers", "postgres", "broker"):
        seconds = getattr(used, part)
        print(f"| processor of {part}: cores, ms a job | {seconds / used.seconds:.2f}, {1000 * seconds / jobs:.2f} |")
    print(flush=True)


def print_idle(crowd: Crowd) -> None:
    """The cost of idle workers: they sweep and renew."""
    with crowd.gauge() as gauge:
        threading.Event().wait(IDLE_SECONDS)
    used, count = gauge.used, len(crowd.workers)
    print(f"| {count} workers with nothing to do: ms of a processor a second, for each of them | |\n|---|---|")
    for part in ("workers", "postgres", "broker"):
        print(f"| {part} | {1000 * getattr(used, part) / used.seconds / count:.1f} |")
    print(f"| connections to the broker, for all of them and a client | {used.clients} |\n", flush=True)


def print_chain(crowd: Crowd, length: int, runs: int) -> None:
    """One chain and nothing else: the cost of a node that never waits for a slot."""
    plan = plan_of(chain(length))
    work_off(crowd, plan, 1)
    overheads = sorted(each for _ in range(runs) for each in work_off(crowd, plan, 1).overheads)
    print("| nothing else at work | ms of a slot beyond the job's own: average, p50, p99 |\n|---|---|")
    print(f"| a chain of {length}, 20 ms each | {spread(overheads)} |\n", flush=True)


def print_thousand(crowd: Crowd, canvas: Callable[[Sequence[int], int], None], size: int, runs: int) -> None:
    """One execution of a thousand nodes, deep and wide."""
    shapes = {f"a chain of {size:,}": (1,) * size, f"1, {size - 2:,} at once, 1": (1, size - 2, 1)}
    print("| one execution, nodes of 20 ms | seconds | Celery's canvas: s | guide: s |\n|---|---|---|---|")
    for name, widths in shapes.items():
        plan = plan_of(stages(widths))
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(work_off(crowd, plan, 1).seconds)
            theirs.append(timed(lambda: canvas(widths, 1)))  # noqa: B023
        print(f"| {name} | {statistics.median(ours):.2f} | {statistics.median(theirs):.2f} | 300 |", flush=True)
    print()


def timed(work: Callable[[], object]) -> float:
    """The seconds that it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(values: Sequence[float]) -> str:
    """Average, median and 99th percentile of sorted values."""
    last = values[min(len(values) - 1, int(len(values) * 0.99))]
    return f"{statistics.mean(values):.1f}, {statistics.median(values):.1f}, {last:.1f}"
