"""How large things may be: as large as the limit is taken, one more is refused by name, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, islice
from typing import Any

import pytest
from sqlalchemy import text

import xtyl_nb as xt
from documents import codes, copy, document
from workbench import Workbench, workbench
from xtyl_engine.database.connection import Database
from xtyl_engine.errors import DecisionRefused, LimitExceeded
from xtyl_engine.limits import (
    MAX_COMMENT_LENGTH,
    MAX_EDGES,
    MAX_EVENT_BYTES,
    MAX_INLINE_OUTPUT_BYTES,
    MAX_ITEMS,
    MAX_NODES,
    MAX_PROMPT_BYTES,
    MAX_ROWS,
)
from xtyl_engine.scheduler.submit import MAX_JOBS, Row, Submission, submit
from xtyl_engine.workflow.templating.render import render
from xtyl_engine.workflow.validate import find_problems, validate


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    with workbench(tmp_path_factory.mktemp("limits")) as bench:
        yield bench


def test_nodes() -> None:
    """Ten thousand nodes are a workflow, one more is not."""
    nodes = [copy(f"n{i}") for i in range(MAX_NODES + 1)]
    assert codes(document(*nodes[:-1])) == []
    assert codes(document(*nodes)) == ["too-large"]


@pytest.mark.parametrize("count", [20_000, 50_000])
def test_too_many_nodes(count: int) -> None:
    """A chain or fan far beyond the limits ends at once in a named error."""
    chain = document(*(copy(f"n{i}") for i in range(count)), edges=[(f"n{i}", f"n{i + 1}") for i in range(count - 1)])
    fan = document(*(copy(f"n{i}", "{{ n0.text }}") for i in range(count)))
    assert set(codes(chain)) == set(codes(fan)) == {"too-large"}


def test_long_chains_need_no_recursion() -> None:
    """Chains of references and of over= as long as allowed are read, backwards too."""
    chain = document(*(copy(f"n{i}", f"{i} {{{{ n{i + 1}.text }}}}") for i in range(2000)), copy("n2000"))
    assert codes(chain) == []
    nested = document(*(copy(f"n{i}", n=2, over=f"n{i + 1}") for i in range(2000)), copy("n2000", n=2))
    found = find_problems(nested)
    assert {(each.code, each.hint) for each in found} == {
        ("workflow/too-large", "Leave out `over` here, or at a step that it runs over."),
        ("workflow/too-large", "Lower `n`."),
    }


def test_diamonds_are_linear() -> None:
    """Twenty layers of diamonds, a million ways through, are planned edge by edge."""
    layers = [
        copy(f"{side}{i}", f"{{{{ a{i - 1}.text }}}}{{{{ b{i - 1}.text }}}}" if i else "x")
        for i in range(20)
        for side in "ab"
    ]
    plan = validate(document(*layers))
    assert sum(len(node.parents) for node in plan.nodes.values()) == 4 * 19
    assert max(node.depth for node in plan.nodes.values()) == 19


def test_edges() -> None:
    """A hundred thousand edges are taken, one more is not; those that references make count."""
    names = [f"n{i}" for i in range(460)]
    edges = list(islice(combinations(names, 2), MAX_EDGES + 1))
    assert codes(document(*map(copy, names), edges=edges[:-1])) == []
    assert codes(document(*map(copy, names), edges=edges)) == ["too-large"]
    reader = copy("last", "{{ n0.text }}")
    assert codes(document(*map(copy, names), reader, edges=edges[:-1])) == ["too-large"]


def test_items_that_are_written() -> None:
    """Five thousand items of one fan-out are taken, and no more, in one list or in lists within lists."""
    assert codes(document(copy("a", n=MAX_ITEMS))) == []
    assert codes(document(copy("a", n=MAX_ITEMS + 1))) == ["bad-parameter"]
    assert codes(document(copy("a", n=100), copy("b", n=50, over="a"))) == []
    assert codes(document(copy("a", n=100), copy("b", n=51, over="a"))) == ["too-large"]


def test_items_that_a_function_returns(bench: Workbench) -> None:
    """A list one item too long fails its own row, in words, and leaves the other row alone."""
    flow = (
        xt.Workflow("born")
        .call("made", lambda count: list(range(count)), count="{{ count }}")
        .call("each", lambda one: one, one="{{ made }}", over="made")
    )
    run = bench.done(flow, [{"count": MAX_ITEMS + 1}, {"count": 2}])
    frame = run.frame()
    assert list(frame["status"]) == ["failed", "completed"]
    assert "5,001 items; at most 5,000" in frame["error"][0]
    assert frame["each"][1] == [0, 1]


def test_outputs_beyond_the_inline_limit_become_artifacts(bench: Workbench) -> None:
    """A row of the database stays small; frames and the next step see the whole text."""
    flow = (
        xt.Workflow("long")
        .call("made", lambda size: "ü" * size, size="{{ size }}")
        .call("letters", lambda text: len(text), text="{{ made }}")
    )
    sizes = [1_000, MAX_INLINE_OUTPUT_BYTES]
    run = bench.done(flow, [{"size": size} for size in sizes])
    frame = run.frame()
    assert list(frame["error"].dropna()) == []
    assert list(frame["letters"]) == sizes == [len(made) for made in frame["made"]]
    with bench.backend.database.read() as transaction:
        made = text("SELECT output FROM agent_jobs WHERE node = 'made' AND execution_id = :id")
        stored = [output for (output,) in transaction.rows(made, {"id": run.id})]
    assert sorted("$artifact" in output for output in stored) == [False, True]
    assert max(len(output.encode()) for output in stored) <= MAX_INLINE_OUTPUT_BYTES


def test_prompts() -> None:
    """Jinja text of a megabyte is read and one character more is not; what it gives is held to the same bytes."""
    assert codes(document(copy("a", "x" * MAX_PROMPT_BYTES))) == []
    braces = "{{ name }}"
    assert codes(document(copy("a", braces + "x" * (MAX_PROMPT_BYTES - len(braces))))) == []
    assert codes(document(copy("a", braces + "x" * (MAX_PROMPT_BYTES - len(braces) + 1)))) == ["too-large"]
    assert len(render("{{ x }}y", {"x": "x" * (MAX_PROMPT_BYTES - 1)})) == MAX_PROMPT_BYTES
    with pytest.raises(LimitExceeded, match="1,048,576 is the most"):
        render("{{ x }}y", {"x": "x" * MAX_PROMPT_BYTES})


def test_a_prompt_too_long_fails_its_row(bench: Workbench) -> None:
    """A value from the table that makes a prompt too long is told in that row; the other row completes."""
    flow = xt.Workflow("prompt").generate_copy("line", prompt="{{ brief }}")
    frame = bench.done(flow, [{"brief": "x" * (MAX_PROMPT_BYTES + 1)}, {"brief": "short"}]).frame()
    assert list(frame["status"]) == ["failed", "completed"]
    assert "more than 1,048,576 bytes" in frame["error"][0]


def test_rows_and_jobs(database: Database) -> None:
    """More rows than allowed, or more jobs than a million, are refused before anything is written."""
    plan = validate(document(*(copy(f"n{i}") for i in range(11))))
    rows = [Row(label=i, values={}) for i in range(MAX_ROWS + 1)]
    with pytest.raises(LimitExceeded, match="100,001 rows; at most 100,000"):
        submit(database, Submission(id="a", plan=plan, rows=rows))
    with pytest.raises(LimitExceeded, match="1,100,000 jobs; at most 1,000,000") as caught:
        submit(database, Submission(id="a", plan=plan, rows=rows[:-1]))
    assert caught.value.hint
    assert MAX_JOBS == 1_000_000
    with database.read() as transaction:
        assert transaction.row(text("SELECT count(*) FROM workflow_executions")) == (0,)


def shouting() -> None:
    raise ValueError("a\0b\ud800" + "x" * 1_000_000)


def refusing() -> None:
    raise xt.PermanentError("a\0b\ud800" + "x" * 1_000_000)


@pytest.mark.parametrize("function", [shouting, refusing])
def test_events_stay_small(bench: Workbench, function: Callable[[], None]) -> None:
    """However long an error's words are and whatever is in them, they are stored, and no event holds more than it may."""
    run = bench.done(xt.Workflow("loud").call("made", function))
    assert run.frame()["error"][0].startswith("made: ")
    with bench.backend.database.read() as transaction:
        found = transaction.rows(text("SELECT data FROM execution_events WHERE data IS NOT NULL"))
    assert max(len(data.encode()) for (data,) in found) <= MAX_EVENT_BYTES


def test_words_about_a_decision(bench: Workbench) -> None:
    """A comment or reason that is too long or no text is refused, and the review still waits; odd letters are mended."""
    flow = xt.Workflow("pick").generate_copy("line", prompt="x").review("pick", of="line")
    run = bench.done(flow)
    words: Any
    for words in ("x" * (MAX_COMMENT_LENGTH + 1), 7):
        with pytest.raises(DecisionRefused, match=r"characters; 10,000|not text"):
            run.reject("pick", reason=words)
        with pytest.raises(DecisionRefused, match=r"characters; 10,000|not text"):
            run.approve("pick", choose=[0], comment=words)
    assert run.waiting_for is not None
    run.reject("pick", reason="no\0\ud800")
    assert run.frame()["error"][0] == "rejected: no\ufffd\ufffd"
