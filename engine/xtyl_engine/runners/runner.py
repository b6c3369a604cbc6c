"""A runner: calls functions, one at a time, in the main thread of its process, and puts back what a call has changed there. Its
worker decides how long a call may take.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from traceback import walk_tb
from typing import Any, NoReturn

from xtyl_engine.errors import ErrorClass, WorkflowException, sane_seconds
from xtyl_engine.functions.allow_list import check_found
from xtyl_engine.functions.by_name import put_in_place
from xtyl_engine.functions.loading import load, load_reference
from xtyl_engine.runners.calling import Function, call
from xtyl_engine.runners.protocol import Message, RunnerLine
from xtyl_engine.runners.randomness import renew, seed
from xtyl_engine.runners.streams import PrintStreams
from xtyl_engine.runners.tracing import within
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.error_text import describe_error, type_name
from xtyl_engine.values.masking import Mask
from xtyl_engine.values.plain import encode, mend
from xtyl_engine.values.progress import report_to

MOST_FRAMES = 50
MOST_CAUSES = 5
# The kernel, short of memory, ends a runner rather than a launcher or the worker.
_FIRST_TO_GO = "500"
# `signal.getsignal` makes an enum of each answer, which takes as long as all the rest of putting back.
_getsignal: Callable[[int], Any] = vars(signal)["_signal"].getsignal
_SYSTEMS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD)
_DEFAULTS: dict[signal.Signals, Any] = {
    **dict.fromkeys(_SYSTEMS, signal.SIG_DFL),
    signal.SIGINT: signal.default_int_handler,
}


def serve(wire: RunnerLine, functions: dict[str, Function], store: ArtifactStore, folder: str | None) -> NoReturn:
    """Answer calls until the worker hangs up. With one comes the pipe to which its function prints, and those after it."""
    os.setsid()
    if folder is not None:
        os.chdir(folder)
    streams = PrintStreams()
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_FIRST_TO_GO)
    # A child that a function forks must not hold the line open when its parent is gone.
    os.register_at_fork(after_in_child=wire.close)
    store.on_full = lambda seconds: wire.send({"waited": seconds})
    seed()
    for function in functions.values():
        renew(function)
    put_back, memory, hide = kept(streams), _most_memory(), _hiding()
    while True:
        try:
            message, blob = wire.receive()
        except EOFError:
            os._exit(0)
        reporter = report_to(
            lambda *told: wire.send({"progress": told}), streams.begin(wire.handles.pop() if wire.handles else None)
        )
        # As if anew: a warning that another row gave is given again.
        with warnings.catch_warnings():
            answer, body = _answer(message, blob, functions, store, hide)
        reporter.end()
        answer["left"] = streams.end()
        answer["computed"], answer["memory"] = sum(os.times()[:4]), _most_memory() - memory
        wire.send(answer, body)
        put_back()


def _answer(
    message: Message, blob: bytes, functions: dict[str, Function], store: ArtifactStore, hide: Callable[[str], str]
) -> tuple[Message, bytes]:
    try:
        key = message["function"]
        if key not in functions:
            functions[key] = load(blob, **message["packed"]) if blob else load_reference(key)
            renew(functions[key])
        if "opened" in message:
            check_found(functions[key], key, message["opened"])
        put_in_place(functions[key])
        with within(message.get("parent")):
            output, items = call(functions[key], message["arguments"], store, hide, is_named="opened" in message)
        return {"done": items}, encode(output).encode()
    except BaseException as error:
        return {"error": told(error, hide)}, b""


def _hiding() -> Callable[[str], str]:
    """What hides secrets in the texts of errors: those of the run's variables, and those that its functions have set since."""
    lent = dict(os.environ)
    of_run = cache(lambda: Mask(lent))

    def hide(text: str) -> str:
        hidden = of_run().hide(text)
        return hidden if os.environ == lent else Mask(os.environ).hide(hidden)

    return hide


def told(error: BaseException, hide: Callable[[str], str]) -> Message:
    """An error as it goes to the worker: what it means for the job, and its words without secrets."""
    described = describe_error(error, hide)
    is_ours = isinstance(error, WorkflowException)
    return {
        "class": _class_of(error),
        "message": described.message if is_ours else mend(f"{described.type}: {described.message}"),
        "traceback": described.traceback if not isinstance(error, WorkflowException) or _has_trace(error) else None,
        "causes": _causes(error.__cause__),
        "retry_after": sane_seconds(getattr(error, "retry_after", None)),
        "raised": error.data.get("raised") if isinstance(error, WorkflowException) else described.type,
    }


def _causes(error: BaseException | None) -> list[Message]:
    """The user's exception and its causes: types and places, the last one first."""
    found: list[Message] = []
    while error is not None and len(found) < MOST_CAUSES:
        frames = [(frame.f_globals.get("__name__"), frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
        places = [(str(name), code.co_filename, code.co_name, line) for name, code, line in frames[-MOST_FRAMES:]]
        found.append({"type": type_name(error), "frames": places})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _has_trace(error: WorkflowException) -> bool:
    return bool(error.data.get("traceback"))


def _class_of(error: BaseException) -> str:
    try:
        return str(ErrorClass(getattr(error, "error_class", ErrorClass.PERMANENT)))
    except ValueError:
        return str(ErrorClass.PERMANENT)


def kept(streams: PrintStreams) -> Callable[[], None]:
    """Keep what a call may change in the process; what is returned puts it back. Whatever else a function changes, such as the
    globals of its module, stays in this runner."""
    folder, variables, path = os.getcwd(), dict(os.environ), list(sys.path)
    # Through its own face each variable is decoded: 40 us for each call.
    held: dict[Any, Any] = vars(os.environ)["_data"]
    as_held = dict(held)
    stdin = sys.stdin
    mask = os.umask(0o022)
    os.umask(mask)

    def put_back() -> None:
        os.umask(mask)
        with suppress(OSError):
            os.chdir(folder)
        if held != as_held:
            os.environ.clear()
            os.environ.update(variables)
        if sys.path != path:
            sys.path[:] = path
        sys.stdin = stdin
        streams.put_back()
        socket.setdefaulttimeout(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in _DEFAULTS.items():
            if _getsignal(number) != handler:
                signal.signal(number, handler)
        _close_figures()

    return put_back


def _most_memory() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _close_figures() -> None:
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and pyplot.get_fignums():
        pyplot.close("all")
