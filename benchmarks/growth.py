"""Growth with the number of jobs: the broker's memory for many executions of a thousand nodes, and the time and the
database's size from a hundred jobs to a hundred thousand.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from busy import plan_of, work_off
from crowd import Crowd, submit
from graphs import layered

from xtyl_engine.workflow.plan import Plan

NODES = 20
SPREAD_ROWS = 5
SIZES = """
SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY 2 DESC
"""
SIZE = "SELECT pg_database_size(current_database())"


def print_memory(crowd: Crowd, count: int) -> None:
    """The broker's memory before, during and after that many executions of a thousand nodes."""
    plan = plan_of(layered(20, 50))
    crowd.client.flushall()
    before = crowd.client.info("memory")["used_memory"] / 1e6
    done = work_off(crowd, plan, count)
    after = crowd.client.info("memory")["used_memory"] / 1e6
    streams = [
        (crowd.client.xlen(key), crowd.client.memory_usage(key)) for key in crowd.client.scan_iter("xtyl:events:*")
    ]
    entries, sizes = zip(*streams, strict=True)
    print(f"| the broker, {count} executions of 1,000 nodes, 20 ms each, at once | | aim |\n|---|---|---|")
    print(f"| seconds, jobs/s | {done.seconds:.0f}, {len(done.slots) / done.seconds:,.0f} | |")
    print(f"| MB before, peak, after | {before:.1f}, {done.used.broker_megabytes:.1f}, {after:.1f} | 100 |")
    print(f"| entries of a stream: median, most | {statistics.median(entries):,.0f}, {max(entries):,} | 10,000 |")
    print(
        f"| KB of a stream: median, most | {statistics.median(sizes) / 1e3:.0f}, {max(sizes) / 1e3:.0f} | |\n",
        flush=True,
    )


def print_growth(crowd: Crowd, scales: Sequence[int], runs: int) -> None:
    """Jobs that do nothing, in one execution and in many of a hundred: seconds, processor and bytes for each."""
    plan = plan_of(layered(NODES, 1), "naps:nothing")
    print(
        "| jobs that do nothing | submit: s | all: s | ms a job | processor a job: ms of workers, of PostgreSQL | bytes a job in"
        " PostgreSQL |\n|---|---|---|---|---|---|"
    )
    grown(crowd, plan, 10, SPREAD_ROWS)
    small = NODES * SPREAD_ROWS
    for name, spread_out in (("one execution", False), (f"executions of {small}", True)):
        for jobs in scales[int(spread_out) :]:
            count = jobs // small if spread_out else 1
            times = runs if jobs < 100_000 else 1
            found = [grown(crowd, plan, count, jobs // NODES // count) for _ in range(times)]
            submitted, seconds, size, workers, postgres = (statistics.median(each) for each in zip(*found, strict=True))
            cells = f"{submitted:.2f} | {seconds:.2f} | {1000 * seconds / jobs:.2f}"
            cells += f" | {1000 * workers / jobs:.2f}, {1000 * postgres / jobs:.2f} | {size / jobs:,.0f}"
            print(f"| {jobs:,} in {name} | {cells} |", flush=True)
    sizes = crowd.rows(SIZES)
    all_jobs = crowd.value("SELECT count(*) FROM agent_jobs")
    told = ", ".join(f"{name} {size / all_jobs:,.0f}" for name, size in sizes if size / all_jobs >= 1)
    print(f"\nBytes a job with indexes, after {all_jobs:,} jobs: {told}.\n", flush=True)


def grown(crowd: Crowd, plan: Plan, count: int, rows: int) -> tuple[float, float, float, float, float]:
    """The seconds to submit and until all is over, the growth of the database in bytes, and the processor seconds of workers and
    database."""
    before = crowd.value(SIZE)
    with crowd.gauge() as gauge:
        began = time.perf_counter()
        runs = [submit(plan, rows) for _ in range(count)]
        submitted = time.perf_counter() - began
        for run in runs:
            run.wait(3600)
        seconds = time.perf_counter() - began
    used = gauge.used
    return submitted, seconds, crowd.value(SIZE) - before, used.workers, used.postgres
