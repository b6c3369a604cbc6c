"""Random graphs with items, lists born at run time, branches and failures, and how each job of them ends by a direct reading of
the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from plans import plan_of
from xtyl_engine.workflow.plan import Link, Plan, head

FATAL = "fatal"


@dataclass
class Case:
    """A graph, and what each of its nodes does when it runs."""

    plan: Plan
    rows: int
    fails: dict[str, set[str]]
    lengths: dict[str, int]
    branches: dict[str, str]
    order: int
    states: dict[tuple[str, str], str] = field(default_factory=dict)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to eight nodes; edges go forward; some run over others' lists, some choose a branch, some fail in some rows."""
    count = draw(st.integers(2, 8))
    names = [f"n{place}" for place in range(count)]
    nodes: dict[str, dict[str, object]] = {}
    expanders: set[str] = set()
    axes: dict[str, tuple[str, ...]] = {}
    for place, name in enumerate(names):
        config: dict[str, object] = {}
        earlier = names[:place]
        lists = [each for each in earlier if len(axes[each]) > 1 or each in expanders]
        if bool(lists) and draw(st.booleans()):
            over: str = draw(st.sampled_from(lists))
            config["over"] = over
            axes[name] = axes[over] + ((over,) if over in expanders else ())
        else:
            axes[name] = ("rows",)
        kind = draw(st.sampled_from(["plain", "plain", "n", "bearer"])) if len(axes[name]) < 3 else "plain"
        if kind == "n":
            config["n"] = draw(st.integers(2, 3))
            axes[name] += (name,)
        elif kind == "bearer":
            expanders.add(name)
        nodes[name] = config
    ways = st.sampled_from(["then", "otherwise"])
    chosen = {name: draw(ways) for name in names if name not in expanders and draw(st.integers(0, 2)) == 0}
    edges = []
    for place, name in enumerate(names):
        for source in draw(st.sets(st.sampled_from(names[:place]), max_size=2)) if place else ():
            aligned = axes[name][: len(axes[source])] == axes[source]
            branch = draw(ways) if source in chosen and aligned else None
            edges.append((source, name, branch) if branch else (source, name))
    plan = plan_of(nodes, edges, expanders=expanders)
    rows = draw(st.integers(1, 2))
    fails = {name: {str(row) for row in range(rows) if draw(st.integers(0, 5)) == 0} for name in names}
    lengths = {name: draw(st.integers(0, 2)) for name in expanders}
    return Case(plan, rows, fails, lengths, chosen, draw(st.integers(0, 999)))


def expect(case: Case) -> dict[tuple[str, str], str]:
    """Every job and its end, by the rules read directly: node by node, item by item."""
    for name, node in case.plan.nodes.items():
        items = [str(row) for row in range(case.rows)]
        for axis in node.axes[1:]:
            grown = []
            for item in items:
                length = case.plan.lengths.get(axis)
                if length is None:
                    length = case.lengths[axis] if case.states.get((axis, item)) == "completed" else 0
                grown += [f"{item}.{place}" for place in range(length)]
            items = grown
        for item in items:
            case.states[name, item] = end_of(case, name, item)
    return case.states


def end_of(case: Case, name: str, item: str) -> str:
    node = case.plan.nodes[name]
    seen = [look(case, link, item) for link in node.parents]
    if any(branch_not_taken for branch_not_taken, _, _ in seen):
        return "skipped"
    if any(is_fatal for _, is_fatal, _ in seen):
        return FATAL
    if node.parents and not any(live for _, _, live in seen):
        return "skipped"
    return "failed" if item.split(".")[0] in case.fails[name] else "completed"


def look(case: Case, link: Link, item: str) -> tuple[bool, bool, int]:
    """Along one edge: whether the branch was not taken, whether anything failed, how many brought a value."""
    prefix = head(item, link.level)

    def under(node: str) -> list[tuple[str, str]]:
        found = [(each, state) for (owner, each), state in case.states.items() if owner == node]
        return [(each, state) for each, state in found if each == prefix or each.startswith(prefix + ".")]

    jobs = under(link.source)
    unborn = [axis for axis in case.plan.nodes[link.source].axes[link.level :] if axis in case.lengths]
    births = [state for axis in unborn for _, state in under(axis)]
    ends = [state for _, state in jobs]
    not_taken = link.branch is not None and "completed" in ends and case.branches[link.source] != link.branch
    is_fatal = any(state in (FATAL, "failed") for state in (*ends, *births))
    empty = sum(state == "completed" and case.lengths[axis] == 0 for axis in unborn for _, state in under(axis))
    return not_taken, is_fatal, ends.count("completed") + empty
