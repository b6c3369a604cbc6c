"""Permits to start jobs: one row per key in SQL, updated by each claim, so that a rate holds across all workers and outlives
them. Nothing waits here: a job without a permit stays ready, and the claim goes on without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, func, literal_column, not_, select, type_coerce

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import jobs
from xtyl_engine.errors import closest_name
from xtyl_engine.nodes.registry import node_types
from xtyl_engine.providers.registry import provider_names
from xtyl_engine.rates import Rate, parse_rates
from xtyl_engine.scheduler.locked_execution import LockedExecution
from xtyl_engine.scheduler.outcomes import Completed, Outcome, Released, Retrying
from xtyl_engine.scheduler.rate_limits.bucket import Bucket, lock_bucket, see_bucket, see_limit
from xtyl_engine.scheduler.routing import Route, read_route
from xtyl_engine.settings import Settings, SettingsError
from xtyl_engine.workflow.model_defaults import ModelDefaults
from xtyl_engine.workflow.plan import Plan, PlanNode

BETWEEN = "\n"
REMEMBERED = 64
# Node names hold no line break, so a name between two line breaks matches only itself.
_BREAK = type_coerce(BETWEEN, Text)


def _is_shut(columns: Any) -> ColumnElement[bool]:
    is_named = func.replace(sql.B("shut"), _BREAK + columns.node + _BREAK, "") != sql.B("shut")
    return and_(is_named, columns.output.is_(None))


_IS_SHUT = _is_shut(jobs.c)
READY_OPEN = sql.READY.where(not_(_IS_SHUT))
READY_SHUT = sql.READY.where(_IS_SHUT)
# Claims take rows in order, so jobs that became ready last stand in front, and the rest need not be read.
FRONT = 256
_READY_FRONT = sql.READY.limit(FRONT).subquery()
FRONT_SHUT: Select[Any] = select(literal_column("1")).select_from(_READY_FRONT).where(_is_shut(_READY_FRONT.c)).limit(1)


def joined(nodes: Collection[str]) -> str:
    """Names of nodes in the form that the statements compare with."""
    return BETWEEN + (BETWEEN * 2).join(nodes) + BETWEEN if nodes else ""


@dataclass(eq=False)
class ClaimPolicy:
    """What one process may start: its rates, and which jobs it claims at all. `provider` serves nodes which name none, as
    `models` says where there are defaults of these too."""

    rates: Iterable[Rate] = ()
    provider: str = ""
    route: Route = field(default_factory=Route)
    models: ModelDefaults | None = None
    by_key: Mapping[str, Rate] = field(init=False)
    _known: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_key = {rate.key: rate for rate in self.rates}

    def provider_of(self, node: PlanNode) -> str | None:
        """The provider that a node calls, if it calls one."""
        if not node.kind.asks_provider:
            return None
        models = self.models or ModelDefaults(provider=self.provider)
        return models.serve(node.kind, node.config).get("provider") or None

    def keys(self, node: PlanNode) -> tuple[str, ...]:
        """The keys that a job of the node needs permits for: its type if that has a rate, and always its provider, which may ask
        for no calls for a while."""
        provider = self.provider_of(node)
        return (*((node.type,) if node.type in self.by_key else ()), *((provider,) if provider else ()))

    def of(self, plan: Plan, template_id: str) -> Mapping[str, tuple[str, ...]]:
        """The keys of each node of a plan that has any; cached, because every claim asks."""
        if template_id not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            ours = [node for node in plan.nodes.values() if self.route.serves(node.type)]
            self._known[template_id] = {node.id: keys for node in ours if (keys := self.keys(node))}
        return self._known[template_id]


def read_claim_policy(settings: Settings) -> ClaimPolicy:
    """The rates and the route of these settings. Raises SettingsError for a rate of an unknown name."""
    rates = parse_rates(settings.rates)
    known = (*provider_names(), *node_types()) if rates else ()
    for rate in rates:
        if rate.key not in known:
            raise SettingsError(
                f"XTYL_RATES limits {rate.key!r}, and there is no provider and no node type of that name",
                hint=closest_name(rate.key, known),
            )
    return ClaimPolicy(rates, settings.provider, read_route(settings), ModelDefaults.of(settings))


class Permits:
    """The permits of one transaction: those that executions ask for, and those that outcomes give back. All rows are locked at
    once, in one order and after the executions' rows, so that two workers never wait for each other."""

    def __init__(
        self,
        transaction: Transaction,
        rates: ClaimPolicy,
        now: float,
        asking: Iterable[LockedExecution],
        won: Iterable[tuple[LockedExecution, Outcome]],
    ):
        self.now = now
        self._transaction = transaction
        asking = list(asking)
        self._keys = {locked.id: rates.of(locked.plan, locked.template_id) for locked in asking}
        self._barred = {locked.id: rates.route.barred(locked.plan, locked.template_id) for locked in asking}
        changes = [change for locked, outcome in won for change in _changes(locked, outcome, rates)]
        changed = {change.key for change in changes}
        self._buckets = {
            key: lock_bucket(transaction, key, rates.by_key.get(key), now)
            if key in changed or key in rates.by_key
            else see_limit(transaction, key, None, now)
            for key in sorted(changed.union(*(keys for nodes in self._keys.values() for keys in nodes.values())))
        }
        for change in changes:
            change.apply(self._buckets[change.key])

    def gate(self, execution_id: str) -> Gate:
        """The permits that jobs of one execution need."""
        return Gate(self._buckets, self._keys[execution_id], self.now, self._barred[execution_id])

    def save(self) -> None:
        """Write the permits that were taken and given back."""
        for bucket in self._buckets.values():
            bucket.save(self._transaction)


@dataclass(frozen=True, slots=True)
class Gate:
    """The permits that jobs of one execution need, by node, taken from a transaction's buckets. Jobs of `barred` nodes are for
    other workers."""

    buckets: Mapping[str, Bucket]
    keys: Mapping[str, tuple[str, ...]]
    now: float
    barred: frozenset[str] = frozenset()

    def closed(self) -> str:
        """The nodes whose jobs may not be claimed here and now, in the form of `joined`."""
        return joined(self.closed_nodes())

    def closed_nodes(self) -> list[str]:
        """The same nodes, as a list."""
        return [*self._shut(), *self.barred]

    def shut(self) -> str:
        """Of the closed nodes, those that a rate holds back, in the form of `joined`."""
        return joined(self._shut())

    def admit(self, node: str) -> bool:
        """Take every permit that one job needs, or none; returns whether it took them."""
        if self._seconds(node) > 0:
            return False
        for key in self.keys.get(node, ()):
            self.buckets[key].take()
        return True

    def seconds(self) -> float:
        """Seconds until a job of any shut node may start."""
        return min((seconds for node in self.keys if (seconds := self._seconds(node)) > 0), default=0.0)

    def _shut(self) -> list[str]:
        return [node for node in self.keys if self._seconds(node) > 0]

    def _seconds(self, node: str) -> float:
        return max((self.buckets[key].seconds for key in self.keys.get(node, ())), default=0.0)


@dataclass(eq=False)
class Outlook:
    """The gates of executions as they stand, for a process that only looks: no row is locked, and each key is read once."""

    transaction: Transaction
    policy: ClaimPolicy
    now: float
    _seen: dict[str, Bucket] = field(default_factory=dict)

    def gate(self, plan: Plan, template_id: str) -> Gate:
        """The permits that jobs of an execution of this plan need."""
        keys = self.policy.of(plan, template_id)
        for key in sorted({key for nodes in keys.values() for key in nodes}.difference(self._seen)):
            self._seen[key] = see_limit(self.transaction, key, self.policy.by_key.get(key), self.now)
        return Gate(self._seen, keys, self.now, self.policy.route.barred(plan, template_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """How an outcome changes a key: refund a permit, or hold the key for a while."""

    key: str
    unneeded: float | None = None
    hold_seconds: float = 0.0

    def apply(self, bucket: Bucket) -> None:
        if self.unneeded is not None:
            bucket.give_back(self.unneeded)
        if self.hold_seconds:
            bucket.hold(self.hold_seconds)


def _changes(locked: LockedExecution, outcome: Outcome, rates: ClaimPolicy) -> list[_Change]:
    # A failure changes nothing, and is recorded even where the plan cannot be read.
    is_cached = isinstance(outcome, Completed) and outcome.cached
    if is_cached or (isinstance(outcome, Released) and not outcome.may_have_started):
        keys = rates.keys(locked.plan.nodes[outcome.claim.node])
        return [_Change(key=key, unneeded=outcome.claim.permitted) for key in keys if key in rates.by_key]
    if isinstance(outcome, Retrying) and outcome.hold_seconds:
        provider = rates.provider_of(locked.plan.nodes[outcome.claim.node])
        return [_Change(key=provider, hold_seconds=outcome.hold_seconds)] if provider else []
    return []


def held(transaction: Transaction, keys: Iterable[str]) -> tuple[str, ...]:
    """Those of the keys whose provider asked to be left alone until later."""
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    return tuple(key for key in keys if see_bucket(transaction, key, now).held_until > now)


def next_start(
    transaction: Transaction, plan: Plan, nodes: Iterable[str], rates: ClaimPolicy
) -> tuple[tuple[str, ...], float] | None:
    """The keys that hold back the jobs of all these nodes, and in how many seconds the first may start; None if one may now."""
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    keys = {node: (plan.nodes[node].type, rates.provider_of(plan.nodes[node])) for node in nodes}
    wanted = sorted({key for pair in keys.values() for key in pair if key})
    seconds = {key: see_bucket(transaction, key, now).seconds for key in wanted}
    soonest = min((max(seconds[key] for key in pair if key) for pair in keys.values()), default=0.0)
    return (tuple(key for key in wanted if seconds[key]), soonest) if soonest > 0 else None
