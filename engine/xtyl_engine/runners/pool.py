"""The worker's runners: finds or starts the launcher of a run, has a call made by one of its runners, and ends what takes too
long. One `Runners` for each worker process; a slot's own thread waits for its call.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from xtyl_engine.errors import PartialFailureError, PermanentError, TransientError, WorkflowException
from xtyl_engine.runners.admission import Admission, Flight
from xtyl_engine.runners.launchers import Launcher, LauncherGone, Preparation, Runner, Sink
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.places import RunPlace, idle_too_long
from xtyl_engine.runners.protocol import Message
from xtyl_engine.runners.stems import Stem

IDLE_SECONDS = 30.0
# A kernel runs its cells again after a while; then what they import is still there.
STEM_SECONDS, MOST_STEMS = 600.0, 4
TIDY_SECONDS = 5.0
# As often as the largest pipe takes to be emptied.
MOST_READS = 16
MOST_STARTS = 20
# A launcher that ends while it loads is started again without the function it was at; in the end each runner loads for itself.
MOST_LOADS = 19
# On macOS a process that has loaded libraries cannot be forked safely: there each runner loads by itself.
LOADS_AHEAD = sys.platform != "darwin"
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


class Runners:
    """The launchers and runners of one worker process, which has so many slots."""

    def __init__(self, slots: int, environ: Mapping[str, str] = os.environ, *, loads_ahead: bool = LOADS_AHEAD):
        self._slots = slots
        self.loads_ahead = loads_ahead
        self._environ = environ
        self._places: dict[str, RunPlace] = {}
        self._bases: dict[str, Stem] = {}
        self._stems: dict[object, Stem] = {}
        self._branching = threading.Lock()
        self._changing = threading.Condition()
        self._living = 0
        self._admission = Admission(on_short=self._shed)
        self._is_tidied = False

    def warm(self, python: str = sys.executable) -> None:
        """Start the base launcher ahead of the first call, which says why where it cannot be started."""
        with suppress(TransientError):
            self._base(python)

    def call(self, order: Order) -> tuple[bytes, int | None]:
        """Have a call made: its output as JSON, and its number of items. Raises the function's error, NodeTimeout, CallStopped,
        or RunnerDied."""
        with self._changing:
            place = self._places.setdefault(order.run, RunPlace())
            place.calls += 1
        try:
            return self._made(order, place)
        finally:
            with self._changing:
                place.calls -= 1
                place.used = time.monotonic()

    def _made(self, order: Order, place: RunPlace) -> tuple[bytes, int | None]:
        with self._admission.entered(order.key, order.patience) as flight:
            launcher, runner = self._begun(order, place, flight)
            try:
                answer, body = _answered(order, runner)
            except EOFError:
                _read(order, runner)
                raise _died(self._end(launcher, runner)) from None
            except BaseException:
                _read(order, runner)
                self._end(launcher, runner)
                raise
            runner.computed = answer["computed"]
            self._admission.ended(flight, runner.computed, answer["memory"])
        self._give_back(launcher, runner)
        if "error" in answer:
            raise _error(answer["error"])
        return body, answer["done"]

    def _begun(self, order: Order, place: RunPlace, flight: Flight) -> tuple[Launcher, Runner]:
        """A runner that has the call."""
        while True:
            launcher, runner = self._runner(order, place)
            try:
                order.patience.check()
                _refuse(order, place.preparation)
                order.may_start()
            except BaseException:
                self._give_back(launcher, runner)
                raise
            order.patience.begin()
            flight.pid, flight.computed, flight.began = runner.pid, runner.computed, time.monotonic()
            try:
                _begin(order, runner, place.preparation)
                return launcher, runner
            except BaseException as error:
                self._end(launcher, runner)
                # A runner that ended while it was idle has not seen the call.
                if not isinstance(error, ConnectionError):
                    raise

    def _runner(self, order: Order, place: RunPlace) -> tuple[Launcher, Runner]:
        for _ in range(MOST_STARTS):
            launcher = self._launcher(order, place)
            with suppress(IndexError):
                return launcher, launcher.idle.pop()
            with launcher.forking, suppress(LauncherGone):
                return launcher, launcher.idle.pop() if launcher.idle else self._fork(launcher)
        raise RunnerDied("the process that starts functions ends again and again", hint="Look into the worker's log.")

    def _fork(self, launcher: Launcher) -> Runner:
        """One runner more; those that are idle for other runs end for it, when there are more than slots."""
        with self._changing:
            self._living += 1
            if self._living > self._slots:
                self._changing.notify()
        try:
            return launcher.fork()
        except BaseException:
            self._count(-1)
            raise

    def _end(self, launcher: Launcher, runner: Runner) -> int | None:
        self._count(-1)
        return launcher.end(runner)

    def _dismiss(self, launcher: Launcher) -> bool:
        """End the runner of a launcher that has been idle longest, if there is one."""
        try:
            runner = launcher.idle.popleft()
        except IndexError:
            return False
        self._count(-1)
        launcher.dismiss(runner)
        return True

    def _count(self, more: int) -> None:
        with self._changing:
            self._living += more

    def _give_back(self, launcher: Launcher, runner: Runner) -> None:
        runner.idle_since = time.monotonic()
        launcher.idle.append(runner)
        if launcher.is_gone:
            # Closed meanwhile: nothing else would end it.
            self._dismiss(launcher)

    def _shed(self) -> None:
        """Memory is short: end what only waits for calls."""
        for place in list(self._places.values()):
            while place.launcher is not None and self._dismiss(place.launcher):
                pass

    def _launcher(self, order: Order, place: RunPlace) -> Launcher:
        """The launcher of a run, started if it has none."""
        launcher = place.launcher
        if launcher is not None and not launcher.is_gone:
            return launcher
        while not place.starting.acquire(timeout=order.patience.left() + 0.01):
            order.patience.check()
        try:
            if place.launcher is None or place.launcher.is_gone:
                place.launcher = self._start(order, place)
            return place.launcher
        finally:
            place.starting.release()

    def _start(self, order: Order, place: RunPlace) -> Launcher:
        if place.launcher is not None:
            place.launcher.close()
        preparation = order.prepare()
        loads_left = MOST_LOADS if self.loads_ahead else 0
        while True:
            stem = place.stem = self._stem(preparation, order.patience)
            launcher = stem.launch(preparation, order.patience)
            try:
                if loads_left:
                    launcher.load(preparation, place.avoid, order.patience)
            except BaseException as error:
                launcher.close()
                if not isinstance(error, (LauncherGone, OSError)):
                    raise
                loads_left -= 1
            else:
                place.keep(preparation, launcher)
                self._tidy_from_now_on()
                if launcher.modules:
                    stem.learn(launcher.modules)
                return launcher

    def _stem(self, preparation: Preparation, patience: Patience) -> Stem:
        """What the launcher of a run is forked from; runs of one kernel share it, and those with the worker's own variables."""
        base = self._base(preparation.python, preparation.path or ())
        key = preparation.python, preparation.path, tuple(sorted((preparation.variables or {}).items()))
        with self._branching:
            stem = self._stems.get(key)
            if stem is None or stem.is_closed:
                self._drop_stems()
                stem = self._stems[key] = base.branch(preparation, patience)
            return stem

    def _base(self, python: str, path: Sequence[str] = ()) -> Stem:
        with self._changing:
            base = self._bases.get(python)
            if base is None or base.is_closed:
                base = self._bases[python] = Stem.executed(python, self._environ, path)
            return base

    def _drop_stems(self) -> None:
        """End those of kernels that no run is from: not used for so long, or the oldest where there are too many."""
        in_use = {id(place.stem) for place in list(self._places.values())}
        unused = [(key, stem) for key, stem in self._stems.items() if id(stem) not in in_use]
        limit = time.monotonic() - STEM_SECONDS
        for place, (key, stem) in enumerate(sorted(unused, key=lambda each: each[1].used)):
            if stem.used < limit or len(unused) - place > MOST_STEMS:
                self._stems.pop(key).close()

    def _tidy_from_now_on(self) -> None:
        with self._changing:
            if not self._is_tidied:
                self._is_tidied = True
                threading.Thread(target=self._tidy, name="xtyl-runners", daemon=True).start()
            self._changing.notify()

    def _tidy(self) -> None:
        """End launchers of runs that have nothing here, and of kernels that start none, until there is none."""
        while True:
            with self._changing:
                self._changing.wait(TIDY_SECONDS)
                limit = time.monotonic() - IDLE_SECONDS
                ended = [self._places.pop(run) for run in idle_too_long(self._places, limit)]
                kept = [place.launcher for place in self._places.values() if place.launcher is not None]
                if not self._places and not self._stems:
                    self._is_tidied = False
            for place in ended:
                self._close(place)
            with self._branching:
                self._drop_stems()
            for launcher in kept:
                with suppress(IndexError):
                    while launcher.idle[0].idle_since < limit or self._living > self._slots:
                        self._dismiss(launcher)
            if not self._is_tidied:
                return

    def _close(self, place: RunPlace) -> None:
        if place.launcher is not None:
            self._count(-len(place.launcher.idle))
            place.launcher.close()

    def close(self) -> None:
        """End every launcher and every runner, also those at a call."""
        with self._changing:
            places, self._places = list(self._places.values()), {}
            stems, self._stems = [*self._stems.values(), *self._bases.values()], {}
            self._bases = {}
            self._changing.notify_all()
        for place in places:
            self._close(place)
        for stem in stems:
            stem.close()


def _refuse(order: Order, preparation: Preparation | None) -> None:
    if preparation is not None and (refused := preparation.refused.get(order.key)) is not None:
        raise refused


def _begin(order: Order, runner: Runner, preparation: Preparation | None) -> None:
    """Send a call to a runner, and with it a function that its launcher could not load."""
    packed = preparation.packed if preparation is not None and order.key not in runner.knows else ()
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


def _answered(order: Order, runner: Runner) -> tuple[Message, bytes]:
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


def _read(order: Order, runner: Runner) -> None:
    """Read what the pipe holds, and no more: a process that goes on might write for ever."""
    for _ in range(MOST_READS):
        if not (data := runner.heard()):
            return
        order.sink(data)


def _died(status: int | None) -> RunnerDied:
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


def _error(told: Message) -> WorkflowException:
    """The error of a function, as its runner told it."""
    kind = _ERRORS.get(told["class"], PermanentError)
    data = {name: told[name] for name in ("traceback", "raised", "causes") if told.get(name)}
    if told["retry_after"] is not None and kind is TransientError:
        data["retry_after"] = told["retry_after"]
    return kind(told["message"], **data)
