"""The node that chooses a branch: `then` where its expression holds, else `otherwise`. The scheduler skips the other
branch.
"""

from __future__ import annotations

from typing import Any

from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType
from xtyl_engine.values.plain import plain

BRANCHES = ("then", "otherwise")
# Text that mixes words and expressions renders to text; these are the words that Python and people use for false.
_NO = frozenset({"", "false", "no", "0", "none"})


class Conditional(NodeConfig):
    """The expression; in a job, its value."""

    when: Any


def holds(value: Any) -> bool:
    """Whether a rendered `when` is true."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def run(config: Conditional, context: Context) -> Done:
    """Choose the branch."""
    branch = BRANCHES[0] if holds(config.when) else BRANCHES[1]
    value = plain(config.when, context.artifacts, where="when")
    return Done(output={"branch": branch, "value": value}, branch=branch)


NODE_TYPE = NodeType(
    name="conditional",
    config=Conditional,
    run=run,
    fields=lambda config: ("branch", "value"),
    main="branch",
    rendered=("when",),
    expressions=("when",),
    branches=lambda config: BRANCHES,
    exclusive_branches=True,
    branch_example="then=lambda flow: flow.generate_copy(...)",
    card_height=70.0,
)
