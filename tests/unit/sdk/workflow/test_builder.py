"""The builder: every verb gives a new workflow; edges come from references, or else from the order of writing."""

from __future__ import annotations

import json
import subprocess
import sys
from fnmatch import fnmatch

import networkx
import numpy as np
import pandas as pd
import pytest

from xtyl_engine.errors import WorkflowError
from xtyl_engine.nodes.base import Retry
from xtyl_nb.workflow.builder import Workflow


def shout(text):
    return text.upper()


def generate(config, context):
    raise NotImplementedError


def base():
    return Workflow("w").generate_copy("a", prompt="A line", n=2)


def poem(flow):
    return flow.generate_copy("verse", prompt="A verse about {{ topic }}")


VERBS = {
    "generate_copy": lambda flow: flow.generate_copy("x", prompt="y"),
    "generate_image": lambda flow: flow.generate_image("x", prompt="y"),
    "attach": lambda flow: flow.attach("x", title="{{ a[0].text }}"),
    "review": lambda flow: flow.review("x", of="a"),
    "conditional": lambda flow: flow.conditional("x", when="{{ z }}", then=lambda w: w.generate_copy("y", prompt="z")),
    "parallel": lambda flow: flow.parallel("x", one=lambda w: w.generate_copy("y", prompt="z")),
    "node": lambda flow: flow.node("generate_copy", "x", prompt="y"),
    "call": lambda flow: flow.call("x", shout, text="{{ a[0].text }}"),
}


def edges(flow):
    return [(edge.source, edge.target, edge.branch) for edge in flow._document.edges]


def config(flow, id):
    return next(node.config for node in flow._document.nodes if node.id == id)


def summer():
    return (
        Workflow("summer-launch")
        .generate_copy("headline", prompt="A {{ tone }} headline for {{ product }}", n=3)
        .generate_image("poster", prompt="Poster for {{ product }}: {{ headline.text }}", over="headline")
        .review("pick", of="poster", choose=1)
        .attach("kit", title="{{ pick.headline.text }}", image="{{ pick.poster.image }}")
    )


@pytest.mark.parametrize("verb", VERBS)
def test_leaves_the_old_workflow_untouched(verb):
    """Each verb returns a new, valid workflow and leaves the old one as it was."""
    old = base()
    before = old._document.to_dict()
    new = VERBS[verb](old)
    assert old._document.to_dict() == before
    assert [node.id for node in new._document.nodes][:2] == ["a", "x"]
    assert new._document.nodes[1].type == ("generate_copy" if verb == "node" else verb)
    assert new.validate() is new


def test_is_frozen():
    """A workflow cannot be changed in place, in no part of it."""
    assert Workflow.__slots__
    for part in Workflow.__slots__:
        with pytest.raises(AttributeError):
            setattr(base(), part, None)


def test_writes_down_only_what_was_given():
    """Defaults are not written into the document."""
    assert config(summer(), "pick") == {"of": "poster"}
    flow = Workflow("w").generate_image("i", prompt="p", size="64x64", seed=0, cache=False, timeout=3, model="m")
    assert config(flow, "i") == {
        "prompt": "p", "size": "64x64", "seed": 0, "cache": False, "timeout": 3, "model": "m",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (5, {"attempts": 5}),
        ({"attempts": 2}, {"attempts": 2}),
        (Retry(base_seconds=2), {"base_seconds": 2}),
        (True, True),
    ],
)
def test_retry(retry, expected):
    """retry= takes a number of attempts, a dict, or a Retry."""
    assert config(Workflow("w").generate_copy("a", prompt="p", retry=retry), "a")["retry"] == expected


def test_a_step_of_any_type():
    """`node` writes the same as the type's own verb, and takes any parameters, even ones called `id` and `type`."""
    one = base().generate_image("x", prompt="p {{ a[0].text }}", size="64x64", over="a", retry=2, after=[])
    assert (
        base().node("generate_image", "x", prompt="p {{ a[0].text }}", size="64x64", over="a", retry=2, after=[]) == one
    )
    assert edges(base().node("haiku", "x", about="{{ topic }}")) == [("a", "x", None)]
    assert config(base().node("haiku", "x", type="old", id=3, about=None), "x") == {"type": "old", "id": 3}


def test_a_step_of_any_type_opens_branches():
    """`node` takes a type's branches as functions, and writes the same as the type's own verb, joins included."""
    for verb, given in (
        ("conditional", {"when": "{{ tone }}", "then": poem, "otherwise": lambda w: w.attach("y", title="none")}),
        ("conditional", {"when": "{{ tone }}", "then": poem, "over": "a"}),
        ("parallel", {"warm": poem, "cool": lambda w: w.attach("y", title="none")}),
    ):
        own, any_type = getattr(base(), verb)("x", **given), base().node(verb, "x", **given)
        assert any_type == own
        assert any_type.generate_copy("z", prompt="{{ a }}") == own.generate_copy("z", prompt="{{ a }}")
        assert any_type._document.to_dict() == own._document.to_dict()
    named = base().node("parallel", "x", branches=["warm"], warm=poem)
    assert named == base().parallel("x", warm=poem)
    assert named.validate() is named


@pytest.mark.parametrize("then", [lambda w: None, lambda w: Workflow("other").generate_copy("x", prompt="y")])
def test_a_branch_of_any_type_extends_what_it_is_given(then):
    """A function of a branch that returns anything but its workflow extended raises at once, as with the type's verb."""
    with pytest.raises((TypeError, ValueError), match="then="):
        base().node("conditional", "c", when="{{ x }}", then=then)


def test_a_function_that_is_no_branch_is_no_parameter():
    """Validation reports a function under a name that is neither a parameter nor a branch of the type."""
    flow = (
        base()
        .node("conditional", "c", when="{{ x }}", then=poem, els=poem)
        .node("generate_copy", "d", prompt="p", b=poem)
    )
    with pytest.raises(WorkflowError) as caught:
        flow.validate()
    told = [problem.message for problem in caught.value.problems if "no parameter" in problem.message]
    assert told == ["conditional has no parameter `els`", "generate_copy has no parameter `b`"]


def test_a_step_of_an_unknown_type():
    """Validation reports an unknown type, with the closest name and the way to install one of another package."""
    with pytest.raises(WorkflowError) as caught:
        base().node("generate_imag", "x", prompt="y").node("haiku", "z", about="ponds").validate()
    near, far = caught.value.problems
    assert (near.code, near.node) == ("workflow/unknown-type", "x")
    assert near.hint.startswith("Did you mean `generate_image`?")
    assert far.hint.startswith("Use one of `generate_copy`, ")
    assert far.hint.endswith(" For a type of another package, install that package here and on the workers.")


def test_references_make_edges():
    """A step that reads another depends on it, and on nothing else."""
    flow = summer()
    assert edges(flow) == []
    assert set(flow.graph().edges) == {("headline", "poster"), ("poster", "pick"), ("pick", "kit")}
    assert isinstance(flow.graph(), networkx.DiGraph)
    assert flow.order() == ["headline", "poster", "pick", "kit"]
    assert flow.levels() == {"headline": 0, "poster": 1, "pick": 2, "kit": 3}


def test_follows_the_step_before():
    """A step that reads no other follows the one written before it; after= adds edges, or makes a root."""
    flow = base().generate_copy("b", prompt="{{ tone }}")
    assert edges(flow) == [("a", "b", None)]
    assert edges(flow.generate_copy("c", prompt="{{ a }}", after=["b"])) == [("a", "b", None), ("b", "c", None)]
    assert edges(flow.generate_copy("c", prompt="x", after=[])) == [("a", "b", None)]


def test_conditional():
    """Every step in a branch belongs to it; the next one follows the conditional and the ends of its branches."""
    flow = (
        base()
        .conditional(
            "way",
            when="tone == 'calm'",
            then=lambda w: w.generate_copy("b", prompt="x").generate_copy("c", prompt="{{ b.text }}"),
            otherwise=lambda w: w.generate_copy("d", prompt="y"),
        )
        .generate_copy("e", prompt="z")
    )
    assert config(flow, "way") == {"when": "{{ tone == 'calm' }}"}
    assert edges(flow) == [
        ("a", "way", None), ("way", "b", "then"), ("way", "c", "then"), ("way", "d", "otherwise"),
        ("way", "e", None), ("c", "e", None), ("d", "e", None),
    ]  # fmt: skip
    flow.validate()


def test_nested_branches():
    """A step inside two branches belongs to both."""
    flow = Workflow("w").conditional(
        "out",
        when="x",
        then=lambda w: w.conditional("inner", when="y", then=lambda v: v.generate_copy("a", prompt="p")),
    )
    assert edges(flow) == [("out", "inner", "then"), ("out", "a", "then"), ("inner", "a", "then")]
    flow.validate()


def test_parallel():
    """Branches run side by side, and the next step starts after all their ends, even if it reads one of them."""
    flow = (
        base()
        .parallel(
            "looks",
            warm=lambda w: w.generate_copy("b", prompt="x").generate_copy("c", prompt="{{ b.text }}"),
            cool=lambda w: w.generate_copy("d", prompt="y").generate_copy("e", prompt="z", after=[]),
        )
        .attach("kit", title="{{ c.text }}")
    )
    assert config(flow, "looks") == {"branches": ["warm", "cool"]}
    assert [edge for edge in edges(flow) if edge[1] == "kit"] == [
        ("looks", "kit", None), ("c", "kit", None), ("d", "kit", None), ("e", "kit", None),
    ]  # fmt: skip
    assert ("looks", "e", "cool") in edges(flow)
    flow.validate()


@pytest.mark.parametrize(
    "then", [None, 3, lambda w: None, lambda w: Workflow("other").generate_copy("x", prompt="y"), lambda w: base()]
)
def test_a_branch_extends_what_it_is_given(then):
    """A branch that is no function, or returns anything but its workflow extended, raises at once."""
    with pytest.raises((TypeError, ValueError), match="then="):
        base().conditional("c", when="x", then=then)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Workflow(3),  # type: ignore[arg-type]
        lambda: Workflow("w", inputs="tone"),
        lambda: base().generate_copy(3, prompt="x"),
        lambda: base().generate_copy("b", prompt="x", after="a"),
        lambda: base().node(generate, "b"),
        lambda: base().node(generate, "b", then=poem),
    ],
)
def test_wrong_types_are_told_at_once(wrong):
    """Names that are not text, and text in place of a list of names, raise as they are written."""
    with pytest.raises(TypeError):
        wrong()


def test_all_else_waits_for_validate():
    """All other problems of a workflow are reported by validate, all at once."""
    flow = base().generate_copy("a", prompt="{{ 1 + }}", n=0).review("r", of="nothing")
    with pytest.raises(WorkflowError) as caught:
        flow.validate()
    found = [problem.code.removeprefix("workflow/") for problem in caught.value.problems]
    assert found == ["duplicate-id", "bad-parameter", "unknown-reference"]


def test_round_trip(tmp_path):
    """A document goes to JSON and back from a dict, text or a file, and builds on."""
    flow = summer().generate_copy("more", prompt="x")
    path = tmp_path / "flow.json"
    path.write_text(flow.to_json(), encoding="utf-8")
    for source in (json.loads(flow.to_json()), flow.to_json(), path, str(path)):
        again = Workflow.from_json(source)
        assert again._document == flow._document
        assert again.to_json() == flow.to_json()
    assert edges(again.generate_copy("next", prompt="x"))[-1] == ("more", "next", None)


def test_functions_by_name():
    """A function that can be imported is written by module and name."""
    flow = Workflow("w").call("f", fnmatch, name="{{ a }}", pat="*")
    assert json.loads(flow.to_json())["nodes"][0]["config"]["function"] == "fnmatch:fnmatch"
    Workflow.from_json(flow.to_json()).validate()


def test_not_portable():
    """Functions of this session, and values that are not JSON, are reported together."""
    flow = Workflow("w").call("f", lambda: 1).attach("k", thing=object(), title="x").attach("n", ok=1)
    with pytest.raises(WorkflowError) as caught:
        flow.to_json()
    assert [(problem.node, problem.code) for problem in caught.value.problems] == [
        ("f", "workflow/function-not-portable"), ("k", "workflow/value-not-portable"),
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["{", "[]", "/nowhere/at/all.json", "a\0b", 3, '{"version": 99}', '{"nodes": 1}'])
def test_no_document(source):
    """A text that is not a document is reported as such."""
    with pytest.raises(WorkflowError) as caught:
        Workflow.from_json(source)
    assert caught.value.problems[0].code == "workflow/document"


def test_scalars_of_numpy_and_pandas_are_numbers_and_texts():
    """Wherever they stand in a workflow's parameters they make the document that Python's own make."""

    def flow(whole, part, no, text, nothing):
        return (
            Workflow("numbers")
            .generate_copy("line", prompt=text, n=whole, seed=whole, temperature=part, cache=no, max_tokens=nothing)
            .generate_image("poster", prompt="x", seed=nothing, retry={"attempts": whole, "base_seconds": part})
            .call("sized", max, key=[whole, {"part": part}], default=(no, nothing))
            .node("attach", "kit", assets={"count": whole, "when": nothing})
            .validate()
        )

    own = flow(2, 0.1, False, "{{ product }}", None)
    for nothing in (pd.NA, pd.NaT, np.datetime64("NaT")):
        given = flow(np.int64(2), np.float32(0.1), np.bool_(False), np.str_("{{ product }}"), nothing)
        assert given.to_json() == own.to_json()
    when = Workflow("when").attach("kit", day=pd.Timestamp("2026-05-01")).validate().to_json()
    assert json.loads(when)["nodes"][0]["config"]["assets"] == {"day": "2026-05-01T00:00:00"}


def test_repr():
    """The repr is short and stable."""
    assert repr(summer()) == "Workflow('summer-launch', 4 nodes)"
    assert repr(base()) == "Workflow('w', 1 node)"
    assert summer()._repr_mimebundle_()["text/plain"] == repr(summer())


def test_imports_lightly():
    """Building needs none of the heavy libraries at import."""
    heavy = "jinja2 networkx pydantic pandas graphviz sqlalchemy celery IPython"
    code = f"import sys, xtyl_nb.workflow.builder; print([name for name in {heavy.split()!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
