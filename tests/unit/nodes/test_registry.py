"""The registry of node types, their configs, and the small node types' work."""

import re
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from offering import told_where_offered
from repository import DOCS
from xtyl_engine.errors import PermanentError, ValueNotPlain
from xtyl_engine.nodes import registry
from xtyl_engine.nodes.base import NodeConfig, NodeType, Usage
from xtyl_engine.nodes.conditional import holds
from xtyl_engine.nodes.generate_image import read_size
from xtyl_engine.nodes.prompt import variant
from xtyl_engine.nodes.registry import UnknownNodeType, configure, main_value, node_type, node_types, type_facts
from xtyl_engine.providers import base as providers_base
from xtyl_nb.testing import make_context, run_node


@pytest.fixture
def context(tmp_path):
    return lambda item="0": make_context(tmp_path, item=item)


def test_every_built_in_type_is_there():
    """Each built-in name gives a NodeType of that name whose rendered fields are parameters of its config."""
    for name in registry.BUILTIN:
        kind = node_types()[name]
        assert kind.name == name
        assert isinstance(kind, NodeType)
        assert set(kind.rendered) <= set(kind.config.model_fields)


def test_an_unknown_type_gets_its_closest_name():
    """A misspelt type is refused with the name that was probably meant."""
    with pytest.raises(UnknownNodeType, match="Did you mean 'generate_copy'"):
        node_type("generate_cpy")


def test_other_packages_offer_types(tmp_path):
    """A type from an entry point is found; one that does not load is left out of the list and named on request."""
    code = """
import json
from xtyl_engine.nodes.registry import UnknownNodeType, node_type, node_types
try:
    node_type("broken")
except UnknownNodeType as error:
    print(json.dumps([node_type("conditional_too").name, list(node_types()), str(error)]))
"""
    offered = {"conditional_too": "xtyl_engine.nodes.conditional:NODE_TYPE", "broken": "no_such_module:NODE_TYPE"}
    name, names, error = told_where_offered(tmp_path, registry.GROUP, offered, code)
    assert name == "conditional"
    assert set(names) == {*node_types(), "conditional_too"}
    assert "no_such_module" in error


SEASON = """
from xtyl_engine.nodes.base import Done, NodeConfig, NodeType

class Season(NodeConfig):
    month: int

def run(config, context):
    return Done(output={}, branch="winter" if config.month in (12, 1, 2) else "summer")

NODE_TYPE = NodeType(
    name="season", config=Season, run=run, branches=lambda config: ("winter", "summer"), exclusive_branches=True
)
"""


def test_types_of_other_packages_open_branches(tmp_path):
    """A step of such a type takes its branches as functions; a later step follows the branching step and their ends."""
    (tmp_path / "season.py").write_text(SEASON)
    code = """
import json
from xtyl_nb import Workflow
flow = Workflow("w").node(
    "season", "when", month=3,
    summer=lambda flow: flow.attach("sun", title="hot"),
    winter=lambda flow: flow.attach("snow", title="cold"),
)
document = flow.attach("kit", title="{{ label }}").validate()._document
print(json.dumps([[edge.source, edge.target, edge.branch] for edge in document.edges]))
"""
    edges = told_where_offered(tmp_path, registry.GROUP, {"season": "season:NODE_TYPE"}, code)
    assert sorted(edges, key=str) == [
        ["snow", "kit", None],
        ["sun", "kit", None],
        ["when", "kit", None],
        ["when", "snow", "winter"],
        ["when", "sun", "summer"],
    ]


def test_a_type_needs_no_more_than_its_name_config_and_work():
    """A node type of another package may give only its name, config and handler: all facts have defaults."""

    def work(config, context):
        raise NotImplementedError

    kind = NodeType(name="haiku", config=NodeConfig, run=work)
    assert (kind.rendered, kind.main, kind.fields({}), kind.branches({}), kind.asks_provider) == (
        (),
        None,
        None,
        (),
        False,
    )
    assert not any((kind.expands, kind.cached, kind.waits, kind.takes_function, kind.makes_images, kind.delivers))


def test_the_page_for_authors_names_every_fact():
    """docs/extending.md explains each field of NodeType in its table of facts."""
    page = (DOCS / "extending.md").read_text(encoding="utf-8")
    table = page.partition("| fact | says |")[2].partition("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(NodeType.__dataclass_fields__) - {"name", "config", "run"}


def test_a_type_may_be_written_with_the_names_of_an_earlier_release():
    """`templates` is `rendered`, as a keyword and to read, even in a copy; and `Usage` is found where it was."""
    make: Any = NodeType
    kind = make(name="haiku", config=NodeConfig, run=node_type("call").run, templates=("prompt",))
    assert kind.rendered == kind.templates == ("prompt",)
    assert replace(kind, rendered=()).templates == ()
    renamed: Any = replace
    assert renamed(kind, templates=("text",), bears=True).rendered == ("text",)
    assert renamed(kind, templates=("text",), bears=True).expands
    assert Usage is providers_base.Usage


def test_a_type_that_is_not_here_can_be_looked_at(context):
    """A run of a type that is not installed is drawn and read with every default; only its work is refused."""
    kind = type_facts("haiku")
    assert (kind.name, kind.waits, kind.card_height) == (
        "haiku",
        False,
        NodeType.__dataclass_fields__["card_height"].default,
    )
    assert main_value(kind, {"lines": 3, "text": "old pond"}) == "old pond"
    with pytest.raises(UnknownNodeType, match="no node type 'haiku'"):
        kind.run(NodeConfig(), context())
    assert type_facts("review") is node_type("review")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "generate_copy",
            {"prompt": "A {{ tone }} headline", "n": 3, "over": "x", "retry": {"attempts": 2}, "timeout": 5},
        ),
        ("generate_image", {"prompt": "{{ headline.text }}", "size": "{{ size }}"}),
        ("attach", {"assets": {"title": "{{ pick.text }}"}}),
        ("review", {"of": "poster", "choose": 2, "edit": True, "instructions": "Pick", "auto": "first"}),
        ("conditional", {"when": "{{ score > 3 }}"}),
        ("parallel", {"branches": ["a", "b"]}),
        ("call", {"function": "json:dumps", "arguments": {"obj": "{{ x }}"}}),
        ("call", {"function": {"digest": "0", "name": "f"}}),
        ("call", {"function": print}),
    ],
)
def test_configs_accept_unrendered_jinja(name, config):
    """A workflow's config with unrendered Jinja is valid."""
    assert node_type(name).config.model_validate(config)


@pytest.mark.parametrize(
    ("name", "config", "parameter"),
    [
        ("generate_copy", {"prompt": "  "}, "prompt"),
        ("generate_copy", {"prompt": None}, "prompt"),
        ("generate_copy", {"prompt": "x", "n": 0}, "n"),
        ("generate_copy", {"prompt": "x", "temprature": 1}, "temprature"),
        ("generate_copy", {"prompt": "x" * 1_100_000}, "prompt"),
        ("generate_image", {"prompt": "x", "size": "huge"}, "size"),
        ("generate_image", {"prompt": "x", "size": "50000x50000"}, "size"),
        ("attach", {"assets": {}}, "assets"),
        ("attach", {"assets": {"$artifact": "x"}}, "assets"),
        ("review", {"of": "x", "choose": 0}, "choose"),
        ("review", {"of": "x", "auto": "last"}, "auto"),
        ("conditional", {}, "when"),
        ("parallel", {"branches": []}, "branches"),
        ("parallel", {"branches": ["a", "a"]}, "branches"),
        ("call", {"function": 3}, "function"),
    ],
)
def test_configs_refuse_by_parameter(name, config, parameter):
    """A wrong parameter is named, both at build and for a job."""
    with pytest.raises(ValidationError) as caught:
        node_type(name).config.model_validate(config)
    assert {error["loc"][0] for error in caught.value.errors()} == {parameter}
    with pytest.raises(PermanentError, match=parameter):
        configure(node_type(name), config)


def test_copy_has_its_fields(context):
    """Text comes with provider, model, tokens and cost, and with usage for the record."""
    done: Any = run_node("generate_copy", context(), prompt="A playful headline for Aurora lamp")
    assert tuple(done.output) == node_type("generate_copy").fields({})
    assert (done.output["model"], done.output["cost"]) == ("offline/copy-1", 0.0)
    assert done.usage.tokens == done.output["tokens"] > 0


def test_items_differ_and_repeat(context):
    """The items of one row differ, and the same item of another run or row is the same."""
    texts = [
        run_node("generate_copy", context(f"0.{n}"), prompt="A headline for Aurora lamp").output["text"]
        for n in range(5)
    ]
    assert len(set(texts)) == 5
    assert run_node("generate_copy", context("7.3"), prompt="A headline for Aurora lamp").output["text"] == texts[3]
    assert [variant(item) for item in ("4", "4.2", "4.2.1", "4.1.2")] == [0, 2, 10_001, 5_002]


def test_a_prompt_may_be_any_value(context):
    """A prompt that is one expression may give a number, a list or another node's output."""
    for prompt in (3, ["Aurora lamp", "Tidal mug"], {"text": "Aurora lamp", "cost": 0}):
        assert run_node("generate_copy", context(), prompt=prompt).output["text"]


def test_an_image_is_an_artifact(context):
    """An image is stored, and its output has its path, size and provider."""
    here = context()
    output = run_node("generate_image", here, prompt="Poster for Aurora lamp", size="64x48").output
    assert tuple(output) == node_type("generate_image").fields({})
    assert (output["width"], output["height"], output["model"]) == (64, 48, "offline/poster-1")
    assert here.artifacts.artifact(output["image"]).open().size == (64, 48)


def test_sizes_are_read():
    """A size is width x height; anything else says what a size is."""
    assert read_size("1024X768") == (1024, 768)
    for text in ("1024", "0x5", "-1x5", "x", "1e3x10", "١x١", "999999x1"):
        with pytest.raises(ValueError, match=r"pixels"):
            read_size(text)


def test_attach_gathers(context):
    """Assets keep their names and order; one that cannot be stored is refused by its name."""
    here = context()
    image = run_node("generate_image", here, prompt="x", size="8x8").output["image"]
    row = {"image": image, "raw": b"\0"}
    assets = {"image": "{{ image }}", "title": "Hello", "raw": "{{ raw }}", "none": None}
    done = run_node("attach", here, row, assets=assets)
    assert list(done.output) == ["image", "title", "raw", "none"]
    assert done.output["image"] == image
    assert done.output["raw"]["media_type"] == "application/octet-stream"
    with pytest.raises(ValueNotPlain, match=r"odd"):
        run_node("attach", here, {"odd": {1, "x"}}, assets={"odd": "{{ odd }}"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1),
        (3, 1),
        ("yes", 1),
        ([0], 1),
        ("False", 0),
        (" no ", 0),
        ("0", 0),
        ("None", 0),
        (0, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_what_holds(context, value, expected):
    """Empty, zero, false and their written forms choose `otherwise`; everything else `then`."""
    assert holds(value) is bool(expected)
    done: Any = run_node("conditional", context(), when=value)
    assert done.branch == done.output["branch"] == ("then" if expected else "otherwise")
    assert done.branch in node_type("conditional").branches({})


def test_parallel_opens_its_branches(context):
    """A parallel node offers the branches it was given."""
    assert run_node("parallel", context(), branches=["a", "b"]).output == {"branches": ["a", "b"]}
    assert node_type("parallel").branches({"branches": ["a", "b"]}) == ("a", "b")


@pytest.mark.parametrize(
    ("name", "output", "main"),
    [
        ("generate_copy", {"text": "Hi", "provider": "offline"}, "Hi"),
        ("attach", {"image": {"$artifact": "0"}, "title": "Hi"}, "Hi"),
        ("attach", {"image": {"$artifact": "0"}, "count": 3}, {"$artifact": "0"}),
        ("call", {"value": [1]}, [1]),
        ("call", {"items": [1, {"text": "a", "n": 1}]}, [1, "a"]),
        ("review", {"choice": [0], "by": "me", "of": "poster", "poster": {"image": 1}, "headline": {"text": "a"}}, 1),
        ("review", {"choice": [0], "of": "p", "items": [{"p": {"image": 1}}, {"p": {"image": 2}}]}, [1, 2]),
    ],
)
def test_one_value_stands_for_an_output(name, output, main):
    """Each output has one main value, and a list of items the list of theirs."""
    assert main_value(node_type(name), output) == main
