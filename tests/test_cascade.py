"""The cascade against an oracle: random graphs with items, lists born at run time, branches and failures, run in random
order on a real database, end as a direct reading of the rules says, whatever the order was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine_driver import Driver, completed, failed
from plans import plan_of
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.scheduler.outcomes import Claim, Outcome
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
    bearers: set[str] = set()
    axes: dict[str, tuple[str, ...]] = {}
    for place, name in enumerate(names):
        config: dict[str, object] = {}
        earlier = names[:place]
        lists = [each for each in earlier if len(axes[each]) > 1 or each in bearers]
        if lists and draw(st.booleans()):
            over = draw(st.sampled_from(lists))
            config["over"] = over
            axes[name] = axes[over] + ((over,) if over in bearers else ())
        else:
            axes[name] = ("rows",)
        kind = draw(st.sampled_from(["plain", "plain", "n", "bearer"])) if len(axes[name]) < 3 else "plain"
        if kind == "n":
            config["n"] = draw(st.integers(2, 3))
            axes[name] += (name,)
        elif kind == "bearer":
            bearers.add(name)
        nodes[name] = config
    ways = st.sampled_from(["then", "otherwise"])
    chosen = {name: draw(ways) for name in names if name not in bearers and draw(st.integers(0, 2)) == 0}
    edges = []
    for place, name in enumerate(names):
        for source in draw(st.sets(st.sampled_from(names[:place]), max_size=2)) if place else ():
            aligned = axes[name][: len(axes[source])] == axes[source]
            branch = draw(ways) if source in chosen and aligned else None
            edges.append((source, name, branch) if branch else (source, name))
    plan = plan_of(nodes, edges, bearers=bearers)
    rows = draw(st.integers(1, 2))
    fails = {name: {str(row) for row in range(rows) if draw(st.integers(0, 5)) == 0} for name in names}
    lengths = {name: draw(st.integers(0, 2)) for name in bearers}
    return Case(plan, rows, fails, lengths, chosen, draw(st.integers(0, 999)))


def answer(case: Case, claim: Claim) -> Outcome:
    if claim.item.split(".")[0] in case.fails[claim.node]:
        return failed(claim)
    bears = case.plan.nodes[claim.node].bears
    return completed(claim, items=case.lengths[claim.node] if bears else None, branch=case.branches.get(claim.node))


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


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder: Path = tmp_path_factory.mktemp("cascade")
    yield from fresh_driver(f"sqlite:///{folder / 'xtyl.db'}")


@pytest.fixture(scope="module")
def postgres_driver(postgres_url: str) -> Iterator[Driver]:
    yield from fresh_driver(postgres_url)


def fresh_driver(url: str) -> Iterator[Driver]:
    database = Database(url)
    ensure_schema(database)
    yield Driver(database)
    database.close()


def run_in_some_order(driver: Driver, case: Case) -> str:
    """Claims pile up and are answered in random order."""
    shuffle = random.Random(case.order)
    id = driver.submit(case.plan, case.rows)
    held: list[Claim] = []
    while True:
        held += driver.claim(id, shuffle.randint(1, 3))
        if not held:
            return id
        shuffle.shuffle(held)
        take = shuffle.randint(1, len(held))
        driver.record(id, *[answer(case, claim) for claim in held[:take]])
        del held[:take]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_order_ends_as_the_rules_say(driver: Driver, case: Case) -> None:
    """Every job that should exist does, and ends as it should; the run is over, and counts right."""
    check_end(driver, case)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_order_ends_so_on_postgresql(postgres_driver: Driver, case: Case) -> None:
    """The same rules hold where many may write at once."""
    check_end(postgres_driver, case)


def check_end(driver: Driver, case: Case) -> None:
    id = run_in_some_order(driver, case)
    wanted = {job: "skipped" if state == FATAL else state for job, state in expect(case).items()}
    assert {job: str(found.state) for job, found in driver.jobs(id).items()} == wanted
    execution = driver.queries.execution(id)
    assert execution.state == ("failed" if "failed" in wanted.values() else "completed")
    assert execution.done == execution.total == len(wanted)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_a_retry_with_nothing_failing_ends_as_if_nothing_ever_had(driver: Driver, case: Case) -> None:
    """After a retry that succeeds, every job stands as in a run without failures."""
    id = run_in_some_order(driver, case)
    if driver.state(id) == "failed":
        driver.controls.retry(id)
    case.fails = {name: set() for name in case.fails}
    driver.drain(id, {name: lambda claim: answer(case, claim) for name in case.plan.nodes})
    assert driver.states(id) == {f"{node}@{item}": state for (node, item), state in expect(case).items()}
    assert driver.state(id) == "completed"
