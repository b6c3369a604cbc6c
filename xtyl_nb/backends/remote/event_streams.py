"""New events over HTTP: one stream for each execution that is waited for, read by a thread of its own, shared by all waiting
threads, and closed a while after the last of them. Without a stream, a waiting thread asks again every moment.
"""

from __future__ import annotations

import threading
from time import monotonic

from xtyl_nb.backends.remote.http_client import Calls
from xtyl_nb.backends.remote.queries import at

IDLE_SECONDS = 20.0
# A woken thread reads; more than ten reads a second show no more to a person.
GATHER_SECONDS = 0.1
PAUSES = (0.1, 0.5, 2.0)


class Streams:
    """The streams of one API."""

    def __init__(self, calls: Calls):
        self._calls = calls
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}

    def wait(self, execution_id: str, after: int, seconds: float) -> bool:
        """Block until there is an event newer than number `after`, or for `seconds`; whether there was one."""
        stream = self._taken(execution_id, after)
        try:
            return stream.wait(after, seconds)
        finally:
            stream.leave()

    def close(self) -> None:
        """Close every stream; waiting threads return without a new event."""
        with self._lock:
            for stream in self._streams.values():
                stream.end()
            self._streams.clear()

    def _taken(self, execution_id: str, after: int) -> Stream:
        with self._lock:
            found = self._streams.get(execution_id)
            if found is None or not found.take():
                self._streams = {id: each for id, each in self._streams.items() if not each.is_over}
                found = self._streams[execution_id] = Stream(self._calls, execution_id, after)
                found.take()
            return found


class Stream:
    """One execution's event stream, from the event that follows number `after`."""

    def __init__(self, calls: Calls, execution_id: str, after: int):
        self._calls = calls
        self._execution_id = execution_id
        self._latest = after
        self._news = threading.Condition()
        self._is_over = False
        self._waiting = 0
        self._left = monotonic()
        threading.Thread(target=self._read, name=f"xtyl-news-{execution_id}", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended."""
        return self._is_over

    def take(self) -> bool:
        """Count one more waiting thread; False if the stream is over, and another is needed."""
        with self._news:
            self._waiting += not self._is_over
            return not self._is_over

    def wait(self, after: int, seconds: float) -> bool:
        """Block until an event newer than number `after` has come, or for `seconds`; whether there was one."""
        began = monotonic()
        with self._news:
            if not self._news.wait_for(lambda: self._latest > after, timeout=seconds):
                return False
            while (left := began + GATHER_SECONDS - monotonic()) > 0 and not self._is_over:
                self._news.wait(left)
            return True

    def leave(self) -> None:
        """Count one waiting thread less."""
        with self._news:
            self._waiting -= 1
            self._left = monotonic()

    def end(self) -> None:
        """Read no further than the next line."""
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _read(self) -> None:
        failures = 0
        while not self._is_idle():
            try:
                for line in self._calls.lines(*at(self._execution_id), "stream", after=self._latest):
                    failures = 0
                    if self._is_idle() or self._note(line):
                        return self.end()
            except Exception:
                # Waiting threads ask by themselves meanwhile, and get the error.
                failures += 1
            with self._news:
                self._news.wait_for(lambda: self._is_over, timeout=PAUSES[min(failures, len(PAUSES) - 1)])
        return self.end()

    def _note(self, line: str) -> bool:
        """Note a line of the stream; whether it is the last one."""
        name, _, value = line.partition(":")
        value = value.strip()
        with self._news:
            if name == "id" and value.isdecimal():
                self._latest = max(self._latest, int(value))
                self._news.notify_all()
        return name == "event" and value == "done"

    def _is_idle(self) -> bool:
        with self._news:
            # Under the same lock as `take`, so that no thread gets a stream that is about to end.
            idle = not self._waiting and monotonic() - self._left > IDLE_SECONDS
            self._is_over = self._is_over or idle
            return self._is_over
