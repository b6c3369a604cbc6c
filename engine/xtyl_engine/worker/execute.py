"""Turns a Claim into an Outcome: reads the job's inputs, renders its config, looks for a cached result, calls the node type's
handler. It writes nothing to SQL; `scheduler.commit` does.
"""

from __future__ import annotations

import logging
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from xtyl_engine import errors
from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Database, Transaction
from xtyl_engine.errors import BackendError
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.nodes.base import Context, Done, Misfitting, NodeConfig, NodeType, Retry, Wait
from xtyl_engine.nodes.registry import configure, node_type
from xtyl_engine.nodes.usage import plain_usage
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.queries.job_inputs import is_added, read_largest, read_misfits, read_row, read_upstream, read_wish
from xtyl_engine.queries.result_cache import cache_key, look_up
from xtyl_engine.runners.pool import Runners
from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Failure, Outcome, Released, Waiting
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.states import ExecutionState
from xtyl_engine.telemetry.log_lines import about, harmless
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.masking import Mask, Masks
from xtyl_engine.values.plain import Encoded, encode, mend, plain, spill, unspill
from xtyl_engine.worker.calls import FunctionCalls, NotStarted
from xtyl_engine.worker.kernels import Kernels
from xtyl_engine.worker.live_prints import LivePrints
from xtyl_engine.worker.means import Hold, Means, hold_all
from xtyl_engine.worker.priced_provider import PricedProvider, used_by
from xtyl_engine.worker.retries import outcome_of
from xtyl_engine.workflow.model_defaults import ModelDefaults
from xtyl_engine.workflow.plan import Plan, PlanNode
from xtyl_engine.workflow.templating.names import ROW
from xtyl_engine.workflow.templating.render import Wish, rendered

if TYPE_CHECKING:
    from xtyl_engine.providers.base import Provider
    from xtyl_engine.settings import Settings

log = logging.getLogger("xtyl")
Trace = Callable[[Claim, Callable[[Claim], Outcome]], Outcome]
UNREAD_SECONDS = 1.0
# Until the job's own is read.
USUAL_RETRY = Retry()
NO_SECRETS = Mask()
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
COUNT_ITEMS = "Return Done(items=len(...)), the length of the list under the output's `items`."


class _Unread(Exception):
    """A job's inputs could not be read from the database, which is not the job's fault."""


@dataclass(eq=False)
class Executor:
    """Executes claims in the slots of one worker process. `may_start` is asked at the last moment whether a claim is still valid;
    `trace` wraps each attempt; `on_failure` is called for each job that fails for good."""

    settings: Settings
    database: Database
    plans: PlanCache
    store: ArtifactStore
    may_start: Callable[[Claim], bool]
    hold: Hold = hold_all
    stopped: set[str] = field(default_factory=set)
    kernels: Kernels | None = None
    provider: Callable[[str, Mapping[str, str]], Provider] = get_provider
    trace: Trace | None = None
    on_failure: Callable[[Claim, str, BaseException, Failure], None] | None = None
    _told: set[tuple[int, int]] = field(default_factory=set)
    prints: LivePrints = field(init=False)
    _left_behind: list[threading.Thread] = field(default_factory=list)
    runners: Runners = field(init=False)
    _calls: FunctionCalls = field(init=False)
    _masks: Masks = field(default_factory=Masks)
    _means: Means = field(init=False)

    def __post_init__(self) -> None:
        self.prints = LivePrints(self.database)
        self.runners = Runners(self.settings.slots)
        self._means = Means(self.settings, self.kernels, self.hold, self.pace_key, self._largest_of)
        self._calls = FunctionCalls(
            self.settings,
            self.plans,
            self.store,
            self.runners,
            self.prints,
            self.kernels,
            self._reading,
            self._may_start,
            self._is_cancelled,
        )

    def execute(self, claim: Claim) -> Outcome:
        """Execute one job. Never raises: an error is an outcome too."""
        with about(claim):
            outcome = self._outcome(claim) if self.trace is None else self._traced(claim, self.trace)
        return self.prints.ended(outcome)

    def _traced(self, claim: Claim, trace: Trace) -> Outcome:
        came: list[Outcome] = []

        def work(claim: Claim) -> Outcome:
            came.append(self._outcome(claim))
            return came[0]

        with harmless("tracing a job"):
            return trace(claim, work)
        return came[0] if came else self._outcome(claim)

    def _outcome(self, claim: Claim) -> Outcome:
        retry, asks_provider, mask, provider = USUAL_RETRY, False, NO_SECRETS, ""
        try:
            if (late := self._late(claim)) is not None:
                return late
            node, context, names, wish, variables = self._read(claim)
            kind = node_type(node.type)
            asks_provider = kind.asks_provider
            # A template that was kept says as it was kept which provider and model it asks.
            asked = ModelDefaults.of(self.settings).serve(kind, node.config)
            provider = str(asked.get("provider") or self.settings.provider)
            config = configure(kind, rendered(kind, asked, names, wish))
            retry = config.retry
            mask = self._masks.of(variables)
            key = cache_key(kind, node, config, claim.item, self.settings.provider, variables)
            return self._cached(claim, key) or self._run(kind, config, context, claim, node, key, mask)
        except NotStarted:
            return Released(claim=claim, because="released")
        except _Unread as error:
            log.warning("given back, its inputs could not be read: %s", error)
            return Released(claim=claim, because="unread", delay_seconds=UNREAD_SECONDS)
        except BaseException as error:
            hide = mask.hide if asks_provider else str
            outcome = outcome_of(
                claim, retry, error, asks_provider, was_told=claim.attempt in self._told, hide=hide, provider=provider
            )
            if asks_provider and (used := used_by(error, hide)) is not None:
                outcome = replace(outcome, usage=used)
            if self.on_failure is not None and isinstance(outcome, Failed):
                with harmless("reporting a failure"):
                    self.on_failure(claim, self.type_of(claim), error, outcome.failure)
            return outcome
        finally:
            self._told.discard(claim.attempt)

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        try:
            with self.database.read() as transaction:
                yield transaction
        except BackendError as error:
            raise _Unread(str(error)) from error

    def _largest_of(self, claim: Claim) -> int:
        with self._reading() as transaction:
            return read_largest(transaction, claim)

    def left_behind(self) -> int:
        """How many threads still run whose jobs ended by a timeout."""
        for thread in [each for each in self._left_behind if not each.is_alive()]:
            self._left_behind.remove(thread)
        return len(self._left_behind)

    def type_of(self, claim: Claim) -> str:
        """The type of a claim's node, empty while its plan is not loaded here."""
        plan = self.plans.known(claim.template_id)
        return plan.nodes[claim.node].type if plan else ""

    def pace_key(self, template_id: str, name: str) -> str:
        """Jobs of nodes with the same key should take about the same time: one type, and for calls one function."""
        plan = self.plans.known(template_id)
        if plan is None:
            return ""
        node = plan.nodes[name]
        function = node.config.get("function")
        if function is not None:
            return f"{node.type} {sorted(function.items()) if isinstance(function, Mapping) else function}"
        return f"{node.type} {node.config.get('provider')} {node.config.get('model')}"

    def runs_apart(self, template_id: str, name: str) -> bool:
        """Whether a node's work is done in another process; False while its plan is not loaded here."""
        plan = self.plans.known(template_id)
        return plan is not None and plan.nodes[name].kind.runs_apart

    def _read(self, claim: Claim) -> tuple[PlanNode, Context, dict[str, Any], Wish | None, Mapping[str, str]]:
        """A job's node, what its handler may know, the names that its texts may read, what a person asked of its option, and the
        variables of its provider."""
        plan = self.plans.known(claim.template_id) or self._load(claim)
        node = plan.nodes[claim.node]
        variables = self._variables(claim) if node.kind.asks_provider else NO_VARIABLES
        row: dict[str, Any] = {}
        upstream: dict[str, Any] = {}
        misfits: Sequence[Misfitting] = ()
        wish = None
        may_wish = node.kind.asks_provider and is_added(plan, claim)
        may_misfit = claim.number > 1 and node.kind.schema(node.config) is not None
        if node.reads.columns or node.reads.nodes or may_misfit or may_wish:
            with self._reading() as transaction:
                wish = read_wish(transaction, plan, claim, self.store) if may_wish else None
                misfits = read_misfits(transaction, claim.job_id) if may_misfit else ()
                row = read_row(transaction, claim) if node.reads.columns else row
                upstream = read_upstream(transaction, plan, claim, self.store)
        place = int(claim.item.rpartition(".")[2]) if claim.node in plan.lengths else 0
        context = Context(
            execution_id=claim.execution_id,
            node=claim.node,
            item=claim.item,
            attempt=claim.number,
            key=f"{claim.execution_id}/{claim.node}/{claim.item}/{claim.epoch}",
            place=place,
            upstream=upstream,
            misfits=misfits,
            artifacts=self.store,
            provider=lambda name: self._provider(name, variables or self._variables(claim)),
            function=partial(self._calls.function, claim.execution_id),
            call=partial(self._calls.call, claim, None),
            cancelled=lambda: self._is_cancelled(claim),
            log=log,
        )
        return node, context, {ROW: row, **row, **upstream}, wish, variables

    def _variables(self, claim: Claim) -> Mapping[str, str]:
        """The variables with which the job's provider is made: its kernel's, where it lent them."""
        if self.kernels is None:
            return os.environ
        try:
            return self.kernels.variables(claim.execution_id)
        except BackendError as error:
            raise _Unread(str(error)) from error

    def _provider(self, name: str, variables: Mapping[str, str]) -> Provider:
        return PricedProvider(self.provider(name or self.settings.provider, variables), variables)

    def _is_cancelled(self, claim: Claim) -> bool:
        """Whether the run is stopped, as its handler asks. A sweep noted it, and the run may have been resumed since, so SQL is
        asked before the handler is told to end; if that cannot be read, the effect, which is paid for, goes on."""
        if claim.execution_id not in self.stopped:
            return False
        try:
            with self.database.read() as transaction:
                found = transaction.row(sql.STATE, {"execution_id": claim.execution_id})
        except BackendError:
            return False
        if found is not None and found[0] != ExecutionState.STOPPED:
            return False
        self._told.add(claim.attempt)
        return True

    def _load(self, claim: Claim) -> Plan:
        with self._reading() as transaction:
            return self.plans.load(transaction, claim.template_id)

    def _run(
        self,
        kind: NodeType,
        config: NodeConfig,
        context: Context,
        claim: Claim,
        node: PlanNode,
        key: str | None,
        mask: Mask,
    ) -> Outcome:
        if kind.asks_provider:
            try:
                waits = self._means.lacking(kind, config, claim, self._variables(claim), context.misfits)
            except BackendError as error:
                raise _Unread(str(error)) from error
            if waits is not None:
                return waits
            # Importing a provider's client may take a second, so do it before the last check and not between check and effect.
            context.provider(getattr(config, "provider", None) or "")
        if not self._may_start(claim):
            return Released(claim=claim, because="released")
        work = kind.run
        failpoint(Point.EFFECT_BEFORE)
        if kind.runs_apart and config.timeout is not None:
            context = replace(context, call=partial(self._calls.call, claim, config.timeout))
        seconds = None if kind.runs_apart else config.timeout
        done = work(config, context) if seconds is None else self._within(seconds, work, config, context)
        failpoint(Point.EFFECT_DONE)
        output = spill(_encoded(done, self.store, mask), self.store)
        if isinstance(done, Wait):
            if not kind.waits:
                # It would wait for ever: only a node whose type says that it waits can be decided.
                raise errors.PermanentError(f"{kind.name} returned Wait", hint="Set `waits=True` in its NodeType.")
            return Waiting(claim=claim, output=output)
        return Completed(
            claim=claim,
            output=output,
            items=_item_count(node, done) if node.expands else None,
            branch=None if done.branch is None else mend(str(done.branch)),
            usage=self._means.noted(claim, plain_usage(done.usage, mask.hide)),
            cache_key=key,
        )

    def _within(
        self, seconds: float, work: Callable[..., Done | Wait], config: NodeConfig, context: Context
    ) -> Done | Wait:
        """Run in a separate thread and stop waiting after `seconds`; a thread cannot be killed, so it is left behind. Time in
        which a finished result waits for room on a full disk does not count: the result is paid for."""
        box: list[Done | Wait | BaseException] = []

        def target() -> None:
            try:
                box.append(work(config, context))
            except BaseException as error:
                box.append(error)

        # The context carries the names of the job for its log lines.
        thread = threading.Thread(target=copy_context().run, args=(target,), name="xtyl-timed", daemon=True)
        thread.start()
        began, waited = time.monotonic(), context.artifacts.waited_seconds
        waited[thread.ident or 0] = 0.0
        while thread.is_alive() and (left := began + seconds + waited[thread.ident or 0] - time.monotonic()) > 0:
            thread.join(left)
        waited.pop(thread.ident or 0)
        if not box:
            self._left_behind.append(thread)
            raise errors.NodeTimeout(
                f"no result after {seconds:g} s", hint="Raise `timeout=`, or make the step smaller."
            )
        if isinstance(box[0], BaseException):
            raise box[0]
        return box[0]

    def _may_start(self, claim: Claim) -> bool:
        try:
            return self.may_start(claim)
        except BackendError as error:
            raise _Unread(str(error)) from error

    def _cached(self, claim: Claim, key: str | None) -> Completed | None:
        if key is None:
            return None
        with self._reading() as transaction:
            found = look_up(transaction, claim, key)
        return found if found is not None and self.store.keep_all(found.output) else None

    def _late(self, claim: Claim) -> Completed | None:
        """The result that came late and was kept, so that its effect is not paid for again; None where its files are gone."""
        if claim.late_output is None or not self.store.keep_all(claim.late_output):
            return None
        plan = self.plans.known(claim.template_id) or self._load(claim)
        items = None
        if plan.nodes[claim.node].expands:
            listed = unspill(claim.late_output, self.store).get("items")
            if not isinstance(listed, list):
                # A type of another package keeps its list elsewhere. Only its handler says how long it is.
                return None
            items = len(listed)
        with self._reading() as transaction:
            (branch,) = transaction.row(sql.BRANCH, {"job_id": claim.job_id}) or (None,)
        return Completed(claim=claim, output=claim.late_output, items=items, branch=branch)


def _item_count(node: PlanNode, done: Done) -> int:
    if done.items is None:
        raise errors.PermanentError(
            "other nodes run over its list, but it did not return a list",
            hint="Return a list (or a DataFrame), or remove `over=` from the nodes that follow.",
        )
    try:
        count = operator.index(done.items)
    except TypeError:
        count = -1
    if count < 0:
        raise errors.PermanentError(f"it says that its list has {str(done.items)[:40]} items", hint=COUNT_ITEMS)
    if count > MAX_ITEMS:
        raise errors.LimitExceeded(
            f"it returned {count:,} items; at most {MAX_ITEMS:,}", hint="Return fewer items, or split the row."
        )
    return count


def _encoded(done: Done | Wait, store: ArtifactStore, mask: Mask) -> str:
    """The output as JSON, unless a runner has made it that; what a provider answered is without its secrets. Handlers of other
    packages may put into it what JSON lacks, such as a number of numpy."""
    if isinstance(done.output, Encoded):
        return done.output.text
    try:
        return encode(mask.hide_in(dict(done.output)))
    except (TypeError, ValueError, RecursionError):
        return encode(mask.hide_in(plain(dict(done.output), store, where="the output", mends=True)))
