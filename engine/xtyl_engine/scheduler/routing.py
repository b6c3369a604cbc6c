"""Decides which jobs a worker claims. Jobs of heavy node types, those that compute in Python, go to workers with processes, so
that they do not slow the threads that wait for providers; without heavy types every worker claims everything. It names queues,
and knows no broker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from xtyl_engine.errors import closest_name
from xtyl_engine.nodes.registry import node_types
from xtyl_engine.settings import PREFORK, Settings, SettingsError
from xtyl_engine.workflow.plan import Plan

QUEUE, HEAVY_QUEUE = "xtyl", "xtyl-heavy"
REMEMBERED = 64


def queues_for(heavy: Collection[str], types: Iterable[str] | None = None) -> tuple[str, ...]:
    """The queues whose workers claim jobs of these node types; every queue where `types` is None."""
    if not heavy:
        return (QUEUE,)
    if types is None:
        return (QUEUE, HEAVY_QUEUE)
    return tuple(sorted({HEAVY_QUEUE if type in heavy else QUEUE for type in types}))


@dataclass(eq=False)
class Route:
    """The node types that one process claims: where there are `heavy` types, `is_heavy` says which side."""

    heavy: frozenset[str] = frozenset()
    is_heavy: bool = False
    _known: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues it reads. A worker that claims everything reads both, because senders may tell the types apart."""
        return (self.queue,) if self.heavy else (QUEUE, HEAVY_QUEUE)

    @property
    def queue(self) -> str:
        return HEAVY_QUEUE if self.heavy and self.is_heavy else QUEUE

    @property
    def other_queue(self) -> str:
        return QUEUE if self.is_heavy else HEAVY_QUEUE

    def serves(self, type: str) -> bool:
        """Whether this process claims jobs of a node type."""
        return not self.heavy or (type in self.heavy) is self.is_heavy

    def barred(self, plan: Plan, template_id: str) -> frozenset[str]:
        """The nodes of a plan whose jobs are not claimed here; cached, because every claim asks."""
        if not self.heavy:
            return frozenset()
        if template_id not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[template_id] = frozenset(node.id for node in plan.nodes.values() if not self.serves(node.type))
        return self._known[template_id]

    def __str__(self) -> str:
        names = ", ".join(sorted(self.heavy))
        return "all node types" if not names else names if self.is_heavy else f"all node types but {names}"


def awaited(heavy: Collection[str], types: Collection[str]) -> str:
    """The worker that ready jobs of these types wait for, in words."""
    if not heavy or len({type in heavy for type in types}) != 1:
        return "a worker"
    pool = PREFORK if set(types) <= set(heavy) else "threads"
    return f"a worker for {', '.join(sorted(set(types)))}: `xtyl worker --pool {pool}`"


def read_route(settings: Settings) -> Route:
    """The route of a worker with these settings. Raises SettingsError if it should run a type that does not exist."""
    heavy, is_heavy = settings.heavy_types, settings.pool == PREFORK
    for type in sorted(heavy) if is_heavy else ():
        if type not in (known := node_types()):
            raise SettingsError(
                f"XTYL_HEAVY names {type!r}, and there is no node type of that name",
                hint=closest_name(type, known),
            )
    return Route(heavy, is_heavy)
