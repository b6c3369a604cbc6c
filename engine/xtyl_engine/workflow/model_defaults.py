"""The provider and the model that each node asks: what its step says, apart or as `provider:model`, or else the defaults of
settings. They are written into a plan's configs at submission: a worker keeps the settings it started with, and an execution
must not depend on when that was. Nothing here calls a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xtyl_engine.nodes.base import NodeType
from xtyl_engine.providers.registry import check_provider, split_model
from xtyl_engine.settings import Settings, SettingsError, variable
from xtyl_engine.workflow.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefaults:
    """What serves steps that say nothing. `provider` serves those that name none, `text_model` and `image_model`, in the form of
    `model=`, those that name neither provider nor model; an empty text is no default."""

    provider: str = ""
    text_model: str = ""
    image_model: str = ""

    @classmethod
    def of(cls, settings: Settings) -> ModelDefaults:
        """Those of these settings."""
        return cls(provider=settings.provider, text_model=settings.text_model, image_model=settings.image_model)

    def serve(self, kind: NodeType, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The config with the provider and model that the node asks, written apart; itself where it says so already."""
        if not kind.asks_provider:
            return config
        provider, model = config.get("provider") or None, config.get("model") or None
        if provider is None and model is None and "model" in kind.config.model_fields:
            model = self.image_model if kind.makes_images else self.text_model
        if isinstance(model, str):
            named, rest = split_model(model)
            # A step that names another provider means a model that is called so there.
            if named is not None and provider in (None, named):
                provider, model = named, rest
        found = {"provider": provider or self.provider, "model": model}
        changed = {name: value for name, value in found.items() if value and value != config.get(name)}
        return {**config, **changed} if changed else config

    def serve_all(self, plan: Plan) -> dict[str, Mapping[str, Any]]:
        """The configs of a plan's nodes that this changes. Raises PermanentError if the default provider does not exist,
        SettingsError for a default model that is none."""
        if self.provider:
            check_provider(self.provider)
        for name in ("text_model", "image_model"):
            if split_model(getattr(self, name))[1] == "" != getattr(self, name):
                raise SettingsError(
                    f"{variable(name)} is {getattr(self, name)[:80]!r}, which names a provider and no model",
                    hint="Write a model, or provider:model, as steps do: anthropic:claude-opus-5-5.",
                )
        served = {id: self.serve(node.kind, node.config) for id, node in plan.nodes.items()}
        return {id: config for id, config in served.items() if config is not plan.nodes[id].config}
