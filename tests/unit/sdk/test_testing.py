"""The tools for authors of node types and providers: each promise of `xtyl_nb.testing`, kept and broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from xtyl_engine.errors import PermanentError, TransientError, WorkflowError
from xtyl_engine.nodes import registry as node_registry
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType, Wait
from xtyl_engine.nodes.registry import UnknownNodeType
from xtyl_engine.providers import registry as provider_registry
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage
from xtyl_engine.providers.offline.provider import OfflineProvider
from xtyl_engine.providers.registry import UnknownProvider
from xtyl_nb.testing import FakeProvider, check_node_type, check_provider, make_context, run_node


class Shout(NodeConfig):
    text: str
    times: int = 1


def shout(config: Shout, context: Context) -> Done:
    return Done(output={"text": config.text.upper() * config.times})


SHOUT = NodeType(
    name="shout", config=Shout, run=shout, fields=lambda config: ("text",), main="text", rendered=("text",)
)


class Loose(Shout):
    model_config = ConfigDict(extra="allow")


class After(Shout):
    after: str = ""


class Late(Shout):
    timeout: str = ""  # type: ignore[assignment]


class Counted(Shout):
    n: str = ""


class Named(OfflineProvider):
    """The offline provider under a name of its own."""

    name = "named"


def offers(output: Any) -> Callable[[Any, Context], Any]:
    return lambda config, context: output


def test_a_job_is_done_as_a_worker_does_it(tmp_path: Path) -> None:
    """The config is rendered with the row and the upstream outputs, and the handler's result comes back."""
    context = make_context(tmp_path, upstream={"line": {"text": "hello"}})
    done = run_node(SHOUT, context, {"mark": "!"}, text="{{ line.text }}{{ mark }}", times=2)
    assert done == Done(output={"text": "HELLO!HELLO!"})


def test_a_context_says_where_the_job_stands(tmp_path: Path) -> None:
    """Item, place in the list, attempt and key are those of such a job, and the files are in the folder."""
    context = make_context(tmp_path, item="3.2", attempt=4, is_cancelled=True)
    assert (context.item, context.place, context.attempt, context.cancelled()) == ("3.2", 2, 4, True)
    assert (make_context(tmp_path).place, make_context(tmp_path).cancelled()) == (0, False)
    assert make_context(tmp_path, item="3.1").key != context.key
    assert context.artifacts.save(b"x", "text/plain")["size"] == len([*tmp_path.rglob("*.txt")])


def test_what_validate_refuses_is_refused(tmp_path: Path) -> None:
    """A wrong parameter is reported as for a workflow; a wrong value of the row, as for a job."""
    context = make_context(tmp_path)
    with pytest.raises(WorkflowError, match="shout has no parameter `tmes`"):
        run_node(SHOUT, context, text="a", tmes=2)
    with pytest.raises(WorkflowError, match="is not rendered"):
        run_node(SHOUT, context, text="a", times="{{ n }}")
    with pytest.raises(PermanentError, match="text"):
        run_node(SHOUT, context, {"line": 3}, text="{{ line }}")
    with pytest.raises(UnknownNodeType, match="Did you mean 'generate_copy'"):
        run_node("generate_coppy", context, prompt="x")


@pytest.mark.parametrize(
    ("output", "facts", "told"),
    [
        ({"text": "x"}, {}, "it is a dict"),
        (Wait(output={}), {}, "say waits=True"),
        (Done(output={"txt": "x"}), {}, r"its fields are \['txt'\]: the node type says \['text'\]"),
        (Done(output={"text": [1]}, items=1), {}, "say expands=True"),
        (Done(output={"items": [1]}, items=2), {"expands": True}, "2 items"),
        (Done(output={"text": "x"}, branch="b"), {"branches": lambda config: ("a",)}, "takes the branch 'b'"),
    ],
)
def test_a_result_that_is_not_what_its_type_says_is_told(
    tmp_path: Path, output: Any, facts: dict[str, Any], told: str
) -> None:
    """If a run would hang or a reader miss a field, the test fails with a remedy."""
    with pytest.raises(AssertionError, match=told):
        run_node(replace(SHOUT, run=offers(output), **facts), make_context(tmp_path), text="x")


def test_results_as_their_types_say_pass(tmp_path: Path) -> None:
    """Items, branches, and a review that waits for a person."""
    context = make_context(tmp_path, upstream={"line": [{"text": "a"}, {"text": "b"}]})
    assert isinstance(run_node("review", context, of="line"), Wait)
    items = Done(output={"items": [1, 2]}, items=2)
    assert run_node(replace(SHOUT, run=offers(items), expands=True), context, text="x") is items
    assert run_node("conditional", context, when="{{ line }}").branch == "then"  # type: ignore[union-attr]
    called = run_node("call", context, function=dict, arguments={"lines": "{{ line | length }}"})
    assert called.output == {"value": {"lines": 2}}


@pytest.mark.parametrize("name", node_registry.BUILTIN)
def test_the_built_in_types_keep_to_it(name: str) -> None:
    """The rules for every node type hold for the built-in ones."""
    check_node_type(name)


def no_fields(config: Mapping[str, Any]) -> tuple[str, ...]:
    return (config["x"],)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"name": "shout it"}, "its name is 'shout it'"),
        ({"config": Loose}, "takes any parameter"),
        ({"config": After}, "parameter `after`"),
        ({"config": Late}, "parameter timeout takes other values"),
        ({"config": Counted}, "parameter `n` is no int"),
        ({"rendered": ("txt",)}, "`rendered` names txt"),
        ({"expressions": ("times",)}, "`expressions` names times"),
        ({"waits": True}, "ask for a parameter choose"),
        ({"takes_function": True}, "ask for a parameter function"),
        ({"main": "txt"}, "`main` is txt"),
        ({"run": lambda config: None}, "cannot be called as run"),
        ({"fields": no_fields}, "raises KeyError"),
        ({"branches": no_fields}, "raises KeyError"),
    ],
)
def test_a_type_that_breaks_a_rule_is_told(facts: dict[str, Any], told: str) -> None:
    """Each rule that a node type can break is reported by itself and with a remedy."""
    check_node_type(SHOUT)
    with pytest.raises(AssertionError, match=told):
        check_node_type(replace(SHOUT, **facts))


def test_all_that_is_wrong_is_told_at_once() -> None:
    """There is one line for each fault; a type that no package offers is named."""
    with pytest.raises(AssertionError) as caught:
        check_node_type(replace(SHOUT, rendered=("a", "b"), main="c"))
    assert str(caught.value).count("\n- ") == 3
    with pytest.raises(UnknownNodeType, match="there is no node type 'shout'"):
        check_node_type("shout")


def test_a_fake_answers_in_turn_and_keeps_what_it_was_asked(tmp_path: Path) -> None:
    """Texts and errors come in their order, the last one repeated; the requests are those of the step."""
    fake = FakeProvider(TransientError("busy"), "First.", "Last.")
    context = make_context(tmp_path, provider=fake)
    with pytest.raises(TransientError, match="busy"):
        run_node("generate_copy", context, prompt="x")
    texts = [run_node("generate_copy", context, prompt="A line", model="m").output["text"] for _ in range(3)]
    assert texts == ["First.", "Last.", "Last."]
    assert [request.prompt for request in fake.requests] == ["x", "A line", "A line", "A line"]
    assert fake.requests[-1].key == context.key


def test_a_fake_without_answers_makes_things_up(tmp_path: Path) -> None:
    """It writes and draws as the offline provider does, under its own name; a text does not answer a request for an image."""
    fake = FakeProvider()
    context = make_context(tmp_path, provider=fake)
    assert run_node("generate_image", context, prompt="x", size="32x16").output["width"] == 32
    assert run_node("generate_copy", context, prompt="x").output["provider"] == "fake"
    with pytest.raises(AssertionError, match="asked for bytes"):
        FakeProvider("a text").draw(ImageRequest(prompt="x"))


@pytest.mark.parametrize("make", [OfflineProvider, Named, lambda environment: FakeProvider()])
def test_a_provider_that_answers_passes(make: Any) -> None:
    """A provider given by its factory passes under any name."""
    check_provider(make, {})


def test_a_provider_is_checked_by_its_name() -> None:
    """An offered one is made with the environment; one that is not offered is an error."""
    check_provider("offline")
    with pytest.raises(UnknownProvider, match="Did you mean 'offline'"):
        check_provider("ofline")


USAGE = Usage(provider="named", model="m")


@pytest.mark.parametrize(
    ("verb", "answer", "told"),
    [
        ("write", "text", "write\\(\\) gives a str: return TextResult"),
        ("write", TextResult(text=" ", usage=USAGE), "empty text"),
        ("write", TextResult(text="x", usage=replace(USAGE, provider="other")), "'other' answered"),
        ("write", TextResult(text="x", usage=replace(USAGE, model="")), "by ''"),
        ("write", TextResult(text="x", usage=replace(USAGE, cost=-1.0)), "-1.0 dollars"),
        ("draw", ImageResult(data=b"GIF89a", usage=USAGE), "draw\\(\\) gives no image"),
        ("draw", KeyError("data"), "raises KeyError\\('data'\\): raise TransientError or PermanentError"),
    ],
)
def test_an_answer_that_breaks_a_rule_is_told(
    verb: str, answer: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule for answers is reported by itself and with a remedy."""

    class Odd(Named):
        pass

    def give(self: Odd, request: TextRequest | ImageRequest) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    setattr(Odd, verb, give)
    with pytest.raises(AssertionError, match=told):
        check_provider(Odd, {})


def test_a_provider_may_do_one_thing_only() -> None:
    """A provider that draws nothing refuses for good, and the check is told so."""

    class Writer(Named):
        def draw(self, request: ImageRequest) -> ImageResult:
            raise PermanentError("no images here")

    check_provider(Writer, {}, draws=False)
    with pytest.raises(PermanentError, match="no images here"):
        check_provider(Writer, {})
    with pytest.raises(AssertionError, match="draw\\(\\) gives an answer"):
        check_provider(Named, {}, draws=False)
    with pytest.raises(AssertionError, match="raises TransientError: raise PermanentError"):
        check_provider(lambda environment: FakeProvider(TransientError("busy")), {}, writes=False, draws=False)


def test_a_provider_offered_under_another_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate and a retry are counted by its own name, so it must be the name that steps use."""
    monkeypatch.setitem(provider_registry.BUILTIN, "other", "offline.provider:OfflineProvider")
    provider_registry._offered.cache_clear()
    try:
        with pytest.raises(AssertionError, match="its name is 'offline'"):
            check_provider("other")
    finally:
        provider_registry._offered.cache_clear()
        provider_registry._factory.cache_clear()


def test_only_tests_load_it() -> None:
    """`import xtyl_nb` does not load it."""
    code = "import sys, xtyl_nb; print('xtyl_nb.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
