"""Keeps the variables that kernels lend to their runs, in the memory of the supervisor and nowhere else. The way there and
back is `functions.variables`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtyl_engine.functions.variables import ANSWER_SECONDS, MOST_BYTES, check_peer, receive, send

log = logging.getLogger("xtyl.supervisor")
CAPACITY_BYTES = 64 * 1024 * 1024
LONGEST_MESSAGE = 2 * MOST_BYTES
PAUSE_SECONDS = 0.1
_LISTENERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """The variables of one run, as JSON: those of a kernel's next run are mostly the same, and take no room again. Whether it
    `counts`: its kernel has started the run or taken it over, and does not only look at it."""

    variables: bytes
    came: float
    counts: bool


class Variables:
    """The variables lent to runs, and the socket at which they come and go. The one used longest ago is forgotten when there are
    too many."""

    def __init__(self, *, capacity: int = CAPACITY_BYTES):
        self._capacity = capacity
        self._loans: OrderedDict[str, Loan] = OrderedDict()
        self._texts: dict[bytes, bytes] = {}
        self._listener: socket.socket | None = None
        self._place: Path | None = None
        self._pause = threading.Event()

    def listen(self, place: Path) -> None:
        """Answer at this socket from now on, in a thread. Raises OSError."""
        self.close()
        place.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(place))
            # Before it listens, so that no other user ever connects.
            place.chmod(0o600)
            listener.listen(_LISTENERS)
        except BaseException:
            listener.close()
            raise
        self._listener, self._place = listener, place
        threading.Thread(target=self._serve, args=(listener,), name="xtyl-variables", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                # Ends a wait for the next caller, which closing alone does not.
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def answer(self, message: Any) -> Any:
        """The answer to one message, None to one that says nothing."""
        match message:
            case {"put": str(run), "variables": dict(variables), "replace": bool(replaces)}:
                self._put(run, json.dumps(variables).encode(), replaces)
            case {"get": str(run)}:
                return self._get(run)
            case {"counts": str(run)}:
                return run in self._loans and self._loans[run].counts
            case {"lent": _}:
                now = time.monotonic()
                return {run: now - loan.came for run, loan in self._loans.items()}
            case {"drop": list(runs)}:
                for run in runs:
                    self._drop(run)
        return None

    def _put(self, run: str, variables: bytes, replaces: bool) -> None:
        if run in self._loans and not replaces:
            return
        self._drop(run)
        self._touch()
        text = self._texts.setdefault(variables, variables)
        self._loans[run] = Loan(variables=text, came=time.monotonic(), counts=replaces)
        while sum(map(len, self._texts)) > self._capacity and len(self._loans) > 1:
            self._drop(next(iter(self._loans)))

    def _touch(self) -> None:
        """Change the time of the socket: workers that have asked before see by it that there may be something new."""
        if self._place is not None:
            now = time.time_ns()
            with suppress(OSError):
                os.utime(self._place, ns=(now, now))

    def _get(self, run: str) -> Any:
        if (loan := self._loans.get(run)) is None:
            return None
        self._loans.move_to_end(run)
        return json.loads(loan.variables)

    def _drop(self, run: str) -> None:
        loan = self._loans.pop(run, None)
        if loan is not None and not any(each.variables is loan.variables for each in self._loans.values()):
            del self._texts[loan.variables]

    def _serve(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                # Closed, or too many files are open.
                self._pause.wait(PAUSE_SECONDS)
                continue
            with connection:
                self._attend(connection)

    def _attend(self, connection: socket.socket) -> None:
        connection.settimeout(ANSWER_SECONDS)
        try:
            check_peer(connection)
            send(connection, self.answer(receive(connection, LONGEST_MESSAGE)))
        except OSError as error:
            log.warning("a message about variables was refused: %s", error)
