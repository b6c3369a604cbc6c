"""Seconds from the kill of a whole embedded back end to its run going on, with a kernel that only looks at the run:
`python benchmarks/recover.py` kills supervisor, server and worker with SIGKILL, `--rounds` times, with the default settings.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import pandas as pd

import xtyl_nb as xt
from backend import wait_ready
from servers import embedded_home, kill, presence, wait_until
from xtyl_engine.settings import Settings
from xtyl_nb.runs.run import Run

BOUND_SECONDS = 15
LOOK_SECONDS = 0.5
JOB_SECONDS = 1.0
QUICK_ROUNDS = 3
# The kernel: it attaches to a run, reads its state, and asks for nothing else.
KERNEL = """
import sys, time, xtyl_nb as xt
run = xt.attach(sys.argv[1])
while not run.overview().state.is_terminal:
    time.sleep(float(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often everything is killed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else options.rounds
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="xr") as folder, embedded_home(Path(folder), XTYL_SLOTS="16") as settings:
        os.environ |= settings.to_environ()
        xt.connect()
        firsts, lasts = zip(
            *[killed(settings, Path(folder, f"effects-{count}")) for count in range(rounds)], strict=True
        )
        xt.connect()
    print("| s from kill -9 of supervisor, server and worker | median | slowest | bound |\n|---|---|---|---|")
    for name, seconds, bound in (
        ("to the first job that starts again or anew", firsts, str(BOUND_SECONDS)),
        ("to the last of the killed jobs that starts again", lasts, ""),
    ):
        print(f"| {name} | {statistics.median(seconds):.1f} | {max(seconds):.1f} | {bound} |")


def killed(settings: Settings, effects: Path) -> tuple[float, float]:
    """Kill everything in the middle of a run that one kernel looks at; seconds to the first start after it, and until each job
    that was running has started again."""
    run = working(settings, str(effects))
    wait_ready(settings)
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL, run.id, str(LOOK_SECONDS)])
    wait_until(lambda: run.overview().done >= settings.slots)
    found = presence(settings.home)
    for pid in (found.pid, found.server_pid, found.worker_pid):
        kill(pid)
    died = time.time()
    # This process does not look before the kernel's look is over.
    assert kernel.wait(120) == 0
    first = min(at for at in starts(effects) if at > died)
    again = [attempt.started for job in lost(run) for attempt in job.attempts[1:2]]
    return first - died, max(again, default=died) - died


def lost(run: Run) -> list[xt.JobDetail]:
    """The jobs that were killed."""
    page = run.jobs()
    killed = page[page["attempts"] > 1]
    return [run.inspect("work", item=str(row)) for row in killed["row"]]


def working(settings: Settings, effects: str) -> Run:
    """A run of three times as many jobs as there are slots, each of which notes when it starts."""

    def work(n: int) -> int:
        with open(effects, "a", encoding="utf-8") as file:
            file.write(f"{time.time()}\n")
        time.sleep(JOB_SECONDS)
        return n

    return xt.Workflow("load").call("work", work, n="{{ n }}").run(pd.DataFrame({"n": range(3 * settings.slots)}))


def starts(effects: Path) -> list[float]:
    return [float(line) for line in effects.read_text(encoding="utf-8").split()]


if __name__ == "__main__":
    main()
