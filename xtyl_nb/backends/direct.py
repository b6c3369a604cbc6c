"""The back end whose database and broker can be reached from this process: the embedded one, or a shared one without its API. The
engine does the work; this module offers it as a Run needs it, and packs a notebook's functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xtyl_engine.database.connection import Database
from xtyl_engine.engine import Engine
from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.allow_list import check_opened, named
from xtyl_engine.functions.code_digest import code_digest
from xtyl_engine.functions.packed_function import (
    Function,
    Functions,
    PackedFunction,
    function_name,
    load_key,
    not_taken,
)
from xtyl_engine.functions.packing import pack, wrap
from xtyl_engine.functions.references import reference
from xtyl_engine.functions.surroundings import Surroundings
from xtyl_engine.providers.prices import check_prices
from xtyl_engine.queries.executions import Queries
from xtyl_engine.queries.forecast import NodeForecast
from xtyl_engine.queries.pages import Listing, Page
from xtyl_engine.queries.views import AttemptLog, JobDetail, JobPage, Overview, Review
from xtyl_engine.scheduler.budget import limit_of
from xtyl_engine.scheduler.submit import Row, Submission, new_execution_id
from xtyl_engine.settings import Settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.backends.fork import outlive_forks

MOST_LOGS = 1_000


class DirectBackend:
    """A back end by the database and the broker that settings name. A look at an open run starts an embedded one that died, if
    `starts`. Safe to share between threads, and across forks."""

    def __init__(self, settings: Settings, *, starts: bool = True, at_once: bool = False):
        self.settings = settings
        self.engine = Engine(settings, starts=starts, lends=starts)
        try:
            if at_once:
                # Its worker takes a second to come, in which this process prepares the database and the run.
                self.engine.attendance.ensure(to_begin=True)
            self.engine.prepare()
        except BaseException:
            self.close()
            raise
        outlive_forks(self.engine)

    # Not stored: in a forked child the engine makes all of it anew.
    @property
    def database(self) -> Database:
        """The database."""
        return self.engine.database

    @property
    def store(self) -> ArtifactStore:
        """The store for files of inputs."""
        return self.engine.store

    @property
    def queries(self) -> Queries:
        """The reads of executions."""
        return self.engine.queries

    def submit(
        self,
        plan: Plan,
        rows: Sequence[Row],
        *,
        shape: Mapping[str, Any],
        functions: Functions,
        named: Callable[[str | None], object] | None = None,
    ) -> str:
        """Write an execution, notify workers, and return its id, which `named` gets before anything is written. `functions` are
        the plan's callables by node."""
        if self.settings.redis_url is None:
            # On a shared back end the prices are the workers'.
            check_prices(os.environ)
        id = new_execution_id(plan.name)
        stored, packed = self._pack(
            functions, lambda function: pack(function, key=load_key(self.settings.key_file), execution_id=id)
        )
        self._check_named({**plan.functions, **stored})
        submission = Submission(
            id=id,
            plan=self.engine.bind(plan, stored),
            rows=rows,
            shape=shape,
            functions=packed,
            max_parallel=self.settings.max_parallel,
            budget=limit_of(plan, self.settings.budget),
            surroundings=self._surroundings(functions, id),
        )
        if named is not None:
            named(id)
        return self.engine.submit(submission).id

    def forecast(self, plan: Plan, rows: Sequence[Row]) -> list[NodeForecast]:
        """The number of jobs that each node would run, and how many of them are cached."""
        # A result is kept under the digest of its function's code.
        kept = {
            node: each
            for node, each in plan.functions.items()
            if callable(each) and plan.nodes[node].config.get("cache")
        }
        stored, _ = self._pack(kept, wrap)
        return self.engine.forecast(self.engine.bind(plan, stored), rows)

    def doubts(self, plan: Plan) -> list[str]:
        """The keys that are not set in this process's environment, which its runs find."""
        return self.engine.doubts(plan)

    def overview(self, id: str) -> Overview:
        """The state of one execution and of each of its nodes."""
        return self.engine.overviews.overview(id)

    def control(self, id: str, action: str, **said: Any) -> None:
        """`pause`, `resume` with what the run may spend, `stop` or `retry`. Raises ControlRefused."""
        self.engine.control(id, action, **said)

    def decide(self, id: str, verb: str, node: str, item: str, **said: Any) -> None:
        """`approve`, `reject` or `another` at a review, with its arguments. Raises DecisionRefused."""
        self.engine.control(id, verb, node, item, **said)

    def reviews(self, id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """The open reviews in order: the first `count`, or those after the review of this node and item."""
        return self.engine.overviews.reviews(id, after, count)

    def inspect(self, id: str, node: str, item: str) -> JobDetail:
        """One job with all its details. Raises RunNotFound."""
        return self.engine.job_details.job(id, node, item)

    def job_page(self, id: str, node: str, start: int, *, with_images: bool = False) -> JobPage:
        """Some jobs of a node, or of those that may have images; failed ones come first, then those that wait for a person.
        Raises RunNotFound."""
        return self.engine.job_details.page(id, node, start, with_images=with_images)

    def logs(self, id: str, node: str | None, item: str | None) -> Page[AttemptLog]:
        """The prints of all jobs, of those of a node, and of those at an item or under it: as many as fit into one answer."""
        return Listing(self.database).logs(id, node=node, item=item, after=None, limit=MOST_LOGS)

    def store_of(self, id: str) -> ArtifactStore:
        """The store with the files of one execution."""
        return self.store

    def changed(self, id: str, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""
        return self.engine.changed(id, after, timeout)

    def lend(self, id: str) -> None:
        """Let a run find this process's variables where it has none: its supervisor may have been killed."""
        self.engine.offer(id)

    def check(self) -> None:
        """Check that the embedded back end runs, or restart it. Raises BackendStartError when it cannot be kept running."""
        self.engine.attendance.check()

    def close(self) -> None:
        """Close every connection; runs go on."""
        self.engine.close()

    def _surroundings(self, functions: Functions, id: str) -> str | None:
        """What a run finds again of this process; nothing where other machines' workers run it."""
        if self.settings.redis_url is not None:
            return None
        try:
            return Surroundings.of_this_process().signed(load_key(self.settings.key_file), id)
        except FunctionRejected:
            if functions:
                raise
            return None

    def _takes_no_functions(self) -> bool:
        """Whether this process knows that the workers reject a notebook's functions. The workers of a shared back end have
        settings of their own, which count unless the setting is made here."""
        is_said = self.settings.redis_url is None or bool(os.environ.get("XTYL_ACCEPT_FUNCTIONS"))
        return is_said and not self.settings.accept_functions

    def _check_named(self, functions: Mapping[str, Any]) -> None:
        """Raise FunctionRejected for one whose name the workers do not take, as far as this process knows their setting."""
        if self.settings.redis_url is not None and not self.settings.functions:
            return
        for node, function in functions.items():
            if (name := named(function)) is not None:
                check_opened(name, self.settings.opened_functions, who="this back end", node=node)

    def _pack(
        self, functions: Functions, pack: Callable[[Function], PackedFunction]
    ) -> tuple[dict[str, dict[str, Any]], list[PackedFunction]]:
        """The functions as their nodes name them, and those that are packed and sent along."""
        stored: dict[str, dict[str, Any]] = {}
        packed = {}
        # Steps of one function, which is packed once.
        first: dict[int, str] = {}
        for node, function in functions.items():
            if (same := first.setdefault(id(function), node)) != node:
                stored[node] = stored[same]
                continue
            name = reference(function)
            if name is not None:
                stored[node] = {"reference": name, "digest": code_digest(function)}
            elif self._takes_no_functions():
                raise not_taken("this back end", function_name(function), node=node)
            else:
                made = pack(function)
                packed[made.digest] = made
                stored[node] = made.stored()
        return stored, list(packed.values())
