"""Run: a handle on one execution. It holds an id and a way to the back end, no state of its own, so that any number of
handles in any number of kernels show the same thing. The verbs that decide and those that give results have modules of
their own; what begins with an underscore is for displays, see `Live`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import WaitTimeout
from xtyl_engine.events import Event
from xtyl_engine.states import ExecutionState
from xtyl_nb.backends.retrying import patiently
from xtyl_nb.drawing.displayable import CHANGED_SECONDS
from xtyl_nb.runs import decisions, results

if TYPE_CHECKING:
    from xtyl_engine.queries.views import JobDetail, JobPage, Overview, Review
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend
    from xtyl_nb.drawing.run_picture import Exhibit


class Run:
    """One execution of a workflow, as `Workflow.run` and `xt.attach` give it.

    Attributes:
        id: What `xt.attach` finds it by, from any kernel.

    Example:
        >>> run = flow.run(briefs)
        >>> run.approve("pick", choose=[0]).wait(timeout=60)
        Run('launch')
        >>> print(run.state, run.progress)
        completed 100.0
    """

    def __init__(self, id: str, backend: Backend, *, frame: Any = None):
        self.id = id
        self._backend = backend
        self._frame = frame.copy() if hasattr(frame, "columns") and hasattr(frame, "copy") else None
        self._cell: int | None = None

    approve = decisions.approve
    reject = decisions.reject
    another = decisions.another
    reviews = decisions.reviews

    frame = results.frame
    outputs = results.outputs
    jobs = results.jobs
    inspect = results.inspect
    events = results.events
    gallery = results.gallery
    timeline = results.timeline
    save = results.save

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    @property
    def name(self) -> str:
        """The name of the workflow that it runs."""
        return self._plan.name

    @property
    def state(self) -> ExecutionState:
        """One of pending, running, paused, completed, failed and stopped, as it is now."""
        return self._backend.queries.sequence(self.id)[1]

    @property
    def progress(self) -> float:
        """How many percent of the jobs are done, from 0 to 100; those that were stopped are not."""
        return self.overview().progress

    @property
    def waiting_for(self) -> str | None:
        """What the run waits for, in words: a person, a retry, a worker; None while something runs."""
        return self.overview().waiting_for

    def overview(self) -> Overview:
        """Read how the run stands, at one glance.

        Returns:
            An Overview: `state`, `progress` (percent), `done` of `total` jobs, how many `failed`,
            the `error` for which it stands still, `started` and `finished` (seconds since 1970,
            UTC), and `nodes`, the same by node.

        Example:
            >>> run.overview().nodes["headline"].done
            6
        """
        return self._backend.overview(self.id)

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run is completed, failed or stopped; `await run` does so without blocking.

        An interrupt leaves the run going: `run.stop()` ends it, `xt.attach(run.id)` finds it again.

        Args:
            timeout: The most seconds to wait; no limit if left out.

        Returns:
            The run itself.

        Raises:
            WaitTimeout: It is still going on after `timeout` seconds, and goes on.
            BackendError: The back end cannot be reached, or has no worker any more.

        Example:
            >>> print(run.wait(timeout=60).state)
            completed
        """
        self._touched()
        try:
            self._wait_until(lambda state: state.is_terminal, timeout)
        except KeyboardInterrupt:
            self._say(f"\nStopped waiting; {self.id} goes on. `run.wait()` waits again, `run.stop()` ends it.")
            # Where in our code it was waiting tells nobody anything.
            raise KeyboardInterrupt from None
        return self._settled()

    def __await__(self) -> Generator[Any, None, Run]:
        async def until_over() -> Run:
            while not (await asyncio.to_thread(patiently, self._look)).is_terminal:
                self._backend.check()
            return self._touched()._settled()

        return until_over().__await__()

    def pause(self) -> Run:
        """Start nothing new; jobs that run finish and are kept.

        Returns:
            The run itself.

        Raises:
            ControlRefused: The run is over.

        Example:
            >>> run = flow.run(briefs)
            >>> print(run.pause().state)
            paused
        """
        self._backend.control(self.id, "pause")
        return self._touched()

    def resume(self) -> Run:
        """Go on after a pause, a stop or a failure; completed jobs are kept.

        Returns:
            The run itself.

        Raises:
            ControlRefused: The run is complete.

        Example:
            >>> run = flow.run(briefs).pause()
            >>> print(run.resume().state)
            running
        """
        self._backend.control(self.id, "resume")
        return self._followed()

    def stop(self) -> Run:
        """End the run; completed jobs are kept, and `resume` continues from them.

        Returns:
            The run itself.

        Raises:
            ControlRefused: The run is over.

        Example:
            >>> run = flow.run(briefs)
            >>> print(run.stop().state)
            stopped
        """
        self._backend.control(self.id, "stop")
        return self._touched()

    def retry(self) -> Run:
        """Try the failed jobs, and what hung on them, again.

        Returns:
            The run itself.

        Raises:
            ControlRefused: Nothing in the run has failed.

        Example:
            >>> sums = xt.Workflow("sums").call("rounded", round, number="{{ number }}")
            >>> run = sums.run(number="many").wait(timeout=60)
            >>> print(run.state)
            failed
            >>> run.retry()
            Run('sums')
        """
        self._backend.control(self.id, "retry")
        return self._followed()

    def watch(self) -> Iterator[Event]:
        """Follow the run's events as they happen, from the first on, without a gap.

        Returns:
            An iterator that ends with the run. Each Event has `sequence`, `time` (seconds since
            1970, UTC), `kind`, `node` and `item` (a path such as "3.0": the fourth row, its first
            item).

        Example:
            >>> run = flow.run(briefs)
            >>> print(next(event.kind for event in run.watch() if event.node == "headline"))
            job_started
        """
        after = 0
        while True:
            over = patiently(lambda: self.state).is_terminal
            for event in patiently(lambda after=after: self._backend.queries.events(self.id, after)):  # type: ignore[misc]
                after = event.sequence
                yield event
            if over:
                return
            patiently(lambda after=after: self._changed(after, CHANGED_SECONDS))  # type: ignore[misc]

    def show(self) -> None:
        """Show the live graph below the cell; outside a notebook, nothing.

        Example:
            >>> run.show()
        """
        from xtyl_nb.widget.display import show_run

        self._touched()
        show_run(self)

    @cached_property
    def _plan(self) -> Plan:
        return self._backend.queries.plan(self.id)

    @property
    def _decisions(self) -> decisions.Decisions:
        return decisions.Decisions(id=self.id, plan=self._plan, backend=self._backend, wait_until=self._wait_until)

    def _changed(self, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""
        return self._backend.changed(self.id, after, timeout)

    def _reviews_after(self, after: tuple[str, str] | None, count: int) -> Sequence[Review]:
        """Some decisions that are waited for: those behind the review of this node and item, or the first."""
        return self._backend.reviews(self.id, after, count)

    def _job_page(self, node: str, start: int = 0) -> JobPage:
        """Some jobs of a node from the `start`-th on, those that need somebody first."""
        return self._backend.job_page(self.id, node, start)

    def _recent_events(self, count: int = 200) -> list[Event]:
        """The last events, in order."""
        sequence, _ = self._backend.queries.sequence(self.id)
        return self._backend.queries.events(self.id, max(0, sequence - count))

    def _exhibits(self, limit: int) -> list[Exhibit]:
        """The first images the run made, in the order of the nodes and rows."""
        from xtyl_nb.drawing.gallery import exhibits_of

        with_images = [name for name, node in self._plan.nodes.items() if node.kind.makes_images]
        return list(islice(exhibits_of(job for name in with_images for job in self._jobs_of(name)), limit))

    def _original(self, path: str) -> str:
        """The whole file of an image, of which a back end far away sent a small copy."""
        return self._backend.store_of(self.id).original(path)

    def _jobs_of(self, node: str) -> Iterator[JobDetail]:
        start = 0
        while (page := self._job_page(node, start)).jobs:
            yield from page.jobs
            start += len(page.jobs)

    def _ipython_display_(self) -> None:
        from xtyl_nb.notebook import cell_number, in_notebook
        from xtyl_nb.widget.display import show_line

        # A cell that ends in `run.wait()` or `flow.run(...)` asked for that, not for one more picture.
        if self._cell == cell_number() or not in_notebook():
            state = self.state
            show_line(f"{self!r} {state}" if state.is_terminal else repr(self))
        else:
            self.show()

    def _touched(self) -> Run:
        from xtyl_nb.notebook import cell_number

        self._cell = cell_number()
        return self

    def _settled(self) -> Run:
        from xtyl_nb.widget.display import settle_widgets

        settle_widgets(self.id)
        return self

    def _followed(self) -> Run:
        from xtyl_nb.widget.display import wake_widgets

        wake_widgets(self.id)
        return self._touched()

    def _wait_until(self, is_over: Callable[[ExecutionState], bool], timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout

        def look() -> bool:
            after, state = self._backend.queries.sequence(self.id)
            if is_over(state):
                return True
            left = CHANGED_SECONDS if deadline is None else min(CHANGED_SECONDS, deadline - time.monotonic())
            if left <= 0:
                raise self._too_late(timeout)
            if not self._changed(after, left):
                self._backend.check()
            return False

        # A database that restarts is no reason to stop waiting for what goes on there.
        while not patiently(look):
            pass

    def _look(self) -> ExecutionState:
        """The state after a while, or as soon as something happened."""
        after, state = self._backend.queries.sequence(self.id)
        if not state.is_terminal:
            self._changed(after, CHANGED_SECONDS)
        return state

    def _too_late(self, timeout: float | None) -> WaitTimeout:
        seen = self.overview()
        waits = f", waiting for {seen.waiting_for}" if seen.waiting_for else ""
        return WaitTimeout(
            f"{self.id} is {seen.state} after {timeout:g} s: {seen.done} of {seen.total} jobs are over{waits}",
            hint="It goes on: `run.wait()` waits again, `run.stop()` ends it.",
        )

    @staticmethod
    def _say(words: str) -> None:
        import sys

        sys.stderr.write(words + "\n")
