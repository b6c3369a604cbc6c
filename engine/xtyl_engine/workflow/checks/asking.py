"""What the nodes of a plan need to ask their providers, as this process sees it before a run: a price for each where there is a
budget, and a key. Which provider and model a node asks is written into its config by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from xtyl_engine.errors import Problem
from xtyl_engine.providers.prices import Prices
from xtyl_engine.providers.registry import capabilities_of, key_variables, provider_names, server_of
from xtyl_engine.workflow.highest_cost import PriceUnknown, highest_cost
from xtyl_engine.workflow.plan import Plan, PlanNode

# How alike a word must be to a provider's name: `llama3` of `llama3:8b` is a model, and so is `mixtral`.
CLOSE = 0.88


def find_unpriced(plan: Plan, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Nodes that a budget cannot be kept with."""
    for node in _asking(plan) if plan.document.budget is not None else ():
        config = node.kind.config.model_validate(node.config)
        try:
            highest_cost(node.kind, config, _provider(node), environment)
        except PriceUnknown as error:
            model = str(node.config.get("model") or "")
            hint = _alike(model, _others(_provider(node), model, environment)) + (error.hint or "")
            yield Problem(code="workflow/unknown-price", node=node.id, message=error.message, hint=hint)


def find_keyless(plan: Plan, environment: Mapping[str, str]) -> Iterator[str]:
    """The keys that are not set. What is cached needs none, so it is told and not refused."""
    lacking = {name: names[0] for node in _asking(plan) if (names := _missing(name := _provider(node), environment))}
    for name, variable in lacking.items():
        yield f'{variable} is not set, and steps ask {name}: os.environ["{variable}"] = ... in a cell sets it for the next run.'


def find_strange_models(plan: Plan, environment: Mapping[str, str] | None) -> Iterator[str]:
    """Models that are probably misspelt: the provider before the colon, or a name that the provider is not known to have. Either
    may be right, so it is told and not refused. Without the environment of the workers it is not known which server they ask."""
    for node in (node for node in plan.nodes.values() if node.kind.asks_provider):
        provider, model = _provider(node), str(node.config.get("model") or "")
        first, colon, rest = model.partition(":")
        meant = get_close_matches(first.lower(), provider_names(), n=1, cutoff=CLOSE) if colon else []
        if meant and not _has_any_model(provider, environment or {}):
            asked = provider or "the default provider"
            yield f"{node.id} asks {asked} for a model called {model!r}. Did you mean {f'{meant[0]}:{rest}'!r}?"
        elif environment is not None and (known := _others(provider, model, environment)):
            new = "If it is new, go on: it has no price yet."
            yield f"{node.id}: {provider} is not known to have a model {model!r}. {_alike(model, known)}{new}"


def _has_any_model(provider: str, environment: Mapping[str, str]) -> bool:
    """A server of one's own may have a model of any name."""
    is_hosted = not provider or capabilities_of(provider).free or key_variables(provider)
    return not is_hosted or server_of(provider, environment) is not None


def _others(provider: str, model: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The models that a provider is known to have, where this is none of them."""
    is_priced = provider and model and not capabilities_of(provider).free
    return Prices(provider, environment).models_without(model) if is_priced else ()


def _alike(model: str, known: Iterable[str]) -> str:
    alike = get_close_matches(model, known, n=1)
    return f"Did you mean {alike[0]!r}? " if alike else ""


def _asking(plan: Plan) -> Iterator[PlanNode]:
    return (node for node in plan.nodes.values() if node.kind.asks_provider and _provider(node))


def _provider(node: PlanNode) -> str:
    return str(node.config.get("provider") or "")


def _missing(name: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    names = key_variables(name)
    return () if any(environment.get(each, "").strip() for each in names) else names
