"""Run: a handle on one execution. It holds an id and a way to the back end, no state of its own, so that any number of
handles in any number of kernels show the same thing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import DecisionRefused, WaitTimeout
from xtyl_engine.events import Event
from xtyl_engine.states import ExecutionState, JobState
from xtyl_nb.desk import Desk, person, written
from xtyl_nb.live import CHANGED_SECONDS
from xtyl_nb.patience import patiently

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from xtyl_engine.overview import JobDetail, JobPage, Overview, Review
    from xtyl_engine.plan import Plan
    from xtyl_nb.backend import Backend
    from xtyl_nb.gallery import Gallery
    from xtyl_nb.picture import Exhibit
    from xtyl_nb.timeline import Timeline

PAGE = 200


class Run:
    """One execution of a workflow. Made by `Workflow.run` or `xt.attach`."""

    def __init__(self, id: str, backend: Backend, *, frame: Any = None):
        self.id = id
        self._backend = backend
        self._frame = frame.copy() if hasattr(frame, "columns") and hasattr(frame, "copy") else None
        self._plan: Plan | None = None
        self._cell: int | None = None

    def __repr__(self) -> str:
        return f"Run({self.plan.name!r})"

    @property
    def plan(self) -> Plan:
        """The plan the execution runs by."""
        if self._plan is None:
            self._plan = self._backend.queries.plan(self.id)
        return self._plan

    @property
    def state(self) -> ExecutionState:
        """pending, running, paused, completed, failed or stopped."""
        return self._backend.queries.sequence(self.id)[1]

    @property
    def progress(self) -> float:
        """Percent of jobs that are done, 0-100; those that were stopped are not."""
        return self.overview().progress

    @property
    def waiting_for(self) -> str | None:
        """What the run waits for, in words: a person, a retry, a worker; None while something runs."""
        return self.overview().waiting_for

    @property
    def _desk(self) -> Desk:
        return Desk(id=self.id, plan=self.plan, backend=self._backend, wait_until=self._wait_until)

    def overview(self) -> Overview:
        """State, counts per node, last results and open reviews, at one glance."""
        return self._backend.overview(self.id)

    def changed(self, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""
        return self._backend.changed(self.id, after, timeout)

    def wait(self, timeout: float | None = None) -> Run:
        """Block until the run is completed, failed or stopped, or `timeout` seconds have passed (WaitTimeout).

        An interrupt leaves the run going: `run.stop()` ends it, `xt.attach(id)` finds it again.
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
        """Start nothing new; what runs finishes and is kept."""
        self._backend.control(self.id, "pause")
        return self._touched()

    def resume(self) -> Run:
        """Go on after a pause, a stop or a failure; completed jobs are kept."""
        self._backend.control(self.id, "resume")
        return self._followed()

    def stop(self) -> Run:
        """End the run; completed jobs are kept, and `resume` continues from them."""
        self._backend.control(self.id, "stop")
        return self._touched()

    def retry(self) -> Run:
        """Try the failed jobs, and what hung on them, again."""
        self._backend.control(self.id, "retry")
        return self._followed()

    def approve(
        self,
        node: str,
        *,
        choose: Sequence[int],
        edits: Mapping[int, Any] | None = None,
        row: Any = None,
        comment: str | None = None,
        timeout: float | None = None,
        row_position: int | None = None,
        item: str | None = None,
    ) -> Run:
        """Decide a review: `choose` names options by position, `edits` gives new texts by option.

        `row` is a label of the frame's index; without it every row is decided so, each as soon as it waits. Blocks until
        then, `timeout` seconds at most. Raises DecisionRefused with what may be chosen.
        """
        place = self._desk.place(node, row, row_position, item)
        comment = written("comment", comment)

        def approve(item: str) -> None:
            self._backend.approve(self.id, node, item, choose=choose, edits=edits, comment=comment, by=person())

        self._desk.decide(node, place, approve, timeout)
        return self._touched()

    def reject(
        self,
        node: str,
        *,
        reason: str,
        row: Any = None,
        timeout: float | None = None,
        row_position: int | None = None,
        item: str | None = None,
    ) -> Run:
        """Decide that nothing here will do: what hangs on the review is skipped, other rows go on."""
        place = self._desk.place(node, row, row_position, item)
        words = written("reason", reason) or ""

        def reject(item: str) -> None:
            self._backend.reject(self.id, node, item, reason=words, by=person())

        self._desk.decide(node, place, reject, timeout)
        return self._touched()

    def another(self, node: str, *, row: Any = None, comment: str | None = None, item: str | None = None) -> Run:
        """Ask for one more option where a review waits: another item of the list it chooses from is made, and it waits again
        with all of them. Without `row`, everywhere it waits now. Raises DecisionRefused where the list cannot get longer."""
        states = self._desk.states(node, self._desk.place(node, row, None, item))
        waiting = [item for item, state in states.items() if state is JobState.WAITING]
        if not waiting:
            raise DecisionRefused(f"{node} waits for no decision there", hint="`run.reviews()` lists what waits.")
        for each in waiting:
            self._backend.another(self.id, node, each, comment=written("comment", comment), by=person())
        return self._touched()

    def reviews(self) -> pd.DataFrame:
        """The decisions that are waited for: one row per option, indexed by node, row and option."""
        from xtyl_nb.frame import reviews_frame

        return reviews_frame(self._backend, self.id, list(self._waiting()))

    def reviews_after(self, after: tuple[str, str] | None, count: int) -> Sequence[Review]:
        """Some decisions that are waited for: those behind the review of this node and item, or the first."""
        return self._backend.reviews(self.id, after, count)

    def _waiting(self) -> Iterator[Review]:
        after = None
        while page := self.reviews_after(after, PAGE):
            yield from page
            after = (page[-1].node, page[-1].item)

    def watch(self) -> Iterator[Event]:
        """The run's events from the first on, as they happen, without a gap; ends with the run."""
        after = 0
        while True:
            over = patiently(lambda: self.state).is_terminal
            for event in patiently(lambda after=after: self._backend.queries.events(self.id, after)):  # type: ignore[misc]
                after = event.sequence
                yield event
            if over:
                return
            patiently(lambda after=after: self.changed(after, CHANGED_SECONDS))  # type: ignore[misc]

    def frame(self) -> pd.DataFrame:
        """The input rows, index kept, with one column per node, `status` and `error`."""
        from xtyl_nb.frame import result_frame

        return result_frame(self._backend, self.id, self.plan, self._frame)

    def outputs(self, node: str) -> pd.DataFrame:
        """One row per job of a node, indexed by row (and item), one column per field of its output."""
        from xtyl_nb.frame import outputs_frame

        return outputs_frame(self._backend, self.id, self.plan, node)

    def jobs(self) -> pd.DataFrame:
        """One row per job: what it did, how long it took, what it cost, how it failed."""
        from xtyl_nb.frame import jobs_frame

        return jobs_frame(self._backend, self.id, self.plan)

    def inspect(self, node: str, *, row: Any = None, item: str | int | None = None) -> JobDetail:
        """One job with everything that is known of it: what it was asked with its templates filled in, its attempts, its
        result, its error with the traceback, its cost. `row` is a label of the frame's index, the first row if left out,
        and `item` the place in that row's list; with no `row`, the path of both, such as "3.0"."""
        position = str(0 if row is None else self._desk.position(row))
        if item is not None:
            position = f"{position}.{item}" if row is not None or isinstance(item, int) else item
        return self._backend.inspect(self.id, node, position)

    def job_page(self, node: str, start: int = 0) -> JobPage:
        """Some jobs of a node from the `start`-th on, those that need somebody first."""
        return self._backend.job_page(self.id, node, start)

    def recent_events(self, count: int = 200) -> list[Event]:
        """The last events, in order."""
        sequence, _ = self._backend.queries.sequence(self.id)
        return self._backend.queries.events(self.id, max(0, sequence - count))

    def events(self) -> pd.DataFrame:
        """One row per event, in order."""
        from xtyl_nb.frame import events_frame

        return events_frame(self._backend, self.id)

    def gallery(self, node: str | None = None) -> Gallery:
        """Every image the run made, or those of one node, as a contact sheet; `.paths` are the files."""
        from xtyl_nb.gallery import Gallery

        names = [node] if node else self.plan.nodes
        return Gallery((job for name in names for job in self._jobs_of(name)), self._backend.store_of(self.id))

    def exhibits(self, limit: int) -> list[Exhibit]:
        """The first images the run made, in the order of the nodes and rows."""
        from xtyl_nb.gallery import exhibits_of

        with_images = [name for name, node in self.plan.nodes.items() if node.kind.makes_images]
        return list(islice(exhibits_of(job for name in with_images for job in self._jobs_of(name)), limit))

    def original(self, path: str) -> str:
        """The whole file of an image, of which a back end far away sent a small copy."""
        return self._backend.store_of(self.id).original(path)

    def timeline(self) -> Timeline:
        """When each job was at work, as bars on one scale."""
        from xtyl_nb.timeline import timeline_of

        return timeline_of(self._backend.queries.jobs(self.id), list(self.plan.nodes), self.overview())

    def save(self, folder: str | Path) -> list[Path]:
        """Write what the run made into a folder, one subfolder per row: texts as .txt, images as files; the paths."""
        from xtyl_nb.export import save_results

        return save_results(self._backend, self.id, self.plan, folder)

    def show(self) -> None:
        """Show the live graph below the cell; outside a notebook, nothing."""
        from xtyl_nb.display import show_run

        self._touched()
        show_run(self)

    def _jobs_of(self, node: str) -> Iterator[JobDetail]:
        start = 0
        while (page := self.job_page(node, start)).jobs:
            yield from page.jobs
            start += len(page.jobs)

    def _ipython_display_(self) -> None:
        from xtyl_nb.display import cell_number, in_notebook, show_line

        # A cell that ends in `run.wait()` or `flow.run(...)` asked for that, not for one more picture.
        if self._cell == cell_number() or not in_notebook():
            show_line(self)
        else:
            self.show()

    def _touched(self) -> Run:
        from xtyl_nb.display import cell_number

        self._cell = cell_number()
        return self

    def _settled(self) -> Run:
        from xtyl_nb.display import settle_widgets

        settle_widgets(self.id)
        return self

    def _followed(self) -> Run:
        from xtyl_nb.display import wake_widgets

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
            if not self.changed(after, left):
                self._backend.check()
            return False

        # A database that restarts is no reason to stop waiting for what goes on there.
        while not patiently(look):
            pass

    def _look(self) -> ExecutionState:
        """The state after a while, or as soon as something happened."""
        after, state = self._backend.queries.sequence(self.id)
        if not state.is_terminal:
            self.changed(after, CHANGED_SECONDS)
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
