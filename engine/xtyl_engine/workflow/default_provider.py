"""Which provider serves a plan's nodes that name none: written into them where it is known, for a worker keeps the settings
that it was started with, and an execution must not depend on when that was.
"""

from __future__ import annotations

from typing import Any

from xtyl_engine.providers.registry import check_provider
from xtyl_engine.workflow.plan import Plan


def name_provider(plan: Plan, name: str | None) -> dict[str, dict[str, Any]]:
    """Configs with this provider, for the nodes that name none. Raises PermanentError if there is no such provider."""
    if not name:
        return {}
    check_provider(name)
    return {
        id: {**node.config, "provider": name}
        for id, node in plan.nodes.items()
        if node.kind.asks_provider and not node.config.get("provider")
    }
