"""The delay of a short run behind a long one, and the shares of slots of a hundred runs: `python benchmarks/fairness.py` measures
both on SQLite and PostgreSQL, with the default settings and two workers of 16 slots each.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from itertools import chain
from pathlib import Path

from recovery import Place, place, spread

import xtyl_nb as xt
from servers import postgres_server, wait_until
from xtyl_nb.runs.run import Run

ALL_SLOTS = 32
FIRST_STARTS = "SELECT min(j.started) - e.created FROM agent_jobs j JOIN workflow_executions e ON e.id = j.execution_id"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured on each database")
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.runs} runs\n")
    print("| | SQLite | PostgreSQL | bound |\n|---|---|---|---|")
    columns = []
    with tempfile.TemporaryDirectory(prefix="xf") as folder, postgres_server(Path(folder) / "pg") as postgres:
        for url in (f"sqlite:///{folder}/sqlite.db", postgres):
            with place(Path(folder) / url[:4], url) as there:
                columns.append(measure(there, options.runs))
    for (name, bound), cells in zip(
        columns[0], zip(*(column.values() for column in columns), strict=True), strict=True
    ):
        print(f"| {name} | {' | '.join(cells)} | {bound} |")


def measure(there: Place, runs: int) -> dict[tuple[str, str], str]:
    """Every figure for one database, with its bound."""
    behind = sorted(behind_a_long_one(there) for _ in range(runs * 4))
    firsts, whole = zip(*[a_hundred(there) for _ in range(runs)], strict=True)
    return {
        ("s to the first start of a short run behind 1,000 jobs, all 32 slots busy, p50 / p99", "2"): spread(behind),
        ("s to the first start of each of 100 runs submitted at once, p50 / p99", ""): spread(sorted(chain(*firsts))),
        ("s until all 100 runs of 10 jobs of 20 ms are over, p50 / p99", ""): spread(sorted(whole)),
    }


def working(count: int, seconds: float) -> Run:
    def work(n: int) -> int:
        time.sleep(seconds)
        return n

    return xt.Workflow("load").call("work", work, n="{{ n }}").run([{"n": place} for place in range(count)])


def behind_a_long_one(there: Place) -> float:
    """The delay of a short run that arrives while the long one holds all slots."""
    long = working(1_000, 0.1)
    wait_until(lambda: len(there.column("SELECT id FROM agent_jobs WHERE state = 'running'")) == ALL_SLOTS)
    short = working(3, 0.1).wait(60)
    seconds = there.column(f"{FIRST_STARTS} WHERE e.id = '{short.id}' GROUP BY e.id, e.created")[0]
    long.stop()
    return float(seconds)


def a_hundred(there: Place) -> tuple[list[float], float]:
    """Seconds from each submission to its first start, and from the first submission until all are over."""
    began = time.monotonic()
    runs = [working(10, 0.02) for _ in range(100)]
    for run in runs:
        run.wait(120)
    whole = time.monotonic() - began
    ids = ", ".join(f"'{run.id}'" for run in runs)
    found = there.column(f"{FIRST_STARTS} WHERE e.id IN ({ids}) GROUP BY e.id, e.created")
    return [float(seconds) for seconds in found], whole


if __name__ == "__main__":
    main()
