"""The worker's runners: finds or starts the launcher of a run, has a call made by one of its runners, and ends what takes too
long. One `Runners` for each worker process; a slot's own thread waits for its call.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from xtyl_engine.errors import TransientError
from xtyl_engine.runners.admission import Admission, Flight
from xtyl_engine.runners.launchers import Launcher, LauncherGone, Preparation, Runner
from xtyl_engine.runners.orders import Order, RunnerDied, answered, begin, died, read_rest, refuse, told_error
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.places import LauncherPlace, RunPlace, idle_too_long
from xtyl_engine.runners.stems import Stem

IDLE_SECONDS = 30.0
# A kernel runs its cells again after a while; then what they import is still there.
STEM_SECONDS, MOST_STEMS = 600.0, 4
TIDY_SECONDS = 5.0
MOST_STARTS = 20
# A launcher that ends while it loads is started again without the function it was at; in the end each runner loads for itself.
MOST_LOADS = 19
# On macOS a process that has loaded libraries cannot be forked safely: there each runner loads by itself.
LOADS_AHEAD = sys.platform != "darwin"


class Runners:
    """The launchers and runners of one worker process, which has so many slots."""

    def __init__(self, slots: int, environ: Mapping[str, str] = os.environ, *, loads_ahead: bool = LOADS_AHEAD):
        self._slots = slots
        self.loads_ahead = loads_ahead
        self._environ = environ
        self._places: dict[str, RunPlace] = {}
        self._shared: dict[object, LauncherPlace] = {}
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
            place = self._places.get(order.run)
            if place is None:
                place = self._places[order.run] = RunPlace()
            place.calls += 1
        try:
            return self._made(order, place)
        finally:
            with self._changing:
                place.calls -= 1
                place.used = time.monotonic()

    def _made(self, order: Order, place: RunPlace) -> tuple[bytes, int | None]:
        with self._admission.entered(order.key, order.patience) as flight:
            runner = self._begun(order, place, flight)
            try:
                answer, body = answered(order, runner)
            except EOFError:
                read_rest(order, runner)
                raise died(self._end(place, runner)) from None
            except BaseException:
                read_rest(order, runner)
                self._end(place, runner)
                raise
            runner.computed = answer["computed"]
            self._admission.ended(flight, runner.computed, answer["memory"])
        if runner.may_print_on:
            self._share_no_more(place)
        self._give_back(place, runner)
        if "error" in answer:
            raise told_error(answer["error"])
        return body, answer["done"]

    def _begun(self, order: Order, place: RunPlace, flight: Flight) -> Runner:
        """A runner that has the call."""
        while True:
            runner = self._runner(order, place)
            try:
                order.patience.check()
                refuse(order, place.preparation)
                order.may_start()
            except BaseException:
                self._give_back(place, runner)
                raise
            order.patience.begin()
            flight.pid, flight.computed, flight.began = runner.pid, runner.computed, time.monotonic()
            try:
                begin(order, runner, place.preparation)
                return runner
            except BaseException as error:
                self._end(place, runner)
                # A runner that ended while it was idle has not seen the call.
                if not isinstance(error, ConnectionError):
                    raise

    def _runner(self, order: Order, place: RunPlace) -> Runner:
        for _ in range(MOST_STARTS):
            launcher = place.launcher or self._launcher(order, place)
            with suppress(IndexError):
                return place.idle.pop()
            with place.forking, suppress(LauncherGone):
                return place.idle.pop() if place.idle else self._fork(place, launcher)
        raise RunnerDied("the process that starts functions ends again and again", hint="Look into the worker's log.")

    def _fork(self, place: RunPlace, launcher: Launcher) -> Runner:
        """One runner more; those that are idle for other runs end for it, when there are more than slots."""
        with self._changing:
            self._living += 1
            if self._living > self._slots:
                self._changing.notify()
        try:
            return launcher.fork(place.scratch)
        except BaseException:
            self._count(-1)
            raise

    def _end(self, place: RunPlace, runner: Runner) -> int | None:
        self._count(-1)
        self._share_no_more(place)
        return runner.launcher.end(runner)

    def _dismiss(self, place: RunPlace) -> bool:
        """End the runner of a run that has been idle longest, if there is one."""
        try:
            runner = place.idle.popleft()
        except IndexError:
            return False
        self._count(-1)
        runner.launcher.dismiss(runner)
        return True

    def _count(self, more: int) -> None:
        with self._changing:
            self._living += more

    def _give_back(self, place: RunPlace, runner: Runner) -> None:
        runner.idle_since = time.monotonic()
        place.idle.append(runner)
        if runner.launcher.is_gone:
            # Closed meanwhile: nothing else would end it.
            self._dismiss(place)

    def _shed(self) -> None:
        """Memory is short: end what only waits for calls."""
        for place in list(self._places.values()):
            while self._dismiss(place):
                pass

    def _launcher(self, order: Order, place: RunPlace) -> Launcher:
        """The launcher of a run: one that another has started, or its own."""
        with _held(place.starting, order.patience):
            if (launcher := place.launcher) is None:
                self._leave(place)
                preparation = order.prepare()
                if preparation.folder is None and place.scratch is None:
                    place.scratch = tempfile.mkdtemp(prefix="xtyl-")
                launcher = self._joined(place, preparation, order.patience)
                place.keep(preparation, launcher)
                self._tidy_from_now_on()
            return launcher

    def _joined(self, place: RunPlace, preparation: Preparation, patience: Patience) -> Launcher:
        key = preparation.loaded()
        while True:
            with self._changing:
                shared = place.shared = self._shared.setdefault(key, LauncherPlace(key))
                shared.runs += 1
            with _held(shared.starting, patience):
                if shared.launcher is None:
                    shared.launcher = self._start(place, shared, preparation, patience)
                    if not shared.launcher.is_lasting:
                        self._share_no_more(place)
                    return shared.launcher
                if shared.launcher.is_lasting and not shared.launcher.is_gone:
                    return shared.launcher
            self._leave(place)

    def _start(self, place: RunPlace, shared: LauncherPlace, preparation: Preparation, patience: Patience) -> Launcher:
        loads_left = MOST_LOADS if self.loads_ahead else 0
        while True:
            stem = shared.stem = self._stem(preparation, patience)
            launcher = stem.launch(preparation, patience)
            try:
                if loads_left:
                    launcher.load(preparation, place.avoid, patience)
            except BaseException as error:
                launcher.close()
                if not isinstance(error, (LauncherGone, OSError)):
                    raise
                loads_left -= 1
            else:
                if launcher.modules:
                    stem.learn(launcher.modules)
                return launcher

    def _share_no_more(self, place: RunPlace) -> None:
        """Let no further run have its launcher: what a call left behind ends with that."""
        with self._changing:
            if place.shared is not None and self._shared.get(place.shared.key) is place.shared:
                del self._shared[place.shared.key]

    def _leave(self, place: RunPlace) -> None:
        """End the idle runners of a run, and its launcher if no other run has it."""
        with self._changing:
            shared, place.shared = place.shared, None
            if shared is None:
                return
            shared.runs -= 1
            is_last, is_over = not shared.runs, shared.launcher is None or shared.launcher.is_gone
            if (is_last or is_over) and self._shared.get(shared.key) is shared:
                del self._shared[shared.key]
        if is_last and shared.launcher is not None:
            shared.launcher.close()
        while self._dismiss(place):
            pass

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
        in_use = {id(place.shared.stem) for place in list(self._places.values()) if place.shared is not None}
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
                kept = list(self._places.values())
                if not self._places and not self._stems:
                    self._is_tidied = False
            for place in ended:
                self._close(place)
            with self._branching:
                self._drop_stems()
            for place in kept:
                with suppress(IndexError):
                    while place.idle[0].idle_since < limit or self._living > self._slots:
                        self._dismiss(place)
            if not self._is_tidied:
                return

    def _close(self, place: RunPlace) -> None:
        self._leave(place)
        if place.scratch is not None:
            shutil.rmtree(place.scratch, ignore_errors=True)

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


@contextmanager
def _held(lock: threading.Lock, patience: Patience) -> Iterator[None]:
    """Hold a lock that others may hold for long. Raises as Patience does."""
    while not lock.acquire(timeout=patience.left() + 0.01):
        patience.check()
    try:
        yield
    finally:
        lock.release()
