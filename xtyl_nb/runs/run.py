"""Run: a handle on one execution. It holds an id and a back end, and no state of its own, so that any number of handles in any
number of kernels show the same. The verbs that decide and those that give results have modules of their own; names that begin
with an underscore are for displays, see `Live`.
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
from xtyl_nb.runs.dollars import budget_of

if TYPE_CHECKING:
    from xtyl_engine.queries.executions import Snapshot
    from xtyl_engine.queries.views import JobDetail, JobPage, Overview, Review
    from xtyl_engine.values.artifacts import ArtifactStore
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.backends.protocol import Backend
    from xtyl_nb.drawing.run_picture import Exhibit


class Run:
    """One execution of a workflow, as `Workflow.run` and `xt.attach` give it.

    Attributes:
        id: Its id, by which `xt.attach` finds it from any kernel.

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
    cost = results.cost
    inspect = results.inspect
    events = results.events
    logs = results.logs
    gallery = results.gallery
    timeline = results.timeline
    save = results.save

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    @property
    def name(self) -> str:
        """The name of its workflow."""
        return self._plan.name

    @property
    def state(self) -> ExecutionState:
        """Its present state: pending, running, paused, completed, failed or stopped."""
        return self._backend.queries.sequence(self.id)[1]

    @property
    def progress(self) -> float:
        """The percentage of its jobs that are done, from 0 to 100; stopped jobs do not count."""
        return self.overview().progress

    @property
    def waiting_for(self) -> str | None:
        """The cause of its waiting, in words: a person, a retry, a worker; None while something runs."""
        return self.overview().waiting_for

    def overview(self) -> Overview:
        """Read the state of the run and of each of its nodes.

        Returns:
            An Overview: `state`, `progress` (percent), `done` of `total` jobs, the number that
            `failed`, the `error` that halts it, `started` and `finished` (seconds since 1970,
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
            timeout: The most seconds to wait; no limit by default.

        Returns:
            The run itself.

        Raises:
            WaitTimeout: It has not ended after `timeout` seconds, and goes on.
            BackendError: The back end cannot be reached, or no longer has a worker.

        Example:
            >>> print(run.wait(timeout=60).state)
            completed
        """
        self._touched()
        try:
            self._wait_until(lambda state: state.is_terminal, timeout)
        except KeyboardInterrupt:
            self._say(f"\nStopped waiting; {self.id} goes on. `run.wait()` waits again, `run.stop()` ends it.")
            # The place in the library where it waited would tell the user nothing.
            raise KeyboardInterrupt from None
        return self._settled()

    def __await__(self) -> Generator[Any, None, Run]:
        async def until_over() -> Run:
            while not (await asyncio.to_thread(patiently, self._look)).is_terminal:
                self._backend.check()
            return self._touched()._settled()

        return until_over().__await__()

    def pause(self) -> Run:
        """Pause: start no new jobs; running jobs finish and are kept.

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

    def resume(self, *, budget: float | None = None) -> Run:
        """Resume after a pause, a stop or a failure; completed jobs are kept.

        Args:
            budget: What the run may spend from its beginning to its end, in US dollars, in place of
                the workflow's `budget=`. A run that goes on goes on with it.

        Returns:
            The run itself.

        Raises:
            ControlRefused: The run is complete, is paused for its budget and none is given, or has
                spent the one given; or the budget is no amount between 0 and 1,000,000.
            TypeError: The budget is no number.

        Example:
            >>> run = flow.run(briefs).pause()
            >>> print(run.resume().state)
            running
        """
        self._backend.control(
            self.id, "resume", **({} if (amount := budget_of(budget)) is None else {"budget": amount})
        )
        return self._followed()

    def stop(self) -> Run:
        """Stop the run; completed jobs are kept, and `resume` continues from them.

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
        """Run the failed jobs, and those that depend on them, again.

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
        """Follow the run's events as they happen, from the first one on, without a gap.

        Returns:
            An iterator that ends with the run. Each Event has `sequence`, `time` (seconds since
            1970, UTC), `kind`, `node` and `item` (a path such as "3.0": the fourth row, its first
            item).

        Raises:
            BackendError: The back end cannot be reached, or no longer has a worker.

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
            if not patiently(lambda after=after: self._changed(after, CHANGED_SECONDS)):  # type: ignore[misc]
                self._backend.check()

    def show(self) -> None:
        """Show the live graph below the cell; outside a notebook, do nothing.

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
        """Some open reviews: the first ones, or those after the review of this node and item."""
        return self._backend.reviews(self.id, after, count)

    def _job_page(self, node: str, start: int = 0) -> JobPage:
        """Some jobs of a node from the `start`-th on; failed ones come first, then those that wait for a person."""
        return self._backend.job_page(self.id, node, start)

    def _recent_events(self, count: int = 200) -> list[Event]:
        """The last events, in order."""
        sequence, _ = self._backend.queries.sequence(self.id)
        return self._backend.queries.events(self.id, max(0, sequence - count))

    def _exhibits(self, limit: int) -> list[Exhibit]:
        """The first images the run made, in the order of the nodes and rows."""
        from xtyl_nb.drawing.gallery import exhibits_of

        with_images = [name for name, node in self._plan.nodes.items() if node.kind.makes_images]
        return list(islice(exhibits_of(job for name in with_images for job in self._with_images(name)), limit))

    def _original(self, path: str) -> str:
        """The path of an image's full file; a remote back end sends small copies first."""
        return self._backend.store_of(self.id).original(path)

    def _snapshot(self) -> Snapshot:
        """All rows and jobs at one moment."""
        return self._backend.queries.snapshot(self.id)

    @property
    def _store(self) -> ArtifactStore:
        """The store with its files."""
        return self._backend.store_of(self.id)

    def _with_images(self, node: str) -> Iterator[JobDetail]:
        """The jobs of a node that may have images; those of text alone are not read."""
        start = 0
        while (page := self._backend.job_page(self.id, node, start, with_images=True)).jobs:
            yield from page.jobs
            start += len(page.jobs)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The still picture, for pages that are no Jupyter notebooks; there `_ipython_display_` comes first."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        from xtyl_nb.drawing.run_picture import MOST_EXHIBITS, run_html

        overview = self.overview()
        exhibits = self._exhibits(MOST_EXHIBITS + 1) if overview.state.is_terminal else []
        return run_html(self._plan, overview, exhibits)

    def _display_(self) -> Any:
        """The live graph, for marimo, which asks for it by this name."""
        from xtyl_nb.widget.display import live_widget

        return live_widget(self)

    def _ipython_display_(self) -> None:
        from xtyl_nb.notebook import cell_number, in_notebook
        from xtyl_nb.widget.display import show_line

        # A cell that ends in `run.wait()` or `flow.run(...)` does not ask for one more picture.
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

        # A restart of the database does not end the wait, because the run goes on.
        while not patiently(look):
            pass

    def _look(self) -> ExecutionState:
        """The state, after waiting for the next event or for a while."""
        after, state = self._backend.queries.sequence(self.id)
        if not state.is_terminal:
            self._changed(after, CHANGED_SECONDS)
        return state

    def _too_late(self, timeout: float | None) -> WaitTimeout:
        seen = self.overview()
        waits = f", waiting for {seen.waiting_for}" if seen.waiting_for else ""
        return WaitTimeout(
            f"{self.id} is {seen.state} after {timeout:g} s: {seen.done} of {seen.total} jobs are over{waits}",
            hint="Wait again with `run.wait()`, or end it with `run.stop()`: it goes on.",
        )

    @staticmethod
    def _say(words: str) -> None:
        import sys

        sys.stderr.write(words + "\n")
