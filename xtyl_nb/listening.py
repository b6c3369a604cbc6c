"""News of executions over HTTP: one event stream for each execution that somebody waits for, read by a thread of its own, shared
by all who wait, and let go a while after the last of them. Without a stream whoever waits looks again each moment.
"""

from __future__ import annotations

import threading
from time import monotonic

from xtyl_engine.errors import WorkflowException
from xtyl_nb.calls import Calls
from xtyl_nb.remote_queries import at

IDLE_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 4.0
PAUSES = (0.1, 0.5, 2.0)


class Streams:
    """The streams of one API."""

    def __init__(self, calls: Calls):
        self._calls = calls
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}

    def listen(self, execution_id: str, last: int) -> Listener:
        """Something to wait on for news of one execution; `last` is the number of an event that is known."""
        with self._lock:
            found = self._streams.get(execution_id)
            if found is None or not found.take():
                found = self._streams[execution_id] = Stream(self._calls, execution_id, last)
                found.take()
            return Listener(found)

    def known(self, execution_id: str) -> bool:
        """Whether there is a stream of this execution, so that nobody need ask where it stands."""
        with self._lock:
            found = self._streams.get(execution_id)
            return found is not None and not found.is_over

    def close(self) -> None:
        """Let go of every stream."""
        with self._lock:
            for stream in self._streams.values():
                stream.end()
            self._streams.clear()


class Stream:
    """One execution's event stream. `latest` is the number of the last event that came."""

    def __init__(self, calls: Calls, execution_id: str, last: int):
        self.latest = last
        self.is_over = False
        self.news = threading.Condition()
        self._calls = calls
        self._execution_id = execution_id
        self._listeners = 0
        self._left = monotonic()
        threading.Thread(target=self._read, name=f"xtyl-news-{execution_id}", daemon=True).start()

    def take(self) -> bool:
        """One listener more; False if the stream is over, and another is needed."""
        with self.news:
            self._listeners += not self.is_over
            return not self.is_over

    def leave(self) -> None:
        """One listener less."""
        with self.news:
            self._listeners -= 1
            self._left = monotonic()

    def end(self) -> None:
        """Read no further than the next line."""
        with self.news:
            self.is_over = True
            self.news.notify_all()

    def _read(self) -> None:
        failures = 0
        while not self._is_idle():
            try:
                for line in self._calls.lines(*at(self._execution_id), "stream", after=self.latest):
                    failures = 0
                    if self._is_idle() or self._note(line):
                        return self.end()
            except WorkflowException:
                # Those who wait look by themselves meanwhile, and are told what is wrong.
                failures += 1
            with self.news:
                self.news.wait(PAUSES[min(failures, len(PAUSES) - 1)])
        return self.end()

    def _note(self, line: str) -> bool:
        """Take note of a line; whether it says that no more will come."""
        name, _, value = line.partition(":")
        value = value.strip()
        with self.news:
            if name == "id" and value.isdecimal():
                self.latest = max(self.latest, int(value))
                self.news.notify_all()
        return name == "event" and value == "done"

    def _is_idle(self) -> bool:
        with self.news:
            # Under the same lock as `take`, so that nobody gets a stream that is about to end.
            idle = not self._listeners and monotonic() - self._left > IDLE_SECONDS
            self.is_over = self.is_over or idle
            return self.is_over


class Listener:
    """One who waits for news."""

    def __init__(self, stream: Stream):
        self._stream = stream
        self._seen = stream.latest

    def mark(self) -> None:
        """Take the place to wait from. Call before looking: an event after the look then ends the wait."""
        self._seen = self._stream.latest

    def wait(self, seconds: float) -> bool:
        """Block until there is news, or for `seconds`, four at most; whether there was news."""
        with self._stream.news:
            return self._stream.news.wait_for(
                lambda: self._stream.latest > self._seen, timeout=min(seconds, LONGEST_WAIT_SECONDS)
            )

    def close(self) -> None:
        self._stream.leave()
