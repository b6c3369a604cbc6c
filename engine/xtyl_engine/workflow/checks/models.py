"""Checks whether the provider and the model that a step asks are there and do what the step wants, as far as that is known
without asking: a step that cannot succeed is refused before anything is paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xtyl_engine.errors import Problem
from xtyl_engine.nodes.base import NodeType
from xtyl_engine.providers.registry import capabilities_of, missing_package, provider_names, split_model, vendor_of
from xtyl_engine.workflow.checks.wording import Suggestions, list_names, show_name, show_value


def check_model(id: str, kind: NodeType, config: Mapping[str, Any], suggestions: Suggestions) -> Iterator[Problem]:
    """The problems of a node's `provider` and `model`."""
    given, model = config.get("provider"), config.get("model")
    if not kind.asks_provider or not (given is None or isinstance(given, str)):
        return
    known = provider_names()
    if given and given not in known:
        hint = suggestions.hint(given, known, f"Use one of {list_names(known)}.")
        yield _problem("unknown-provider", id, f"there is no provider `{show_name(given)}`", hint)
        return
    named, rest = split_model(model) if isinstance(model, str) else (None, "")
    if named is not None and not rest:
        hint = f'Write provider="{named}", or the model after the colon.'
        yield _problem("bad-parameter", id, f"`model` is {show_value(model)}: it names a provider and no model", hint)
    elif named is not None and given and named != given:
        message = f"`provider` is {show_value(given)}, and `model` names another: {show_value(model)}"
        so = f'model="{given}:{show_name(str(model))}"'
        hint = f"Leave out `provider`. Where {given} itself has a model of this name, write {so}."
        yield _problem("two-providers", id, message, hint)
    elif provider := given or named:
        yield from _check_wants(id, kind, config, provider)


def _check_wants(id: str, kind: NodeType, config: Mapping[str, Any], provider: str) -> Iterator[Problem]:
    """What the step wants and its provider is known not to do."""
    facts, vendor = capabilities_of(provider), vendor_of(provider)
    usual = vendor and (vendor.image_model if kind.makes_images else vendor.text_model)
    if kind.makes_images and facts.draws is False:
        others = [name for name in provider_names() if capabilities_of(name).draws]
        hint = f"Use {list_names(others)}, or `openai` with a server that draws."
        yield _problem("provider-cannot", id, f"`{provider}` makes no images here", hint)
    elif vendor is not None and usual is None and "model" in kind.config.model_fields and not config.get("model"):
        yield _problem("no-model", id, f"`{provider}` has no default model", f'Write model="{provider}:...".')
    if config.get("images") is not None and (facts.edits if kind.makes_images else facts.sees) is False:
        others = [name for name in provider_names() if _takes_images(name, kind)]
        does = "changes no images" if kind.makes_images else "sees no images"
        yield _problem("provider-cannot", id, f"`{provider}` {does}", f"Use {list_names(others)}, or `openai`.")
    elif config.get("mask") is not None and facts.masks is False:
        hint = "Say in the prompt what changes, and leave `mask` out; or use `openai`."
        yield _problem("provider-cannot", id, f"`{provider}` takes no mask", hint)
    if facts.seeds is False and config.get("seed") is not None:
        hint = "Leave `seed` out: the texts of one prompt differ by chance."
        yield _problem("provider-cannot", id, f"`{provider}` takes no seed", hint)


def _takes_images(provider: str, kind: NodeType) -> bool:
    facts = capabilities_of(provider)
    return bool(facts.edits if kind.makes_images else facts.sees)


def check_packages(asked: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """The problems of nodes, each with its provider, whose packages are not installed here; each is looked for once."""
    found: dict[str, tuple[str, str] | None] = {}
    for id, provider in asked:
        if provider not in found:
            found[provider] = missing_package(provider)
        if (missing := found[provider]) is not None:
            yield _problem("missing-package", id, *missing)


def _problem(code: str, id: str, message: str, hint: str) -> Problem:
    return Problem(code=f"workflow/{code}", node=show_name(id), message=message, hint=hint)
