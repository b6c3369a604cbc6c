"""The call node: a user's function, its return values, and its errors."""

import json
from hashlib import sha256

import pandas as pd
import pytest
from PIL import Image

from xtyl_engine.errors import ErrorClass, PartialFailureError, PermanentError, TransientError, ValueNotPlain
from xtyl_engine.nodes.registry import configure, node_type
from xtyl_engine.queries.result_cache import cache_key
from xtyl_engine.values.artifacts import Artifact
from xtyl_engine.values.error_text import describe_error
from xtyl_engine.workflow.plan import PlanNode, Reading
from xtyl_nb.testing import make_context


@pytest.fixture
def context(tmp_path):
    return make_context(tmp_path)


@pytest.fixture
def store(context):
    return context.artifacts


@pytest.fixture
def call(context):
    def run(function, **arguments):
        kind = node_type("call")
        return kind.run(configure(kind, {"function": function, "arguments": arguments}), context)

    return run


def test_a_value_is_one_value(call):
    """A dict, a number and nothing at all are the one value."""
    for value in ({"a": 1}, 3, None, "text"):
        done = call(lambda value=value: value)
        assert (done.output, done.items) == ({"value": value}, None)


def test_lists_and_tables_are_items(call):
    """A list, a tuple and a table become items."""
    frame = pd.DataFrame({"a": [1, 2]})
    assert call(lambda: [1, 2]).output == call(lambda: (1, 2)).output == {"items": [1, 2]}
    assert (call(list).items, call(list).output) == (0, {"items": []})
    assert call(lambda: frame).output == {"items": [{"a": 1}, {"a": 2}]}
    assert call(lambda: frame).items == 2


def test_arguments_arrive_as_keywords_and_files_open(call, store):
    """Arguments are keywords; a stored image opens, even inside a list, and an image made from it is stored again."""
    image = store.save_picture(Image.new("RGB", (4, 6)))

    def turned(image, more, label):
        assert isinstance(more[0]["image"], Artifact)
        assert label == "x"
        return image.open().rotate(90, expand=True)

    output = call(turned, image=image, more=[{"image": image}], label="x").output
    assert (output["value"]["width"], output["value"]["height"]) == (6, 4)


def test_async_functions_are_awaited(call):
    """An async function's result is its result."""

    async def later(x):
        return x + 1

    assert call(later, x=1).output == {"value": 2}


class Mute(Exception):
    def __str__(self):
        raise ValueError("no")


def recurse():
    return recurse()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("bad\ud800"), PermanentError),
        (Mute(), PermanentError),
        (SystemExit(3), PermanentError),
        (KeyboardInterrupt(), PermanentError),
        (MemoryError(), PermanentError),
        (ConnectionResetError("gone"), TransientError),
        (TimeoutError(), TransientError),
    ],
)
def test_what_a_function_raises_is_sorted(call, error, kind):
    """Connection and timeout errors may be cured by another try; all others are permanent."""

    def score():
        raise error

    with pytest.raises(kind) as caught:
        call(score)
    text = describe_error(caught.value)
    assert text.message.startswith(f"score() raised {describe_error(error).type}")
    assert "raise error" in text.traceback
    assert "xtyl_engine" not in text.traceback


def test_endless_recursion_fails_the_job_only(call):
    """A RecursionError is permanent, its traceback folded."""
    with pytest.raises(PermanentError, match="RecursionError"):
        call(recurse)


@pytest.mark.parametrize("error", [TransientError("later", retry_after=3), PartialFailureError("look at this")])
def test_a_function_may_say_what_its_failure_means(call, error):
    """The project's own error classes pass unchanged."""

    def score():
        raise error

    with pytest.raises(type(error)) as caught:
        call(score)
    assert caught.value is error
    assert caught.value.error_class in (ErrorClass.TRANSIENT, ErrorClass.PARTIAL)


def test_wrong_arguments_show_the_signature(call):
    """A function that does not take its arguments is told apart from one that raises TypeError itself."""

    def score(image, strict=False):
        return len(3)  # type: ignore[arg-type]

    with pytest.raises(PermanentError, match=r"does not take what it was given.*colour") as caught:
        call(score, colour=1)
    assert "score(image, strict=False)" in str(caught.value)
    with pytest.raises(PermanentError, match="raised TypeError"):
        call(score, image=1)


def test_a_result_that_cannot_be_stored_is_named(call):
    """A result of mixed sets or generators is refused with the function's name and the place."""

    def shades():
        return {"a": {1, "x"}}

    with pytest.raises(ValueNotPlain, match=r'the result of shades\(\)\["a"\]'):
        call(shades)


def key_of(**config):
    """The cache key of a call with this config."""
    kind = node_type("call")
    given = {"function": "json:dumps", "cache": True, **config}
    plan = make_plan_node(given)
    return cache_key(kind, plan, configure(kind, given), "0", "", {})


def make_plan_node(config):
    return PlanNode(id="step", type="call", config=config, axes=("$rows",), reads=Reading(), depth=0)


def test_nothing_to_depend_on_leaves_the_cache_key_alone():
    """Results that an earlier release cached are found: a key has no word of `depends` where it is empty."""
    facts = {"function": "json:dumps", "arguments": {}}
    before = sha256(json.dumps(["call", facts, 0], sort_keys=True).encode()).hexdigest()
    assert key_of() == key_of(depends=[]) == before


def test_versions_of_what_it_depends_on_are_in_the_cache_key(monkeypatch):
    """A new version ends the cache; one that the kernel has written down counts instead of the worker's."""
    first = key_of(depends=["pandas"])
    assert key_of(depends={"pandas": pd.__version__}) == first
    monkeypatch.setattr("xtyl_engine.functions.versions.version", lambda name: "99")
    assert key_of(depends=["pandas"]) not in (first, key_of())
    assert key_of(depends={"pandas": pd.__version__}) == first
