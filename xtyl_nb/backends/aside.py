"""Makes a call in a thread of its own: an interrupt of the thread that waits for the answer does not cut the call off, and the
process may end without waiting for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(call: Callable[[], T]) -> Future[T]:
    """Begin a call in a thread of its own; its answer, or its error."""
    answer: Future[T] = Future()

    def make() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=make, name="xtyl-aside", daemon=True).start()
    return answer
