"""Decides when a job may take an earlier job's result: same node type, rendered parameters, provider with its server, model, same
place in its node's list, same project. The cache is the jobs in SQL that have a result; there is no other store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.database.tables import TOKENS
from xtyl_engine.nodes.base import NodeConfig, NodeType
from xtyl_engine.nodes.prompt import variant
from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.registry import server_of
from xtyl_engine.scheduler.outcomes import Claim, Completed
from xtyl_engine.workflow.plan import PlanNode

_COMMON = set(NodeConfig.model_fields)


def cache_key(
    kind: NodeType, node: PlanNode, config: NodeConfig, item: str, provider: str, variables: Mapping[str, str]
) -> str | None:
    """The key that equal jobs share, None where the node takes no cached results. `provider` serves a node that names none;
    `variables` may name another server than its own, whose results are others."""
    if not (kind.cached if config.cache is None else config.cache) or node.expands:
        return None
    facts = config.model_dump(mode="json", exclude=_COMMON, fallback=str)
    if "provider" in facts:
        facts["provider"] = facts["provider"] or provider
        # Left out where it is the provider's own: results stored before it was part of the key are found as ever.
        if (server := server_of(facts["provider"], variables)) is not None:
            facts["server"] = server
    return sha256(json.dumps([kind.name, facts, variant(item)], sort_keys=True).encode()).hexdigest()


def look_up(transaction: Transaction, claim: Claim, key: str) -> Completed | None:
    """The result of an equal job of the same project, if there is one, at no tokens and no cost."""
    found = transaction.row(sql.CACHED, {"cache_key": key, "execution_id": claim.execution_id})
    if found is None:
        return None
    output, branch, provider, model, saved = found
    nothing: dict[str, Any] = {"tokens": 0, "cost": 0.0, **dict.fromkeys(TOKENS, 0)}
    usage = Usage(provider=provider, model=model, **nothing) if provider else None
    return Completed(claim=claim, output=output, branch=branch, usage=usage, cache_key=key, cached=True, saved=saved)
