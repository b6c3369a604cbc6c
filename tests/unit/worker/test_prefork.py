"""What the processes of a worker know of each other."""

from __future__ import annotations

import subprocess
import sys

from servers import wait_until
from xtyl_engine.worker.prefork import Pool, Relay


def test_forked_processes_hear_of_each_other_and_of_the_end():
    """A child's mark is seen by its parent, the parent's end by every child, also when one was killed that waited for it."""
    code = """
import os, signal
from xtyl_engine.worker.prefork import Pool
pool = Pool(3)
children = []
for place in (0, 1):
    if not (pid := os.fork()):
        pool.mark(place, True)
        pool.await_close()
        pool.await_end()
        pool.mark(place, False)
        os._exit(0)
    children.append(pid)
while pool.idle() != 1: pass
os.kill(children[0], signal.SIGKILL)
os.waitpid(children[0], 0)
pool.end()
os.waitpid(children[1], 0)
pool.await_end()
print(pool.idle())
pool.mark(0, False)
print(pool.idle())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["2", "3"]


def test_a_process_between_two_notifications_is_not_asked_for():
    """One that has ended its work a moment ago is idle, but not for long enough to need another notification."""
    pool = Pool(3)
    pool.mark(0, True)
    pool.mark(1, False)
    assert (pool.idle(), pool.idle(5.0)) == (2, 1)
    wait_until(lambda: pool.idle(0.01) == 2)


def test_a_sample_that_cannot_be_taken_costs_no_other(caplog):
    """The main process goes on to read what its children report: an odd line, or a figure that is refused, is skipped."""
    relay, taken = Relay(), []

    def take(samples):
        if samples[0][0] == "odd":
            raise KeyError("odd")
        taken.extend(samples)

    relay.listen(take)
    relay.tell([("odd", (), 1.0), ("xtyl_x", ("a",), 2.0)])
    wait_until(lambda: taken == [("xtyl_x", ("a",), 2.0)])
    assert "a sample of a child is lost" in caplog.text
