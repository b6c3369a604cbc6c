"""The back end whose database and broker can be reached from here: the embedded one, or a shared one seen from the inside."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xtyl_engine.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from xtyl_engine.artifacts import ArtifactStore
    from xtyl_engine.events import Event
    from xtyl_engine.forecast import NodeForecast
    from xtyl_engine.overview import JobDetail, JobPage, Overview, Review
    from xtyl_engine.query import Queries
    from xtyl_engine.settings import Settings
    from xtyl_engine.submit import Row

RECHECK_SECONDS = 1.0


class DirectBackend:
    """Speaks to the database and the broker that settings name. Safe to share between threads."""

    def __init__(self, settings: Settings):
        from xtyl_engine.local import ensure
        from xtyl_engine.permits import read_rates
        from xtyl_engine.schema import ensure_schema
        from xtyl_nb.fork import outlive_forks

        self.settings = settings
        # First: a worker would refuse the same settings, where nobody looks.
        self._rates = read_rates(settings)
        self.connection = ensure(settings)
        self.open()
        try:
            ensure_schema(self.database)
        except BaseException:
            self.close()
            raise
        outlive_forks(self)

    def open(self) -> None:
        """Make all that speaks to the database and the broker; it connects at first use."""
        from xtyl_engine.artifacts import ArtifactStore
        from xtyl_engine.broker import make_app
        from xtyl_engine.closeup import Closeup
        from xtyl_engine.control import Controls
        from xtyl_engine.database import Database
        from xtyl_engine.glance import Glance
        from xtyl_engine.plans import PlanCache
        from xtyl_engine.points import arm
        from xtyl_engine.query import Queries
        from xtyl_engine.stream import Publisher

        arm(self.settings.crash, self.settings.home)
        self.database = Database(self.connection.database_url)
        plans = PlanCache()
        self.store = ArtifactStore(self.settings.artifacts_folder)
        self.queries: Queries = Queries(self.database, plans)
        self._glance = Glance(self.queries, self.store, self._rates)
        self._closeup: Closeup = Closeup(self.queries, self.store)
        self._controls = Controls(self.database, plans, self.store)
        self._publisher = Publisher(self.connection.redis_url)
        self._app = make_app(self.connection.celery_url)

    def submit(
        self,
        plan: Plan,
        rows: Sequence[Row],
        *,
        shape: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]],
    ) -> str:
        """Write an execution and hint at it; its id. `functions` are the plan's callables by node."""
        from xtyl_engine.local import ensure
        from xtyl_engine.submit import Submission, new_execution_id, submit

        ensure(self.settings)
        id = new_execution_id(plan.name)
        configs, packed = self._pack(plan, functions, id)
        configs |= self._providers(plan)
        submission = Submission(
            id=id,
            plan=plan.with_configs(configs),
            rows=rows,
            shape=shape,
            functions=packed,
            max_parallel=self.settings.max_parallel,
        )
        self._publisher.publish(submit(self.database, submission).events)
        self._hint(id)
        return id

    def forecast(self, plan: Plan, rows: Sequence[Row]) -> list[NodeForecast]:
        """Per node, how many jobs it would run and how many of them are cached."""
        from xtyl_engine.forecast import forecast

        values = [row.values for row in rows]
        provider = self._provider() or self.settings.provider
        return forecast(plan, values, database=self.database, store=self.store, provider=provider)

    def overview(self, id: str) -> Overview:
        """One execution at a glance."""
        return self._glance.overview(id)

    def control(self, id: str, action: str) -> None:
        """`pause`, `resume`, `stop` or `retry`. Raises ControlRefused."""
        self._change(id, getattr(self._controls, action)(id))

    def approve(self, id: str, node: str, item: str, **decision: Any) -> None:
        """Decide a review. Raises DecisionRefused."""
        self._change(id, self._controls.approve(id, node, item, **decision))

    def reject(self, id: str, node: str, item: str, *, reason: str, by: str) -> None:
        """Decide a review: nothing here will do. Raises DecisionRefused."""
        self._change(id, self._controls.reject(id, node, item, reason=reason, by=by))

    def another(self, id: str, node: str, item: str, *, comment: str | None, by: str) -> None:
        """Ask for one more option. Raises DecisionRefused."""
        self._change(id, self._controls.another(id, node, item, by=by, comment=comment))

    def reviews(self, id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """The decisions that wait, in order: `count` of those behind the review of this node and item, or the first."""
        return self._glance.reviews(id, after, count)

    def inspect(self, id: str, node: str, item: str) -> JobDetail:
        """One job with everything that is known of it. Raises RunNotFound."""
        return self._closeup.job(id, node, item)

    def job_page(self, id: str, node: str, start: int) -> JobPage:
        """Some jobs of a node, those that need somebody first. Raises RunNotFound."""
        return self._closeup.page(id, node, start)

    def store_of(self, id: str) -> ArtifactStore:
        """Where the files of one execution are."""
        return self.store

    def changed(self, id: str, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""
        from xtyl_engine.stream import Listener

        listener = Listener(self.connection.redis_url, id)
        try:
            deadline = time.monotonic() + timeout
            while True:
                listener.mark()
                if self.queries.sequence(id)[0] > after:
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                listener.wait(min(left, RECHECK_SECONDS))
        finally:
            listener.close()

    def check(self) -> None:
        """See that the embedded back end runs. Raises BackendStartError when it could not be kept running."""
        from xtyl_engine.local import check

        check(self.settings)

    def close(self) -> None:
        """Let go of every connection; runs go on."""
        self._publisher.close()
        self.database.close()

    def _change(self, id: str, events: list[Event]) -> None:
        from xtyl_engine.local import ensure

        ensure(self.settings)
        self._publisher.publish(events)
        self._hint(id)

    def _hint(self, id: str) -> None:
        from xtyl_engine.broker import queues_for, send_hint

        send_hint(self._app, id, queues_for(self.settings.heavy_types))

    def _provider(self) -> str | None:
        """The provider that is asked for here and now; None leaves it to the workers of a shared back end."""
        from xtyl_engine.settings import load_settings

        return os.environ.get("XTYL_PROVIDER") or (
            load_settings().provider if self.settings.redis_url is None else None
        )

    def _providers(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """Configs that name the provider, for nodes that name none: a worker keeps the settings it was started with, and
        a run must not depend on when that was."""
        from xtyl_engine.providers.named import name_provider

        return name_provider(plan, self._provider())

    def _takes_no_functions(self) -> bool:
        """Whether it is known here that the workers would reject a notebook's functions. Those of a shared back end have settings
        of their own; who says nothing here leaves it to them."""
        is_said = self.settings.redis_url is None or bool(os.environ.get("XTYL_ACCEPT_FUNCTIONS"))
        return is_said and not self.settings.accept_functions

    def _pack(
        self, plan: Plan, functions: Mapping[str, Callable[..., Any]], id: str
    ) -> tuple[dict[str, dict[str, Any]], list[Any]]:
        from xtyl_engine.functions import function_name, load_key, not_taken, pack, reference

        configs: dict[str, dict[str, Any]] = {}
        packed = {}
        for node, function in functions.items():
            name = reference(function)
            if name is not None:
                stored: dict[str, Any] = {"reference": name}
            elif self._takes_no_functions():
                raise not_taken("this back end", function_name(function), node=node)
            else:
                made = pack(function, key=load_key(self.settings.key_file), execution_id=id)
                packed[made.digest] = made
                stored = made.stored()
            configs[node] = {**plan.nodes[node].config, "function": stored}
        return configs, list(packed.values())
