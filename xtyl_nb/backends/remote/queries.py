"""Reads over HTTP, a page at a time: the same as the engine's `Queries`, which reads a database. It writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from xtyl_engine.errors import RunNotFound
from xtyl_engine.events import Event
from xtyl_engine.queries.executions import JobGroup, Result, Snapshot, has_text
from xtyl_engine.queries.views import Execution, Job, NodeCost, shared
from xtyl_engine.queries.wire import from_json
from xtyl_engine.scheduler.submit import Row
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.workflow.plan import Plan, load_plan
from xtyl_nb.backends.remote.http_client import Calls

EXECUTIONS = ("workflows", "executions")
PAGE = 1000
PAGE_WITH_OUTPUTS = 200


class RemoteQueries:
    """The reads of one API."""

    def __init__(self, calls: Calls, project: str | None = None):
        self._calls = calls
        self._project = project

    def execution(self, execution_id: str) -> Execution:
        """Raises RunNotFound."""
        return from_json(Execution, self._calls.get(*at(execution_id)))

    def executions(
        self, limit: int = 100, *, state: ExecutionState | None = None, name: str = "", prefix: str = ""
    ) -> list[Execution]:
        """The latest executions, newest first: those in a state, with a name that has this text in it in whatever case, with an
        id that begins so."""
        size = PAGE if name or prefix else min(PAGE, limit)
        listed = self._all(*EXECUTIONS, limit=size, project_id=self._project, state=state and str(state))
        found = (from_json(Execution, each) for each in listed)
        wanted = (each for each in found if has_text(each.name, name) and each.id.startswith(prefix))
        return list(islice(wanted, max(0, limit)))

    def sequence(self, execution_id: str) -> tuple[int, ExecutionState]:
        """The number of the last event, and the state."""
        found = self.execution(execution_id)
        return found.sequence, found.state

    def plan(self, execution_id: str) -> Plan:
        """The plan of the execution."""
        found = self._calls.get(*at(execution_id), "plan")
        try:
            return load_plan(json.dumps(found))
        except (LookupError, TypeError, ValueError) as error:
            raise self._calls.odd("no plan") from error

    def rows(self, execution_id: str) -> list[tuple[Any, dict[str, Any]]]:
        """Label and values of each input row, in order."""
        rows = (from_json(Row, each) for each in self._all(*at(execution_id), "rows", limit=PAGE))
        return [(row.label, dict(row.values)) for row in rows]

    def jobs(self, execution_id: str) -> list[Job]:
        """Every job, outputs left out."""
        return self._jobs(execution_id, PAGE)

    def costs(self, execution_id: str) -> list[NodeCost]:
        """What the jobs of each node used and cost so far."""
        found = self._calls.get(*at(execution_id), "costs")
        if not isinstance(found, dict) or not isinstance(found.get("costs"), list):
            raise self._calls.odd("no costs")
        return [from_json(NodeCost, each) for each in found["costs"]]

    def node_jobs(self, execution_id: str, node: str) -> list[Job]:
        """Every job of one node, with its output."""
        return self._jobs(execution_id, PAGE_WITH_OUTPUTS, node=node, outputs="true")

    def node_states(self, execution_id: str, node: str) -> dict[str, JobState]:
        """The state of each job of one node, by item."""
        return {job.item: job.state for job in self._jobs(execution_id, PAGE, node=node)}

    def snapshot(self, execution_id: str, *, rows: bool = True) -> Snapshot:
        """The execution with all its jobs at one moment, and its rows if requested. Raises RunNotFound."""
        # One answer holds the states of all jobs. Facts that no longer change may come later, and in pages: rows, and the
        # outputs of completed jobs.
        listed, _ = self._calls.page(*at(execution_id), "states", of="states")
        groups = [from_json(JobGroup, each) for each in listed]
        found = self._jobs(execution_id, PAGE_WITH_OUTPUTS, state="completed", outputs="true")
        outputs = {(job.node, job.item): job.output for job in found}
        return Snapshot(
            execution=self.execution(execution_id),
            rows=self.rows(execution_id) if rows else [],
            results=[
                Result(
                    **shared(each, Result),
                    item=item,
                    output=outputs[each.node, item] if each.state is JobState.COMPLETED else None,
                )
                for each in groups
                for item in each.items.split()
            ],
        )

    def events(self, execution_id: str, after: int = 0, limit: int = 1_000_000) -> list[Event]:
        """The events with a sequence number greater than `after`, in order, without a gap."""
        found = self._all(*at(execution_id), "events", after=after, limit=min(PAGE, limit))
        return [from_json(Event, each) for each in islice(found, max(0, limit))]

    def _jobs(self, execution_id: str, size: int, **parameters: Any) -> list[Job]:
        """Jobs in the order of their creation, as a database returns them."""
        return sorted(map(_job, self._all(*at(execution_id), "jobs", limit=size, **parameters)), key=lambda job: job.id)

    def _all(self, *path: str, after: Any = None, **parameters: Any) -> Iterator[Any]:
        """Each item, page by page, of the list that is named by the last part of its path."""
        while True:
            listed, after = self._calls.page(*path, of=path[-1], after=after, **parameters)
            yield from listed
            if after is None:
                return


def at(execution_id: str) -> tuple[str, ...]:
    """The path of an execution. Raises RunNotFound for a text that is no id, so that no other path is requested."""
    if not (isinstance(execution_id, str) and execution_id.strip(". ") and "/" not in execution_id):
        raise RunNotFound.of(execution_id)
    return (*EXECUTIONS, execution_id)


def _job(data: Any) -> Job:
    """A job from JSON: its output is sent as a value, and kept here as text."""
    if isinstance(data, dict) and data.get("output") is not None:
        data = data | {"output": json.dumps(data["output"])}
    return from_json(Job, data)
