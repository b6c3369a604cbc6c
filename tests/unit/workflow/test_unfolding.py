"""Lists in fields: what may be run over as `over="ad.ideas"`, and what is told of a name that may not."""

from __future__ import annotations

import pytest

import xtyl_nb as xt
from xtyl_engine.errors import WorkflowError
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.validate import find_problems, validate

IDEA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "shots": {"type": "array", "items": {"type": "string"}}},
}
AD = {
    "type": "object",
    "properties": {
        "headline": {"type": "string"},
        "ideas": {"type": "array", "items": IDEA},
        "best": IDEA,
        "more": {"anyOf": [{"type": "array", "items": IDEA}, {"type": "null"}]},
    },
}
FLOW = xt.Workflow("ads").generate_copy("ad", prompt="x", returns=AD).generate_copy("line", prompt="y", after=[])


@pytest.mark.parametrize("over", ["ad.ideas", "ad.best.shots", "ad.more"])
def test_a_list_in_a_field_is_an_axis(over: str) -> None:
    """Also one inside an object, and one that an answer may leave out; the plan keeps it apart from what was written."""
    document = parse_document(FLOW.generate_copy("each", prompt="z", over=over).to_json())
    plan = validate(document)
    assert plan.nodes["each"].axes == ("$rows", over)
    assert plan.expanded_by("each") == over
    assert plan.nodes[over].reads.nodes == ("ad",)
    assert over not in {node.id for node in plan.document.nodes}


def test_a_list_of_a_chosen_answer_is_an_axis() -> None:
    """A review hands on the answer with its list; with several chosen, each has one."""
    for choose, axes in ((1, ("$rows", "pick.ad.ideas")), (2, ("$rows", "pick", "pick.ad.ideas"))):
        flow = (
            xt.Workflow("ads").generate_copy("ad", prompt="x", returns=AD, n=3).review("pick", of="ad", choose=choose)
        )
        flow = flow.generate_copy("each", prompt="{{ pick.ad.ideas.title }}", over="pick.ad.ideas")
        assert validate(parse_document(flow.to_json())).nodes["each"].axes == axes


@pytest.mark.parametrize(
    ("over", "prompt", "code", "words", "hint"),
    [
        ("ad.idea", "z", "unknown-field", "over=`ad.idea`: ad has no such field", "Did you mean `ideas`?"),
        ("add.ideas", "z", "unknown-reference", "over=`add.ideas`: there is no node `add`", "Did you mean `ad`?"),
        (
            "ad.headline",
            "z",
            "over-not-list",
            "it runs over `ad.headline`, which is no list",
            "ask for a list in its `returns`",
        ),
        (
            "line.text",
            "z",
            "over-not-list",
            "line gives no answer with fields",
            "Give the step `returns=...` with a list in it",
        ),
        (
            "ad.ideas",
            "{{ ad.ideas.titel }}",
            "unknown-field",
            "`ad.ideas` has no field `titel`",
            "Did you mean `title`?",
        ),
        (None, "{{ ad.best.titel }}", "unknown-field", "`ad.best` has no field `titel`", "Did you mean `title`?"),
        (
            None,
            "{{ ad.ideas.title }}",
            "list-as-item",
            "`ad.ideas.title` reads a list as one item",
            'Use over="ad.ideas"',
        ),
        (
            None,
            "{% for idea in ad.ideas %}{{ idea.titel }}{% endfor %}",
            "unknown-field",
            "`ad.ideas[...]` has no field",
            "title",
        ),
    ],
)
def test_what_no_answer_has_is_told_before_the_run(
    over: str | None, prompt: str, code: str, words: str, hint: str
) -> None:
    """A field that is not there, a list read as one item, and what is no list, each with what to do."""
    flow = FLOW.generate_copy("each", prompt=prompt, over=over)
    (problem,) = find_problems(parse_document(flow.to_json()))
    assert (problem.code, problem.node) == (f"workflow/{code}", "each")
    assert words in problem.message
    assert hint in problem.hint


def test_the_drawn_graph_has_the_written_steps_alone() -> None:
    """The step that runs over a list in a field follows the one that has the field."""
    flow = FLOW.generate_copy("each", prompt="z", over="ad.ideas")
    assert list(flow.graph().edges) == [("ad", "each")]
    assert flow.levels() == {"ad": 0, "line": 0, "each": 1}
    with pytest.raises(WorkflowError, match="bad-id"):
        validate(parse_document({"nodes": [{"id": "ad.ideas", "type": "unfold", "config": {"items": "{{ x }}"}}]}))
