"""Where a runner's standard output and error lead: to a pipe, which is a new one when a call may have left a process behind that
prints on. Threads that a call has left behind print nothing. So no print ends in that of another call.
"""

from __future__ import annotations

import io
import logging
import os
import resource
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

OUTPUT, ERRORS = 1, 2


class _Printer(io.TextIOWrapper):
    """A text stream that passes on at once what is written, for the next line may crash, but nothing of threads of an earlier
    call."""

    main = 0
    strangers: frozenset[int] = frozenset()
    turn = threading.Lock()

    def write(self, text: str) -> int:
        if threading.get_ident() == self.main:
            return super().write(text)
        # A call must not end between the look and the write.
        with self.turn:
            return len(text) if threading.get_ident() in self.strangers else super().write(text)


def _renew() -> None:
    """In a child that a function forks another thread may have held the lock."""
    _Printer.turn = threading.Lock()


class PrintStreams:
    """The streams of one runner. Half a surrogate pair is printed as it is written in Python."""

    def __init__(self) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        self._lead(nothing)
        os.close(nothing)
        self._printers = [
            _Printer(io.FileIO(number, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
            for number in (OUTPUT, ERRORS)
        ]
        _Printer.main = threading.get_ident()
        os.register_at_fork(after_in_child=_renew)
        self._put_back_logging = kept_logging()
        self._reaped = _reaped()
        self.put_back()

    def begin(self, handle: int | None) -> frozenset[int]:
        """Begin a call, which prints to this pipe or to that of the call before. Returns the threads that earlier calls have left
        behind."""
        if handle is not None:
            self._lead(handle)
            os.close(handle)
        self._reaped = _reaped()
        return self._quieten()

    def end(self) -> bool:
        """End a call: pass on what it has printed, and nothing of its threads from now on. Returns whether it may have left a
        process behind: it has children, or had some, and these may have had children."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream is not None and stream not in self._printers:
                # The function may have closed it.
                with suppress(Exception):
                    stream.flush()
        self._quieten()
        return _has_children() or _reaped() != self._reaped

    def _quieten(self) -> frozenset[int]:
        others: frozenset[int] = frozenset()
        if threading.active_count() > 1:
            others = frozenset(thread.ident or 0 for thread in threading.enumerate()) - {threading.get_ident()}
        with _Printer.turn:
            _Printer.strangers = others
        return others

    def put_back(self) -> None:
        """Undo what a call did to the streams and to the root logger of this process."""
        sys.stdout, sys.stderr = self._printers
        self._put_back_logging()

    @staticmethod
    def _lead(handle: int) -> None:
        for number in (OUTPUT, ERRORS):
            os.dup2(handle, number)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reaped() -> tuple[int, float]:
    """What all children that were waited for have used; every process faults for its first page."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_minflt, used.ru_utime + used.ru_stime


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
        logging.lastResort = last
        root.handlers[:] = handlers
        # Each looks through all loggers.
        if root.manager.disable != logging.NOTSET:
            logging.disable(logging.NOTSET)
        if root.level != level:
            root.setLevel(level)

    return put_back
