"""The protocol of a back end, as a Run uses it. `direct` implements it with the database and the broker, `remote` with the HTTP
API; one suite of tests runs every verb over both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from xtyl_engine.events import Event
    from xtyl_engine.functions.packed_function import Functions
    from xtyl_engine.queries.executions import Snapshot
    from xtyl_engine.queries.forecast import NodeForecast
    from xtyl_engine.queries.pages import Page
    from xtyl_engine.queries.views import AttemptLog, Execution, Job, JobDetail, JobPage, NodeCost, Overview, Review
    from xtyl_engine.scheduler.submit import Row
    from xtyl_engine.states import ExecutionState, JobState
    from xtyl_engine.values.artifacts import ArtifactStore
    from xtyl_engine.workflow.plan import Plan


class Reads(Protocol):
    """The reads of executions. Each raises RunNotFound for an unknown id."""

    def execution(self, execution_id: str) -> Execution: ...

    def executions(
        self, limit: int = 100, *, state: ExecutionState | None = None, name: str = "", prefix: str = ""
    ) -> list[Execution]:
        """The latest executions, newest first: those in a state, with a name that has this text in it, with an id that begins
        so."""

    def sequence(self, execution_id: str) -> tuple[int, ExecutionState]: ...

    def plan(self, execution_id: str) -> Plan: ...

    def rows(self, execution_id: str) -> list[tuple[Any, dict[str, Any]]]: ...

    def jobs(self, execution_id: str) -> list[Job]: ...

    def costs(self, execution_id: str) -> list[NodeCost]: ...

    def node_jobs(self, execution_id: str, node: str) -> list[Job]: ...

    def node_states(self, execution_id: str, node: str) -> dict[str, JobState]: ...

    def snapshot(self, execution_id: str, *, rows: bool = True) -> Snapshot: ...

    def events(self, execution_id: str, after: int = 0, limit: int = 1_000_000) -> list[Event]: ...


class Backend(Protocol):
    """Takes workflows, and reads and controls their executions. Safe to share between threads."""

    @property
    def queries(self) -> Reads: ...

    @property
    def store(self) -> ArtifactStore:
        """The store for files of inputs."""

    def store_of(self, id: str) -> ArtifactStore:
        """The store with the files of one execution."""

    def submit(
        self,
        plan: Plan,
        rows: Sequence[Row],
        *,
        shape: Mapping[str, Any],
        functions: Functions,
        named: Callable[[str | None], object] | None = None,
    ) -> str:
        """Write an execution, notify workers, and return its id. `functions` are the plan's callables by node. `named` is called
        before there may be such an execution: with the id, or with an empty text while only the back end knows whether there is
        one. Then it is called again, in any thread, with the id or with None if there is none."""

    def forecast(self, plan: Plan, rows: Sequence[Row]) -> list[NodeForecast]: ...

    def doubts(self, plan: Plan) -> list[str]:
        """What a plan's nodes lack where they would run, as far as that is known, and may do without."""

    def overview(self, id: str) -> Overview: ...

    def control(self, id: str, action: str, **said: Any) -> None:
        """`pause`, `resume` with what the run may spend, `stop` or `retry`. Raises ControlRefused."""

    def decide(self, id: str, verb: str, node: str, item: str, **said: Any) -> None:
        """`approve` with `choose`, `edits` and `comment`, `reject` with a `reason`, or `another` with a `comment`, each `by` a
        person. Raises DecisionRefused."""

    def reviews(self, id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """The open reviews in order: the first `count`, or those after the review of this node and item."""

    def inspect(self, id: str, node: str, item: str) -> JobDetail: ...

    def job_page(self, id: str, node: str, start: int, *, with_images: bool = False) -> JobPage: ...

    def logs(self, id: str, node: str | None, item: str | None) -> Page[AttemptLog]:
        """The prints of all jobs, of those of a node, and of those at an item or under it: as many as fit into one answer."""

    def changed(self, id: str, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""

    def lend(self, id: str) -> None:
        """Let the functions and providers of a run find this process's environment variables, where they find none."""

    def check(self) -> None:
        """Check that it still runs, where this process is responsible for that."""

    def close(self) -> None: ...
