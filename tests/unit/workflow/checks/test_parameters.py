"""Parameters of node types of other packages, whatever their names mean elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from offering import node_types_of
from xtyl_engine.scheduler.rules import count_initial_jobs
from xtyl_engine.workflow.document import Document, Node
from xtyl_engine.workflow.validate import find_problems, validate

# Every parameter of any type that something besides its handler reads.
NAMES = (
    *("n", "provider", "model", "of", "choose", "function", "arguments", "depends", "branches", "when"),
    *("over", "retry", "timeout", "cache"),
)
LOOSE = f"""
from typing import Any

from xtyl_engine.nodes.base import Done, NodeConfig, NodeType


class Own(NodeConfig):
{"".join(f"    {name}: Any = None{chr(10)}" for name in NAMES)}

def run(config, context):
    return Done(output={{"text": str(config.n)}})


NODE_TYPE = NodeType(name="own", config=Own, run=run, rendered={NAMES!r})
"""


@pytest.fixture(scope="module", autouse=True)
def own_type(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A node type with parameters of all these names, each of which takes anything."""
    with node_types_of(tmp_path_factory.mktemp("package"), {"own": "own_parameters:NODE_TYPE"}, own_parameters=LOOSE):
        yield


def written(**config: Any) -> Document:
    return Document(name="w", nodes=(Node(id="made", type="own", config=config),))


@pytest.mark.parametrize("value", ["{{ x }}", "a text", 2.5, ["a"], {"a": "b"}, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_of_any_name_is_the_type_s_own_or_told_as_a_mistake(name: str, value: Any) -> None:
    """No name breaks a submission: the plan has one job for each row, or the mistake names the parameter."""
    document = written(**{name: value})
    if told := find_problems(document, columns=["x"]):
        assert [name in problem.message for problem in told] == [True]
    else:
        assert count_initial_jobs(validate(document, columns=["x"]), 3) == 3


@pytest.mark.parametrize(("n", "jobs"), [(1, 3), (2, 6), (0, 3), (-1, 3)])
def test_a_whole_number_n_makes_a_list(n: int, jobs: int) -> None:
    """As `n` of the built-in types; less than two make none."""
    assert count_initial_jobs(validate(written(n=n)), 3) == jobs
