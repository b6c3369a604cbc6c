"""Processors and memory, as a container's limits leave them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from moved_clock import MovedClock
from servers import wait_until
from xtyl_engine.machine import boot_id, memory_bytes, process_space, process_start, processors, since_boot
from xtyl_engine.settings import load_settings
from xtyl_engine.worker.command import child_megabytes, worker_command


def write(folder, **files: str):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_of_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return folder


def test_a_machine_without_limits_is_used_whole(tmp_path):
    """Where no limit can be read, or none is set, what the system says counts."""
    assert processors(tmp_path) >= 1
    assert memory_bytes(tmp_path) > 2**20
    unlimited = write(tmp_path, cpu_of_max="max 100000", memory_of_max="max")
    assert (processors(unlimited), memory_bytes(unlimited)) == (processors(tmp_path), memory_bytes(tmp_path))


@pytest.mark.parametrize(
    "files",
    [
        {"cpu_of_max": "100000 100000", "memory_of_max": "268435456"},
        {
            "cpu__cpu_of_cfs_quota_us": "150000",
            "cpu__cpu_of_cfs_period_us": "100000",
            "memory__memory_of_limit_in_bytes": "268435456",
        },
        {"cpu_of_max": "20000 100000", "memory_of_max": "268435456"},
    ],
)
def test_a_container_is_kept_to(tmp_path, files):
    """Both kinds of control groups are read; a part of a processor is one."""
    assert processors(write(tmp_path, **files)) == 1
    assert memory_bytes(tmp_path) == 2**28


def test_a_pool_of_processes_has_one_for_each_processor(tmp_path):
    """And each may grow to its share of the memory, or to what is set, never to less than it needs."""
    environ = {"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "redis://h", "XTYL_POOL": "prefork"}
    settings = load_settings(environ)
    assert settings.slots == processors()
    assert child_megabytes(settings) == max(256, memory_bytes() * 4 // 5 // settings.slots // 2**20)
    assert child_megabytes(load_settings(environ | {"XTYL_SLOTS": "1024"})) == 256
    command = worker_command(load_settings(environ | {"XTYL_CHILD_MEGABYTES": "300"}))
    assert command[command.index("--max-memory-per-child") + 1] == str(300 * 1024)


def test_threads_are_many_for_they_wait(tmp_path):
    """Sixteen on a small machine, more on a large one; the embedded back end has threads whatever is set."""
    settings = load_settings({"XTYL_HOME": str(tmp_path), "XTYL_POOL": "prefork", "XTYL_HEAVY": "call"})
    assert (settings.pool, settings.heavy_types) == ("threads", frozenset())
    assert settings.slots == min(64, max(16, 4 * processors()))


def test_a_boot_has_one_name_for_all_processes():
    """Two processes of one machine say the same, and it can be part of a name."""
    code = "from xtyl_engine.machine import boot_id; print(boot_id())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == boot_id()
    assert boot_id().replace("-", "").isalnum()


def test_sleep_counts_as_time_since_the_boot(tmp_path):
    """On waking, the hours asleep have passed by this clock, and not by the one that times what a process does."""
    clock = MovedClock(tmp_path)
    code = "import time; from xtyl_engine.machine import since_boot; print(since_boot(), time.monotonic())"
    clock.move(3600)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=clock.environ, capture_output=True, text=True, check=True)
    slept, awake = map(float, done.stdout.split())
    assert slept - since_boot() > 3600 - 60
    assert awake - time.monotonic() < 60


def test_a_process_has_a_start_until_it_ends():
    """It stays the same while it lives; one that is killed has none, even before its parent waits for it."""
    other = subprocess.Popen(["sleep", "600"])
    began = process_start(other.pid)
    assert began == process_start(other.pid) != ""
    other.kill()
    wait_until(lambda: process_start(other.pid) == "")
    other.wait()
    assert process_start(other.pid) == ""
    assert process_start(os.getpid()) != began
    assert len(process_space().split()) == 1
