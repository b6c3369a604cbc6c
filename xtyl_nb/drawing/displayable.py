"""The protocol of a run for displays: the widget and the pictures know a run only by these methods. `Run` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from xtyl_engine.events import Event
    from xtyl_engine.queries.executions import Snapshot
    from xtyl_engine.queries.views import JobDetail, JobPage, Overview, Review
    from xtyl_engine.values.artifacts import ArtifactStore
    from xtyl_engine.workflow.plan import Plan
    from xtyl_nb.drawing.run_picture import Exhibit
    from xtyl_nb.drawing.timeline import Timeline

# The longest time that a call of `_changed` blocks: its caller has other work in between.
CHANGED_SECONDS = 1.0


class Live(Protocol):
    """One execution, as far as a display needs it. Every method may be called from any thread.

    Names that only a display needs begin with an underscore, so that tab completion on a Run offers only what users need.
    """

    @property
    def id(self) -> str: ...

    @property
    def _plan(self) -> Plan: ...

    def overview(self) -> Overview: ...

    def _changed(self, after: int, timeout: float) -> bool:
        """Wait until there is an event newer than number `after`; False if there was none within `timeout` seconds."""

    def pause(self) -> object: ...

    def resume(self) -> object: ...

    def stop(self) -> object: ...

    def retry(self) -> object: ...

    def approve(
        self,
        node: str,
        *,
        choose: list[int],
        edits: Mapping[int, Any] | None = None,
        comment: str | None = None,
        row_position: int | None = None,
        item: str | None = None,
        timeout: float | None = None,
    ) -> object: ...

    def reject(self, node: str, *, reason: str, item: str | None = None, timeout: float | None = None) -> object: ...

    def another(self, node: str, *, comment: str | None = None, item: str | None = None) -> object: ...

    def _reviews_after(self, after: tuple[str, str] | None, count: int) -> Sequence[Review]:
        """The open reviews in order: the first `count`, or those after the review of this node and item."""

    def _job_page(self, node: str, start: int = 0) -> JobPage: ...

    def inspect(self, node: str, *, item: str) -> JobDetail: ...

    def _recent_events(self) -> list[Event]: ...

    def timeline(self) -> Timeline: ...

    def _original(self, path: str) -> str:
        """The path of the full file of an image that another method named."""

    def _exhibits(self, limit: int) -> list[Exhibit]: ...

    def _snapshot(self) -> Snapshot:
        """All rows and jobs at one moment."""

    @property
    def _store(self) -> ArtifactStore:
        """The store with its files."""
