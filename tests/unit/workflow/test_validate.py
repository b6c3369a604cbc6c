"""Validation finds every problem at once, says what to do, and gives a Plan for what is right."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents import codes, copy, document
from repository import ROOT
from xtyl_engine.errors import WorkflowError
from xtyl_engine.workflow.document import Document, Edge, Node, parse_document
from xtyl_engine.workflow.validate import find_problems, validate


def only(*args, **kwargs):
    (problem,) = find_problems(*args, **kwargs)
    return problem


SUMMER = (
    copy("headline", "A {{ tone }} headline for {{ product }}", n=3),
    ("poster", "generate_image", {"prompt": "Poster for {{ product }}: {{ headline.text }}", "over": "headline"}),
    ("pick", "review", {"of": "poster"}),
    ("kit", "attach", {"assets": {"title": "{{ pick.headline.text }}", "image": "{{ pick.poster.image }}"}}),
)
WAYS = ("way", "conditional", {"when": "{{ tone == 'calm' }}"})


def generate(text):
    yield text


BROKEN = {
    "bad-branch": document(copy("a"), WAYS, edges=[("way", "a", "els")]),
    "bad-budget": replace(document(copy("a")), budget=1e-12),
    "bad-edge": document(copy("a"), edges=[("a", "b")]),
    "bad-id": document(copy("../x")),
    "bad-name": Document(name=" ", nodes=document(copy("a")).nodes),
    "bad-parameter": document(copy("a", n=0)),
    "branch-not-aligned": document(
        copy("a", n=2),
        ("way", "conditional", {"when": "{{ a.text }}", "over": "a"}),
        copy("b"),
        edges=[("way", "b", "then")],
    ),
    "cycle": document(copy("a", "{{ b.text }}"), copy("b", "{{ a.text }}")),
    "duplicate-id": document(copy("a"), copy("a")),
    "empty": document(),
    "item-as-list": document(copy("a"), copy("b", "{{ a[0].text }}")),
    "list-as-item": document(copy("a", n=2), copy("b", "{{ a.text }}")),
    "no-model": document(copy("a", provider="groq")),
    "not-upstream": document(copy("a"), copy("b"), ("r", "review", {"of": "a"}), copy("c", "{{ r.b.text }}")),
    "over-not-list": document(copy("a"), copy("b", over="a")),
    "provider-cannot": document(("a", "generate_image", {"prompt": "x", "provider": "anthropic"})),
    "review-of-nothing": document(WAYS, copy("a"), ("r", "review", {"of": "way"}), edges=[("way", "a", "then")]),
    "similar-id": document(copy("a"), copy("A")),
    "template": document(copy("a", "{{ 1 + }}")),
    "too-large": document(copy("a", n=5000), copy("b", n=5000, over="a")),
    "two-providers": document(copy("a", provider="openai", model="gemini:g")),
    "unknown-field": document(copy("a"), copy("b", "{{ a.txt }}")),
    "unknown-provider": document(copy("a", provider="nope")),
    "unknown-reference": document(copy("headline"), copy("b", "{{ headlin.text }}")),
    "unknown-type": document(("a", "generate_coppy", {})),
    "unreachable": document(copy("a"), copy("b"), starts=("a",)),
}
WITH_DATA = {"missing-column": ["product", "tones"], "column-is-node": ["product", "tone", "poster"]}
BEFORE_AND_AFTER = {"document", "function-not-portable", "missing-package", "unknown-price", "value-not-portable"}


@pytest.mark.parametrize("code", BROKEN)
def test_finds(code):
    """Each problem is found, alone where nothing else is wrong, with what to do about it."""
    found = find_problems(BROKEN[code])
    assert {problem.code for problem in found} == {f"workflow/{code}"}
    assert all(problem.hint and problem.message for problem in found)
    with pytest.raises(WorkflowError) as caught:
        validate(BROKEN[code])
    assert caught.value.problems == found


@pytest.mark.parametrize("code", WITH_DATA)
def test_finds_with_data(code):
    """Columns are checked once they are known."""
    assert only(document(*SUMMER), columns=WITH_DATA[code]).code == f"workflow/{code}"


def test_documents_every_code():
    """The first table of docs/problems.md lists exactly the codes that the code beside the API can give, and each has a test."""
    table, _, _ = (ROOT / "docs/problems.md").read_text().partition("\n# Problems of the HTTP API\n")
    written = set(re.findall(r"^\| `workflow/([a-z-]+)`", table, re.MULTILINE))
    sources = [*(ROOT / "engine/xtyl_engine").rglob("*.py"), *(ROOT / "xtyl_nb").rglob("*.py")]
    sources = [path for path in sources if "api" not in path.parts]
    text = "\n".join(path.read_text() for path in sources)
    given = set(re.findall(r'"workflow/([a-z-]+)"', text)) - {"invalid"}
    given |= set(re.findall(r'(?:_problem|_failed)\(\s*"([a-z-]+)"', text))
    assert written == given == {*BROKEN, *WITH_DATA, *BEFORE_AND_AFTER}


def test_plans_what_is_right():
    """The plan of a right workflow has order, axes, levels, readings and links worked out."""
    plan = validate(document(*SUMMER), columns=["product", "tone", "price"])
    assert list(plan.nodes) == ["headline", "poster", "pick", "kit"]
    assert plan.nodes["poster"].axes == ("$rows", "headline")
    assert plan.nodes["pick"].reads.nodes == ("poster", "headline")
    assert plan.nodes["kit"].reads.nodes == ("pick",)
    assert plan.nodes["headline"].reads.columns == ("tone", "product")
    assert plan.inputs == ("tone", "product")
    assert [node.depth for node in plan.nodes.values()] == [0, 1, 2, 3]
    assert [(link.source, link.level) for link in plan.nodes["pick"].parents] == [("poster", 1)]


def test_tells_all_at_once_in_order():
    """Problems of all kinds come together, in the order the nodes were written."""
    broken = document(
        copy("a", "{{ b.text }} {{ hedline.text }}", n=0, promt="x"),
        copy("b", "{{ a.txt }}"),
        ("class", "nope", {}),
        edges=[("a", "z")],
    )
    found = find_problems(broken)
    assert [problem.node for problem in found] == sorted(str(problem.node) for problem in found)
    assert {p.code for p in found} >= {
        "workflow/bad-parameter", "workflow/unknown-reference", "workflow/unknown-field", "workflow/bad-id",
        "workflow/unknown-type", "workflow/bad-edge", "workflow/cycle",
    }  # fmt: skip
    with pytest.raises(WorkflowError) as caught:
        validate(broken)
    assert "a -> b -> a" in str(caught.value)
    assert find_problems(broken) == found


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([copy("headline"), copy("b", "{{ headlin.text }}")], "Did you mean `headline`?"),
        ([copy("headline"), copy("b", "{{ headline.tex }}")], "Did you mean `text`?"),
        ([copy("headline", n=2), copy("b", over="hedline")], "Did you mean `headline`?"),
        ([("a", "generate_cpy", {})], "Did you mean `generate_copy`?"),
        ([copy("a", provider="openia")], "Did you mean `openai`?"),
        ([("a", "call", {"function": len, "arguments": {"obj": "x"}})], "Write lambda obj: len(obj)."),
        ([copy("a", promt="x")], "Did you mean `prompt`?"),
        ([copy("a", n=2), copy("b", "{{ a.text }}")], 'Use over="a"'),
        ([copy("a"), copy("b", "{{ brief.title }}")], 'inputs=["brief"]'),
    ],
)
def test_says_what_to_do(nodes, words):
    """The hint names what was probably meant, or what to write."""
    assert words in only(document(*nodes)).hint


@pytest.mark.parametrize(
    ("prompt", "columns", "hint"),
    [
        ("{{ product name }}", ["product name"], 'Did you mean `{{ row["product name"] }}`?'),
        ("{{ product nam|upper }}", ["product name"], 'Did you mean `{{ row["product name"] }}`?'),
        ("{% if 1st price %}x{% endif %}", ["1st price"], 'Did you mean `{{ row["1st price"] }}`?'),
        ("{{ product name }}", ["product_name"], "Did you mean `{{ product_name }}`?"),
        ("{{ product-name }}", ["product-name"], 'Did you mean `{{ row["product-name"] }}`?'),
        ("{{ product-name }}", ["product", "product-name"], 'Did you mean `{{ row["product-name"] }}`?'),
        ("{{ product.name }}", ["product.name"], 'Did you mean `{{ row["product.name"] }}`?'),
        ("{{ product name }}", None, 'A column of this name is read as `{{ row["product name"] }}`.'),
        (
            "{{ price + }}",
            ["price"],
            "Write Jinja: `{{ product }}`, `{{ headline.text }}`, `{% if ... %}...{% endif %}`.",
        ),
    ],
)
def test_suggests_how_jinja_reads_a_column_of_any_name(prompt, columns, hint):
    """A name with blanks, dashes or dots is answered with the way in which Jinja reads it."""
    assert find_problems(document(copy("a", prompt)), columns=columns)[0].hint == hint


def test_suggests_the_closest_column():
    """A misspelt column is told with the closest one."""
    found = only(document(copy("a", "{{ prodct }}")), columns=["product", "tone"])
    assert (found.code, found.hint) == ("workflow/missing-column", "Did you mean `product`?")


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ a }}",
        "{{ a[0].text }}",
        "{% for x in a %}{{ x.text }}{% endfor %}",
        "{{ a|length }}",
        "{{ a|map(attribute='text')|join }}",
    ],
)
def test_a_list_may_be_read_as_a_list(prompt):
    """A whole list can be printed, indexed, looped over and filtered."""
    assert codes(document(copy("a", n=2), copy("b", prompt))) == []


def test_checks_fields_of_loop_variables():
    """A misspelt field is found inside a loop too."""
    assert codes(document(copy("a", n=2), copy("b", "{% for x in a %}{{ x.txt }}{% endfor %}"))) == ["unknown-field"]


def test_inside_over_a_list_is_an_item():
    """A node over a list, or over one that is, reads single items."""
    nodes = (copy("a", n=2), copy("b", "{{ a.text }}", over="a"), copy("c", "{{ a.text }} {{ b.text }}", over="b"))
    assert codes(document(*nodes)) == []
    assert codes(document(*nodes, copy("d", "{{ b.text }}"))) == ["list-as-item"]


def test_anything_may_come_from_a_function():
    """Nothing is known of what a function returns, so any field of it passes; a node over it sees an item."""
    called = ("f", "call", {"function": "package.module:name"})
    assert codes(document(called, copy("a", "{{ f.x.y }} {{ f[0].z }}"), copy("b", "{{ f.x }}", over="f"))) == []


def test_review_of_several_gives_a_list():
    """A review that picks several gives a list, which others may run over."""
    nodes = (copy("a", n=3), ("r", "review", {"of": "a", "choose": 2}))
    assert codes(document(*nodes, copy("b", "{{ r.a.text }}"))) == ["list-as-item"]
    plan = validate(document(*nodes, copy("b", "{{ r.a.text }}", over="r")))
    assert plan.nodes["b"].axes == ("$rows", "r")
    assert plan.nodes["r"].expands


def test_review_cannot_pick_more_than_there_is():
    """Choosing more than a node makes is a bad parameter."""
    assert codes(document(copy("a", n=2), ("r", "review", {"of": "a", "choose": 3}))) == ["bad-parameter"]


def test_review_fields():
    """A review's output has what it carries, each with its own fields, and how it was decided."""
    right = "{{ pick.choice }} {{ pick.comment }} {{ pick.headline.text }} {{ pick.poster.width }}"
    assert codes(document(*SUMMER[:3], copy("a", right))) == []
    assert codes(document(*SUMMER[:3], copy("a", "{{ pick.poster.text }}"))) == ["unknown-field"]
    assert codes(document(*SUMMER[:3], copy("a", "{{ pick.postr.text }}"))) == ["unknown-field"]
    assert (
        only(document(*SUMMER[:3], copy("a", "{{ pick.text }}"))).hint
        == "Write `pick.headline.text`: `headline` has it."
    )
    two = ("pick", "review", {"of": "poster", "choose": 2})
    problem = only(document(*SUMMER[:2], two, copy("a", "{{ pick[1].image }}")))
    assert problem.message == "`pick[1]` (review) has no field `image`"
    assert problem.hint == "Write `pick[1].poster.image`: `poster` has it."


def test_branches_never_run_together():
    """A step cannot read one of the branch not taken; after the conditional it can."""
    edges = [("way", "a", "then"), ("way", "b", "otherwise")]
    assert codes(document(WAYS, copy("a"), copy("b", "{{ a.text }}"), edges=edges)) == ["not-upstream"]
    assert codes(document(WAYS, copy("a"), copy("b"), copy("c", "{{ a.text }} {{ b.text }}"), edges=edges)) == []


def test_a_node_in_both_branches_never_runs():
    """A node that both branches claim is unreachable."""
    edges = [("way", "a", "then"), ("way", "a", "otherwise")]
    assert codes(document(WAYS, copy("a"), edges=edges)) == ["unreachable"]


@pytest.mark.parametrize("when", ["calm", "{{ x }} and {{ y }}", ""])
def test_a_condition_is_one_expression(when):
    """Text around an expression would make a condition that is never false."""
    way = ("way", "conditional", {"when": when})
    assert codes(document(way, copy("a"), edges=[("way", "a", "then")])) == ["bad-parameter"]


def test_branches_must_lead_somewhere():
    """A conditional without a step in it, and a parallel without branches, are told."""
    assert codes(document(WAYS)) == ["bad-branch"]
    assert set(codes(document(("p", "parallel", {"branches": []})))) == {"bad-branch", "bad-parameter"}


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (lambda text: text, {"text": "{{ a }}"}, []),
        (lambda text, n=1: text, {"text": 1}, []),
        (lambda **rest: 1, {"anything": 1}, []),
        (lambda text: text, {}, ["bad-parameter"]),
        (lambda text: text, {"text": 1, "txt": 1}, ["bad-parameter"]),
        (lambda text, /: text, {"text": 1}, ["bad-parameter"]),
        (generate, {"text": 1}, ["bad-parameter"]),
        (max, {}, []),
        (3, {}, ["bad-parameter"]),
        ("nonsense", {}, ["bad-parameter"]),
    ],
)
def test_functions_fit_their_arguments(function, arguments, expected):
    """A function that cannot be called as written, or is a generator, is told before anything runs."""
    assert codes(document(("f", "call", {"function": function, "arguments": arguments}))) == expected


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (("f", "call", {"function": max, "arguments": {"default": object()}}), "`default` cannot be stored"),
        (("k", "attach", {"assets": {"title": b"x"}}), "`title` cannot be stored"),
        (("w", "conditional", {"when": object()}), "`when` cannot be stored"),
        (("c", "generate_copy", {"prompt": "x", "seed": np.int64(3)}), "`seed` cannot be stored"),
        (("c", "generate_copy", {"prompt": object()}), "`prompt` is <object"),
    ],
)
def test_what_cannot_be_stored_is_told_once(node, told):
    """A value that is no JSON is a problem of its parameter, unless the type refuses it already."""
    found = [problem for problem in find_problems(document(node)) if problem.code == "workflow/bad-parameter"]
    assert len(found) == 1
    assert found[0].message.startswith(told)


def test_what_call_takes_itself_is_told():
    """A function's parameter of such a name cannot be passed on."""
    (found,) = find_problems(document(("f", "call", {"function": lambda timeout: 1, "timeout": 5})))
    assert "call() takes `timeout` itself" in found.hint


def test_async_functions():
    """An async function passes; an async generator does not."""

    async def answer(text):
        return text

    async def answers(text):
        yield text

    assert codes(document(("f", "call", {"function": answer, "arguments": {"text": 1}}))) == []
    assert codes(document(("f", "call", {"function": answers, "arguments": {"text": 1}}))) == ["bad-parameter"]


def test_jinja_only_where_it_is_rendered():
    """Braces in a parameter that is not rendered would stay as they are, so they are told."""
    assert codes(document(copy("a", model="{{ model }}"))) == ["bad-parameter"]


def test_a_start_must_lead_everywhere():
    """A document with a start node tells the nodes that no way leads to."""
    nodes = [{"id": id, "type": "generate_copy", "config": {"prompt": "x"}} for id in "abc"]
    edges = [{"source": "go", "target": "a"}, {"source": "a", "target": "b"}]
    written = {"nodes": [{"id": "go", "type": "start"}, *nodes], "edges": edges}
    assert only(parse_document(written)).node == "c"


def test_inputs_may_be_declared():
    """Declared inputs must be given, undeclared names must be columns, and a declared one may have fields."""
    declared = document(copy("a", "{{ brief.title }}"), inputs=("brief",))
    assert codes(declared) == []
    assert codes(declared, columns=["brief"]) == []
    assert codes(declared, defined=["brief"]) == []
    assert codes(declared, columns=["title"]) == ["missing-column"]
    assert codes(document(copy("a", "{{ tone }}"), inputs=("tones",))) == ["missing-column"]


def test_optional_names():
    """Jinja that copes without a name does not need it."""
    assert codes(document(copy("a", "{{ note|default('') }}{% if x is defined %}x{% endif %}")), columns=["b"]) == []


def test_over_in_a_circle():
    """Nodes that run over each other are a cycle."""
    assert "cycle" in codes(document(copy("a", n=2, over="b"), copy("b", n=2, over="a")))
    assert "cycle" in codes(document(copy("a", n=2, over="a")))
    assert "cycle" in codes(document(("r", "review", {"of": "r"})))
    assert "cycle" in codes(document(copy("a", "{{ a.text }}")))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["{{ a.text }}", "a", "{{", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
config = st.dictionaries(
    st.sampled_from(
        ["prompt", "n", "over", "of", "choose", "when", "branches", "function", "arguments", "assets", "retry", "x"]
    ),
    anything,
    max_size=5,
)
node = st.builds(
    lambda id, type, config: Node(id=id, type=type, config=config),
    st.sampled_from(["a", "b", "c"]) | st.text(max_size=3),
    st.sampled_from(["generate_copy", "review", "conditional", "parallel", "call", "attach"]) | st.text(max_size=3),
    config,
)
ends = st.sampled_from(["a", "b", "c", "d"])
edge = st.builds(lambda s, t, b: Edge(source=s, target=t, branch=b), ends, ends, st.sampled_from([None, "then", "x"]))


documents = st.builds(
    lambda nodes, edges: Document(name="w", nodes=tuple(nodes), edges=tuple(edges)),
    st.lists(node, max_size=5),
    st.lists(edge, max_size=5),
)


@given(documents)
def test_never_breaks(document):
    """Whatever a document holds, validation gives a plan or problems, the same ones each time."""
    found = find_problems(document)
    assert find_problems(document) == found
    if not found:
        assert set(validate(document).nodes) == {node.id for node in document.nodes}


def test_lists_the_columns_in_their_order():
    """A name that is like no column is told with all of them, as the frame has them."""
    columns = ["tone", "product", "audience", "price"]
    assert only(document(copy("a", "{{ xyzzy }}")), columns=columns).hint == (
        "Use one of the inputs: `tone`, `product`, `audience`, `price`."
    )


def bare():
    return 1


@pytest.mark.parametrize(
    ("nodes", "inputs", "columns", "hint"),
    [
        ([("a", "call", {"function": bare, "arguments": {"x": 1}})], None, None, "Leave it out."),
        (
            [("a", "attach", {"assets": {}}), copy("b", "{{ a.text }}")],
            None,
            None,
            "It has none: read another step.",
        ),
        ([copy("a", "{{ x }}")], ("x",), (), "Give it as a column or by keyword; nothing is given."),
    ],
)
def test_an_empty_list_of_names_is_said_in_words(nodes, inputs, columns, hint):
    """Where there is no name to choose from, the hint says what to do in place of naming none."""
    wrong = replace(document(*nodes), inputs=inputs)
    assert hint in [problem.hint for problem in find_problems(wrong, columns=columns)]


def test_tells_causes_and_not_what_follows_from_them():
    """What a review carries is not judged while it is of nothing known, nor what leads to a node of an unknown type."""
    lost = document(copy("a"), ("pick", "review", {"of": "b"}), copy("c", "{{ pick.a.text }}"))
    assert only(lost).code == "workflow/unknown-reference"
    by_hand = Document(
        name="w", nodes=(*document(copy("a")).nodes, Node(id="b", type="nope", config={"prompt": "{{ a.text }}"})),
        starts=("a",),
    )  # fmt: skip
    assert only(by_hand).code == "workflow/unknown-type"


def test_words_say_what_to_do_about_ids_and_verbs():
    """An id that results use is to be another name, and a workflow without nodes may have lost what a verb returned."""
    for id in ("choice", "status", "items"):
        (problem,) = find_problems(document((id, "generate_copy", {"prompt": "x"})))
        assert f"`my_{id}`" in problem.hint
    (empty,) = find_problems(document())
    assert "flow = flow.generate_copy" in empty.hint
