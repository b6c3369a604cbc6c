"""One call that is to be made, and what is said with the runner that makes it. Which runner that is, and what becomes of it,
is for `pool`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xtyl_engine.errors import PartialFailureError, PermanentError, TransientError, WorkflowException
from xtyl_engine.runners.launchers import Preparation, Runner, Sink
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.protocol import Message

# As often as the largest pipe takes to be emptied.
MOST_READS = 16
_ERRORS: Mapping[str, type[WorkflowException]] = {
    "transient": TransientError,
    "permanent": PermanentError,
    "partial": PartialFailureError,
}


class RunnerDied(TransientError):
    """The process in which the function ran has ended."""

    code = "node/died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One call to be made. `key` names the function among those of its run, `prepare` gives what the run's launcher begins with;
    `may_start` is called at the last moment, and raises where the call may not begin. What is printed goes to `sink`, how far the
    function says it is to `progress`."""

    run: str
    key: str
    request: Message
    prepare: Callable[[], Preparation]
    patience: Patience
    may_start: Callable[[], None]
    sink: Sink
    progress: Callable[[Message], None]
    waited: Callable[[float], None]


def refuse(order: Order, preparation: Preparation | None) -> None:
    if preparation is not None and (refused := preparation.refused.get(order.key)) is not None:
        raise refused


def begin(order: Order, runner: Runner, preparation: Preparation | None) -> None:
    """Send a call to a runner, and with it a function that its launcher could not load."""
    packed = preparation.packed if preparation is not None and order.key not in runner.launcher.knows else ()
    request, blob = order.request, b""
    for each in packed:
        if each.digest == order.key:
            request, blob = request | {"packed": {"name": each.name, "python": each.python}}, each.blob
    prints = runner.listen()
    try:
        runner.wire.send(request, blob, () if prints is None else (prints,))
    finally:
        if prints is not None:
            os.close(prints)


def answered(order: Order, runner: Runner) -> tuple[Message, bytes]:
    """Wait for the answer to a call. Raises EOFError when the runner has ended."""
    while True:
        for handle, _ in runner.poll.poll(1000 * order.patience.left() + 1):
            if handle == runner.wire.fileno():
                runner.wire.fill()
            elif data := runner.heard():
                order.sink(data)
        runner.drop()
        while (frame := runner.wire.taken()) is not None:
            message = frame[0]
            if "progress" in message:
                order.progress(message)
            elif "waited" in message:
                order.patience.extend(message["waited"])
                order.waited(message["waited"])
            else:
                # What was printed before the answer was readable when it was, and is read.
                runner.may_print_on = message["left"]
                return frame
        order.patience.check()


def read_rest(order: Order, runner: Runner) -> None:
    """Read what the pipe holds, and no more: a process that goes on might write for ever."""
    for _ in range(MOST_READS):
        if not (data := runner.heard()):
            return
        order.sink(data)


def died(status: int | None) -> RunnerDied:
    cause = "Look for a crash in a library, or for an end of the process in the function itself."
    if status is None:
        hint = (
            "The process that had started it has ended too, by a kill from outside or by a function: look who ends it."
        )
        return RunnerDied("the process of the function is no longer there", hint=hint)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = f"by {signal.Signals(number).name if number in list(signal.Signals) else f'signal {number}'}"
        if number == signal.SIGKILL:
            cause = "Most often the system ends a process so when memory is short: let a row need less."
    else:
        how = f"with exit code {os.waitstatus_to_exitcode(status)}"
    return RunnerDied(f"the process of the function ended {how}", hint=f"Nothing else was harmed. {cause}")


def told_error(told: Message) -> WorkflowException:
    """The error of a function, as its runner told it."""
    kind = _ERRORS.get(told["class"], PermanentError)
    data = {name: told[name] for name in ("traceback", "raised", "causes") if told.get(name)}
    if told["retry_after"] is not None and kind is TransientError:
        data["retry_after"] = told["retry_after"]
    return kind(told["message"], **data)
