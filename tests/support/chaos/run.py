"""Runs cases outside the test suite: `--seeds 50` plays many and prints the faults survived, `--seed 7` plays one,
`--replay FILE` plays one that failed before. A failing case is saved, and its file is named. `--small-disk`, for root, adds a
disk that is full now and then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.story import Case, Report, draw_case, play
from servers import execute, postgres_server

KINDS = ["sqlite", "postgres", "embedded"]


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """A URL for each kind of database, with a place for its name."""
    with postgres_server(folder / "postgres") as url:
        base, _, query = url.partition("?")
        yield {
            "sqlite": f"sqlite:///{folder}/cases/{{name}}/home/chaos.db",
            "postgres": f"{base.rpartition('/')[0]}/{{name}}?{query}",
            "embedded": "",
        }


def create_database(url: str, name: str, tables: Path, owner: os.stat_result) -> None:
    """A database whose tables and indexes are in this folder, which may be on a small disk; PostgreSQL's log is not."""
    tables.mkdir()
    os.chown(tables, owner.st_uid, owner.st_gid)
    execute(url, f"CREATE TABLESPACE {name} LOCATION '{tables}'", f"CREATE DATABASE {name} TABLESPACE {name}")


def played(case: Case, folder: Path, urls: dict[str, str]) -> Report:
    """One case in a folder of its own; a failing one is saved."""
    name = f"{case.database}_{case.seed}_{os.urandom(3).hex()}"
    (folder / name).mkdir()
    url = urls[case.database].format(name=name)
    admin = urls["postgres"].format(name="postgres")
    if case.database == "postgres":
        create_database(admin, name, folder / name / "tables", (folder.parent / "postgres").stat())
    try:
        report = play(case, folder / name, url)
    except Exception as error:
        report = Report(case=case, broken=[f"it could not be played to its end: {error!r}"])
    say(f"seed {case.seed} {case.database} {case.pool} {' '.join(case.faults)}: {'; '.join(report.broken) or 'sound'}")
    if report.broken:
        saved = folder.parent / f"failed-{case.database}-{case.seed}.json"
        saved.write_text(json.dumps({"case": asdict(case), "broken": report.broken}, indent=2))
        say(f"  replay: python {sys.argv[0]} --replay {saved}")
    else:
        if case.database == "postgres":
            execute(admin, f"DROP DATABASE {name} WITH (FORCE)", f"DROP TABLESPACE {name}")
        shutil.rmtree(folder / name)
    return report


def table(reports: Iterable[Report]) -> str:
    """The faults survived, by fault and database, and their cost."""
    reports = list(reports)
    sound = Counter((fault, r.case.database) for r in reports if not r.broken for fault in r.case.faults)
    all_ = Counter((fault, r.case.database) for r in reports for fault in r.case.faults)
    lines = ["| fault | SQLite | PostgreSQL | embedded |", "|---|---|---|---|"]
    for fault in sorted({fault for fault, _ in all_}):
        cells = [f"{sound[fault, kind]} of {all_[fault, kind]}" if all_[fault, kind] else "" for kind in KINDS]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    jobs, starts = sum(r.jobs for r in reports), sum(r.starts for r in reports)
    twice = sum(count - 1 for r in reports for count in r.paid_twice.values())
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.reasons)
    drains = sorted(r.drain_seconds for r in reports)
    p99 = drains[min(len(drains) - 1, int(len(drains) * 0.99))] if drains else 0.0
    lines += [
        "",
        f"{len(reports)} cases, {sum(bool(r.broken) for r in reports)} not sound. {jobs} jobs, {starts} starts; attempts ended "
        + ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        + f". Answers paid for more than once: {twice}, each with an attempt that says why.",
        f"Seconds from the last fault to the end: p50 {statistics.median(drains or [0]):.1f}, p99 {p99:.1f}.",
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
    ]
    return "\n".join(lines)


def cases(options: argparse.Namespace) -> list[Case]:
    if options.replay:
        written = json.loads(Path(options.replay).read_text())["case"]
        return [Case(**written | {"faults": tuple(written["faults"])})]
    seeds = [options.seed] if options.seed is not None else range(1, options.seeds + 1)
    kinds = [options.database] if options.database else KINDS
    return [draw_case(seed, kind, options.pool, small_disk=options.small_disk) for seed in seeds for kind in kinds]


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A disk in memory that is soon full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--database", choices=KINDS)
    parser.add_argument("--pool", choices=["threads", "prefork"])
    parser.add_argument("--small-disk", action="store_true")
    parser.add_argument("--replay")
    options = parser.parse_args()
    # When the process is told to end, it ends its servers and workers too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    reports: list[Report] = []
    (folder / "cases").mkdir()
    with databases(folder) as urls, small_disk(folder / "cases") if options.small_disk else nullcontext():
        try:
            for case in cases(options):
                reports.append(played(case, folder / "cases", urls))  # noqa: PERF401 - what there is counts when it is interrupted
        except KeyboardInterrupt:
            say("interrupted")
    say(table(reports))
    return int(any(report.broken for report in reports))


if __name__ == "__main__":
    sys.exit(main())
