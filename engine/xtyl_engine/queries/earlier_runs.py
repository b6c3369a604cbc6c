"""What the latest runs of a workflow tell about the next one: what was changed since, how many jobs a node had for each row, how
large its answers were. They are found by the workflow's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import func, select

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import executions, jobs, nodes, versions
from xtyl_engine.states import JobState
from xtyl_engine.workflow.cost_range import Seen
from xtyl_engine.workflow.plan import load_plan

MOST_RUNS = 3
MOST_ANSWERS = 200
_E, _J, _N, _V = executions.c, jobs.c, nodes.c, versions.c
_LATEST = (
    select(_E.id, _E.rows, _E.template_id)
    .join(versions, (_V.template_id == _E.template_id) & (_V.project == _E.project))
    .where(_V.project == sql.B("project"), _V.name == sql.B("name"))
    .order_by(_E.created.desc(), _E.id)
    .limit(MOST_RUNS)
)
_SEEN = (
    select(_J.output_tokens, _J.image_tokens)
    .where(sql.OF_EXECUTION, _J.node == sql.B("node"), sql.job_in(JobState.COMPLETED), _J.cached == 0)
    .limit(MOST_ANSWERS)
)
_JOBS = select(func.sum(sum(_N[str(state)] for state in JobState))).where(
    _N.execution_id == sql.B("execution_id"), _N.node == sql.B("node")
)


class EarlierRuns:
    """The latest runs of the workflow of this name in one project."""

    def __init__(self, transaction: Transaction, project: str, name: str):
        self._transaction, self._project, self._name = transaction, project, name

    def changed(self, node: str, config: Mapping[str, Any]) -> list[str]:
        """The parameters of one node that differ from those of the latest run; none where that had no such node."""
        before = self._configs.get(node)
        if before is None:
            return []
        return [name for name in {**before, **config} if before.get(name) != config.get(name)]

    def seen(self, node: str) -> Seen:
        """The sizes of the answers that one node had in the latest run that had any."""
        for id, _, _ in self._latest:
            found = self._transaction.rows(_SEEN, {"execution_id": id, "node": node})
            texts, images = ([row[place] for row in found if row[place]] for place in (0, 1))
            if texts or images:
                return Seen(tuple(texts), tuple(images))
        return Seen()

    def jobs(self, node: str, rows: int) -> int | None:
        """About how many jobs a node has over so many rows, as in the latest run that had any; None without one."""
        for id, run_rows, _ in self._latest:
            (count,) = self._transaction.row(_JOBS, {"execution_id": id, "node": node}) or (0,)
            if count and run_rows:
                return -(-int(count) * rows // run_rows)
        return None

    @cached_property
    def _latest(self) -> list[tuple[str, int, str]]:
        found = self._transaction.rows(_LATEST, {"project": self._project, "name": self._name})
        return [(str(id), int(rows), str(template)) for id, rows, template in found]

    @cached_property
    def _configs(self) -> Mapping[str, Mapping[str, Any]]:
        """Those of the latest run's nodes."""
        for _, _, template in self._latest:
            if (found := self._transaction.row(sql.PLAN, {"template_id": template})) is not None:
                return {id: node.config for id, node in load_plan(found[0]).nodes.items()}
        return {}
