"""Says which run a call made that ends with an error or an interrupt: the cell, run again, would pay for it again. A second
interrupt comes through only once that is said.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from xtyl_engine.errors import RunNotFound, WorkflowException
from xtyl_nb.backends.aside import aside

if TYPE_CHECKING:
    from xtyl_nb.backends.protocol import Backend

T = TypeVar("T")
NAME_SECONDS = 15.0
# Mostly the answer comes in milliseconds, and then one line says it all.
PATIENCE_SECONDS = 0.5
AGAIN = "To run the cell again makes one more run."


class Made:
    """The making of one run. `name` takes what the back end says of its id: see `Backend.submit`."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._id: str | None = None
        self._settled = threading.Event()
        self._former: Callable[[int, FrameType | None], Any] | None = None
        self._is_held = self._is_late = self._is_told = False

    def name(self, id: str | None) -> None:
        """Note the id; an empty text while only the back end knows whether there is a run, None if there is none."""
        self._id = id
        if id != "":
            self._settled.set()

    def call(self, make: Callable[[], T]) -> T:
        """What `make` returns; or its error, once it is said what it left behind."""
        self._catch()
        try:
            try:
                made = make()
                self._is_held = True
            except Exception:
                self._tell(is_over=True)
                raise
        except KeyboardInterrupt:
            if not self._is_told:
                self._tell(is_over=False)
            raise
        finally:
            if self._former is not None:
                signal.signal(signal.SIGINT, self._former)
        if self._is_late:
            self._tell(is_over=True)
            signal.raise_signal(signal.SIGINT)
        return made

    def _catch(self) -> None:
        """Take the interrupts. Only the main thread gets them, and only it may set a handler."""
        former = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(former):
            self._former = former
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Let the first interrupt through, and others once it is said what the first one left behind."""
        assert self._former is not None
        if self._is_held and not self._is_told:
            self._is_late = True
            return
        try:
            # It need not raise: a running event loop notes the first one.
            self._former(number, frame)
        except BaseException:
            self._is_held = True
            raise

    def _tell(self, *, is_over: bool) -> None:
        """Say what became of the run. `is_over` says that the back end will not name it any more."""
        if self._id == "" and not is_over:
            self._say(
                "The back end is asked whether it took the run. It may have taken it and go on with it: see `xt.runs()`."
            )
            self._settled.wait(NAME_SECONDS)
        if self._id == "":
            self._say(
                "The back end has not answered. It may have taken the run and go on with it: look at `xt.runs()`."
            )
        elif self._id is not None:
            self._tell_of(self._id)

    def _tell_of(self, id: str) -> None:
        asked: Future[Any] = aside(lambda: self._backend.queries.sequence(id))
        if not wait([asked], PATIENCE_SECONDS).done:
            self._say(f"{id} may have been submitted: `xt.attach({id!r})` shows it then. The back end is asked.")
            wait([asked], NAME_SECONDS)
        try:
            asked.result(0)
            words = f"{id} was submitted and goes on: `xt.attach({id!r})` shows it, `xt.attach({id!r}).stop()` ends it."
        except RunNotFound:
            if self._is_told:
                self._say(f"{id} was not submitted.", "")
            return
        except (WorkflowException, TimeoutError):
            words = f"{id} may have been submitted: `xt.attach({id!r})` shows it then."
        self._say(words)

    def _say(self, words: str, more: str = AGAIN) -> None:
        sys.stderr.write(f"\n{words} {more}".rstrip() + "\n")
        sys.stderr.flush()
        self._is_told = True
