"""What the nodes of a plan need to ask their providers, as this process sees it before a run: a price for each where there is a
budget, and a key. Which provider and model a node asks is written into its config by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xtyl_engine.errors import Problem
from xtyl_engine.providers.registry import key_variables
from xtyl_engine.workflow.highest_cost import PriceUnknown, highest_cost
from xtyl_engine.workflow.plan import Plan, PlanNode


def find_unpriced(plan: Plan, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Nodes that a budget cannot be kept with."""
    for node in _asking(plan) if plan.document.budget is not None else ():
        config = node.kind.config.model_validate(node.config)
        try:
            highest_cost(node.kind, config, _provider(node), environment)
        except PriceUnknown as error:
            yield Problem(code="workflow/unknown-price", node=node.id, message=error.message, hint=error.hint or "")


def find_keyless(plan: Plan, environment: Mapping[str, str]) -> Iterator[str]:
    """The keys that are not set. What is cached needs none, so it is told and not refused."""
    lacking = {name: names[0] for node in _asking(plan) if (names := _missing(name := _provider(node), environment))}
    for name, variable in lacking.items():
        yield f'{variable} is not set, and steps ask {name}: os.environ["{variable}"] = ... in a cell sets it for the next run.'


def _asking(plan: Plan) -> Iterator[PlanNode]:
    return (node for node in plan.nodes.values() if node.kind.asks_provider and _provider(node))


def _provider(node: PlanNode) -> str:
    return str(node.config.get("provider") or "")


def _missing(name: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    names = key_variables(name)
    return () if any(environment.get(each, "").strip() for each in names) else names
