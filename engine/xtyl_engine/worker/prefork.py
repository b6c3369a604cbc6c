"""What the processes of a prefork pool share: a pipe that carries samples to the main process, which alone answers Prometheus,
and marks of which processes are at work. A killed child neither blocks the others nor leaves half a line; one that finds the
pipe full goes on with its work, and reports later how many samples were lost.
"""

from __future__ import annotations

import json
import logging
import math
import mmap
import os
import select
import threading
import time
from collections.abc import Sequence

from xtyl_engine.telemetry.samples import Sample, Tell

log = logging.getLogger("xtyl")
STANDING = "standing"
FORGET_SECONDS = 5.0
# A process is between two notifications for less than this: one is under way to it, and it needs no other.
BETWEEN_SECONDS = 0.05


class Relay:
    """The pipe for samples. Create it in the main process, before its pool forks."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._main = os.getpid()
        self._lost = 0
        self._children: dict[int, tuple[float, int, int]] = {}

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that listens."""
        return os.getpid() == self._main

    def tell(self, samples: Sequence[Sample]) -> None:
        """Send samples to the main process."""
        if self._lost and self._send(("xtyl_samples_lost", (), self._lost)):
            self._lost = 0
        self._lost += sum(not self._send(sample) for sample in samples)

    def tell_standing(self, active: int, held: int) -> None:
        """Send how many slots are at work here, and how many jobs are held."""
        self._send((STANDING, (str(os.getpid()), str(active)), held))

    def listen(self, take: Tell) -> None:
        """Pass the children's samples to `take`, as long as this process lives."""
        threading.Thread(target=self._listen, args=(take,), name="xtyl-relay", daemon=True).start()

    def standing(self) -> tuple[int, int]:
        """Slots at work and jobs held, summed over the children that reported within the last seconds."""
        limit = time.monotonic() - FORGET_SECONDS
        recent = [(active, held) for at, active, held in self._children.values() if at > limit]
        return sum(active for active, _ in recent), sum(held for _, held in recent)

    def _note(self, pid: int, active: int, held: int) -> None:
        now = time.monotonic()
        # Children are replaced for as long as the worker lives.
        lately = {id: each for id, each in self._children.items() if each[0] > now - FORGET_SECONDS}
        self._children = lately | {pid: (now, active, held)}

    def _send(self, sample: Sample) -> bool:
        # Shorter than PIPE_BUF, so that it is written whole or not at all; labels are cut for that reason.
        name, labels, value = sample
        line = json.dumps((name, [label[:80] for label in labels], value), separators=(",", ":")).encode()
        try:
            return os.write(self._write, line + b"\n") > 0
        except BlockingIOError:
            return False

    def _listen(self, take: Tell) -> None:
        with open(self._read, "rb", closefd=False) as lines:
            for line in lines:
                try:
                    self._hear(line, take)
                except Exception as error:
                    log.warning("a sample of a child is lost: %s", error)

    def _hear(self, line: bytes, take: Tell) -> None:
        name, labels, value = json.loads(line)
        if name == STANDING:
            self._note(int(labels[0]), int(labels[1]), int(value))
        else:
            take([(name, tuple(labels), value)])


class Pool:
    """Marks which of a worker's `size` processes are at work, by their index, and tells them all to close: to start nothing new;
    then to end, which limits the time that their jobs have."""

    def __init__(self, size: int):
        # Memory shared by all forks, for each process the time since which it is idle; each writes only its own.
        self._idle_since = memoryview(mmap.mmap(-1, size * 8)).cast("d")
        self._closed, self._ended = _Flag(), _Flag()

    def mark(self, place: int, is_busy: bool) -> None:
        """Mark a process as at work, or as idle."""
        self._idle_since[place] = math.inf if is_busy else time.monotonic()

    def idle(self, seconds: float = 0.0) -> int:
        """How many processes have not been at work for so many seconds."""
        limit = time.monotonic() - seconds
        return sum(since <= limit for since in self._idle_since)

    def close(self) -> None:
        """Tell all processes to start nothing new. Safe in a signal's handler."""
        self._closed.set()

    def end(self) -> None:
        """Tell all processes to end. Safe in a signal's handler."""
        self._closed.set()
        self._ended.set()

    def await_close(self) -> None:
        """Block until `close` or `end` is called."""
        self._closed.wait()

    def await_end(self) -> None:
        """Block until `end` is called."""
        self._ended.wait()


class _Flag:
    """What every fork sees once one of them has set it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def set(self) -> None:
        os.write(self._write, b".")

    def wait(self) -> None:
        # The byte is never read, so that every process sees it.
        select.select([self._read], [], [])
