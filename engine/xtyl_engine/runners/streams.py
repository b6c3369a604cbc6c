"""Where a runner's standard output and error lead: during a call to a pipe of that call's own, else into nothing. So what a call
has left behind, a thread or a process, writes nothing into the next one's prints.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

OUTPUT, ERRORS = 1, 2


class _Printer(io.TextIOWrapper):
    """A text stream that passes on at once what is written, for the next line may crash, but nothing of threads of an earlier
    call."""

    strangers: frozenset[int] = frozenset()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in self.strangers else super().write(text)


class PrintStreams:
    """The streams of one runner. Half a surrogate pair is printed as it is written in Python."""

    def __init__(self) -> None:
        self._nothing = os.open(os.devnull, os.O_WRONLY)
        self._lead(self._nothing)
        self._printers = [
            _Printer(io.FileIO(number, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
            for number in (OUTPUT, ERRORS)
        ]
        self._put_back_logging = kept_logging()
        self.put_back()

    def begin(self, handle: int) -> frozenset[int]:
        """Begin a call that prints to this pipe. Returns the threads that earlier calls have left behind."""
        strangers = frozenset(thread.ident or 0 for thread in threading.enumerate()) - {threading.get_ident()}
        for printer in self._printers:
            printer.strangers = strangers
        self._lead(handle)
        os.close(handle)
        return strangers

    def end(self) -> None:
        """Pass on what the call has printed; what comes later goes nowhere."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            # The function may have closed or replaced it.
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
        self._lead(self._nothing)

    def put_back(self) -> None:
        """Undo what a call did to the streams and to the root logger of this process."""
        sys.stdout, sys.stderr = self._printers
        self._put_back_logging()

    @staticmethod
    def _lead(handle: int) -> None:
        for number in (OUTPUT, ERRORS):
            os.dup2(handle, number)


def kept_logging() -> Callable[[], None]:
    """Have log lines from INFO on written to standard error, unless the run's modules have set up logging themselves. Gives the
    means to put the root logger back as it is now."""
    root, last = logging.getLogger(), logging.lastResort
    if last is not None:
        last.setLevel(logging.INFO)
        last.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if not root.handlers and root.level == logging.WARNING:
        root.setLevel(logging.INFO)
    handlers, level = list(root.handlers), root.level

    def put_back() -> None:
        logging.disable(logging.NOTSET)
        logging.lastResort = last
        root.handlers[:] = handlers
        root.setLevel(level)

    return put_back
