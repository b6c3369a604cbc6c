"""The provider of a plan's nodes that name none. It is written into their configs at submission: a worker keeps the
settings it started with, and an execution must not depend on when that was. Nothing here calls a provider.
"""

from __future__ import annotations

from typing import Any

from xtyl_engine.providers.registry import check_provider
from xtyl_engine.workflow.plan import Plan


def name_provider(plan: Plan, name: str | None) -> dict[str, dict[str, Any]]:
    """The configs of the nodes that name no provider, with this one. Raises PermanentError if it does not exist."""
    if not name:
        return {}
    check_provider(name)
    return {
        id: {**node.config, "provider": name}
        for id, node in plan.nodes.items()
        if node.kind.asks_provider and not node.config.get("provider")
    }
