"""Permits to start jobs: one row per key in SQL, moved on by whoever claims (the generic cell rate algorithm), so that a rate
holds over all workers and outlives them. Nobody waits here: what has no permit is left where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from sqlalchemy import Text, and_, case, func, not_, select, text, type_coerce, update

from xtyl_engine import statements as sql
from xtyl_engine.database import Transaction
from xtyl_engine.ledger import Ledger
from xtyl_engine.nodes import node_type, node_types
from xtyl_engine.outcomes import Completed, Outcome, Retrying
from xtyl_engine.plan import Plan, PlanNode
from xtyl_engine.providers import provider_names
from xtyl_engine.rates import Rate, parse_rates
from xtyl_engine.settings import Settings, SettingsError
from xtyl_engine.tables import jobs, rate_limits

_R = rate_limits.c
_ONE = select(_R.tat, _R.held_until).where(_R.key == sql.B("key"))
_ONE_LOCKED = _ONE.with_for_update()
_ADD = text("INSERT INTO rate_limits (key, tat, held_until) VALUES (:key, 0, 0) ON CONFLICT (key) DO NOTHING")
_SET = update(rate_limits).where(_R.key == sql.B("key")).values(tat=sql.B("tat"))
_GIVE_BACK = update(rate_limits).where(_R.key == sql.B("key")).values(tat=_R.tat - sql.B("seconds"))
_HOLD = (
    update(rate_limits)
    .where(_R.key == sql.B("key"))
    .values(held_until=case((_R.held_until > sql.B("until"), _R.held_until), else_=sql.B("until")))
)
BETWEEN = "\n"
REMEMBERED = 64
# Names of nodes hold no line break, so a name between two of them is found only where it is meant.
_BREAK = type_coerce(BETWEEN, Text)
_IS_SHUT = and_(
    func.replace(sql.B("shut"), _BREAK + jobs.c.node + _BREAK, "") != sql.B("shut"),
    jobs.c.output.is_(None),
)
READY_OPEN = sql.READY.where(not_(_IS_SHUT))
READY_SHUT = sql.READY.where(_IS_SHUT)


@dataclass(eq=False)
class Rates:
    """The rates of one process. `provider` is the one that serves nodes which name none."""

    rates: Iterable[Rate] = ()
    provider: str = ""
    by_key: Mapping[str, Rate] = field(init=False)
    _known: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_key = {rate.key: rate for rate in self.rates}

    def provider_of(self, node: PlanNode) -> str | None:
        """The provider that a node asks, if it asks one."""
        if "provider" not in node_type(node.type).config.model_fields:
            return None
        return node.config.get("provider") or self.provider or None

    def keys(self, node: PlanNode) -> tuple[str, ...]:
        """What a job of the node needs a permit for: its type where that has a rate, its provider always, for a provider may
        say by itself that it wants to be left alone."""
        provider = self.provider_of(node)
        return (*((node.type,) if node.type in self.by_key else ()), *((provider,) if provider else ()))

    def of(self, plan: Plan, template_id: str) -> Mapping[str, tuple[str, ...]]:
        """The keys of each node of a plan that has any. Worked out once, for it is asked at every claim."""
        if template_id not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[template_id] = {node.id: keys for node in plan.nodes.values() if (keys := self.keys(node))}
        return self._known[template_id]


def read_rates(settings: Settings) -> Rates:
    """The rates that are set. Raises SettingsError for a name that limits nothing."""
    rates = parse_rates(settings.rates)
    known = (*provider_names(), *node_types()) if rates else ()
    for rate in rates:
        if rate.key not in known:
            close = get_close_matches(rate.key, known, n=1)
            raise SettingsError(
                f"XTYL_RATES limits {rate.key!r}, and there is no provider and no node type of that name",
                hint=f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}.",
            )
    return Rates(rates, settings.provider)


@dataclass(slots=True)
class Budget:
    """What one key allows now: how many starts (None: any number), and when to ask again if there is none."""

    rate: Rate | None
    tat: float
    permits: int | None
    seconds: float = 0.0


def read_budget(transaction: Transaction, key: str, rate: Rate | None, now: float, *, locked: bool = False) -> Budget:
    """Look a key up. With `locked`, nobody else takes a permit until this transaction ends."""
    found = transaction.row(_ONE_LOCKED if locked else _ONE, {"key": key})
    if found is None and locked:
        transaction.run(_ADD, {"key": key})
        found = transaction.row(_ONE_LOCKED, {"key": key})
    tat, held_until = found or (0.0, 0.0)
    if held_until > now:
        return Budget(rate, tat, 0, held_until - now)
    if rate is None:
        return Budget(rate, tat, None)
    # Never further ahead than this rate allows: the row may be from a slower one.
    tat = min(max(tat, now), now + rate.burst * rate.interval)
    ahead = now + rate.burst * rate.interval - tat
    permits = max(0, int(ahead / rate.interval + 1e-6))
    return Budget(rate, tat, permits, max(0.0, rate.interval - ahead))


class Gate:
    """The permits that the jobs of one execution need, within the transaction that claims them."""

    def __init__(self, ledger: Ledger, rates: Rates):
        self._transaction = ledger.transaction
        self.keys = rates.of(ledger.plan, ledger.template_id)
        wanted = sorted({key for keys in self.keys.values() for key in keys})
        self._budgets = {
            key: read_budget(ledger.transaction, key, rates.by_key.get(key), ledger.now, locked=key in rates.by_key)
            for key in wanted
        }
        self._taken: set[str] = set()

    def shut(self) -> str:
        """The nodes whose jobs may not start now, as the statements take them."""
        nodes = [node for node in self.keys if not self._is_open(node)]
        return BETWEEN + (BETWEEN * 2).join(nodes) + BETWEEN if nodes else ""

    def admit(self, node: str) -> bool:
        """Take the permits for one job, if there are all of them."""
        if not self._is_open(node):
            return False
        for key in self.keys.get(node, ()):
            budget = self._budgets[key]
            if budget.rate is not None and budget.permits is not None:
                budget.permits -= 1
                budget.tat += budget.rate.interval
                self._taken.add(key)
        return True

    def save(self) -> None:
        """Write down what was taken."""
        for key in sorted(self._taken):
            self._transaction.run(_SET, {"key": key, "tat": self._budgets[key].tat})

    def seconds(self) -> float:
        """How long until some key that allows nothing now allows a start."""
        return min((b.seconds for b in self._budgets.values() if b.permits == 0), default=0.0)

    def _is_open(self, node: str) -> bool:
        return all(self._budgets[key].permits != 0 for key in self.keys.get(node, ()))


def settle_permits(ledger: Ledger, outcomes: Iterable[Outcome], rates: Rates) -> None:
    """Give back the permits of jobs that asked nobody, and leave a provider alone for as long as it said."""
    for outcome in outcomes:
        if isinstance(outcome, Completed) and outcome.cached:
            for key in rates.keys(ledger.plan.nodes[outcome.claim.node]):
                if (rate := rates.by_key.get(key)) is not None:
                    ledger.transaction.run(_GIVE_BACK, {"key": key, "seconds": rate.interval})
        if isinstance(outcome, Retrying) and outcome.hold_seconds:
            provider = rates.provider_of(ledger.plan.nodes[outcome.claim.node])
            ledger.transaction.run(_ADD, {"key": provider})
            ledger.transaction.run(_HOLD, {"key": provider, "until": ledger.now + outcome.hold_seconds})


def shut_keys(transaction: Transaction, plan: Plan, nodes: Iterable[str], rates: Rates) -> Mapping[str, float]:
    """The keys that keep jobs of these nodes from starting, and for how many seconds still."""
    keys = {key for node in nodes for key in rates.keys(plan.nodes[node])}
    (now,) = transaction.row(sql.CLOCK) or (0.0,)
    budgets = {key: read_budget(transaction, key, rates.by_key.get(key), now) for key in sorted(keys)}
    return {key: budget.seconds for key, budget in budgets.items() if budget.permits == 0}
