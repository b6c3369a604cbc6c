"""A function is loaded as it was packed, or by the name under which it can be imported."""

import linecache
import sys
import traceback
from types import ModuleType

import pytest

import xtyl_nb
from cells import KEY, SCORE, in_notebook
from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions import references
from xtyl_engine.functions.loading import load_reference, unpack
from xtyl_engine.functions.packing import pack


def test_a_notebook_function_comes_back_with_its_helpers():
    """A packed function runs after unpacking, with the helper it calls."""
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    assert packed.name == "score"
    assert unpack(packed, key=KEY, execution_id="e1")(3) == 2.0


def test_a_traceback_quotes_the_cell():
    """Where the file does not exist, a traceback still shows the function's line."""
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    linecache.cache.pop("/tmp/ipykernel_1/123.py")
    with pytest.raises(ZeroDivisionError) as caught:
        unpack(packed, key=KEY, execution_id="e1")(1)
    assert "return helper(x) / (x - 1)" in "".join(traceback.format_exception(caught.value))


def test_another_python_is_rejected_before_loading(monkeypatch):
    """A function of another Python version is refused, and both versions are named."""
    monkeypatch.setattr("xtyl_engine.functions.packing.PYTHON", "3.10")
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    monkeypatch.undo()
    with pytest.raises(FunctionRejected, match=r"packed by Python 3\.10, and this worker runs 3\."):
        unpack(packed, key=KEY, execution_id="e1")


@pytest.fixture
def module(monkeypatch):
    """Makes a module that can be imported as long as it is there, its classes by reference."""

    def make(name, **content):
        made = ModuleType(name)
        made.__file__ = f"/lib/site-packages/{name}.py"
        vars(made).update(content)
        for each in content.values():
            each.__module__ = name
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


def test_a_function_finds_what_has_moved(module, monkeypatch):
    """A class and a module that it names are found where they are now; nothing of their old places is needed."""
    made = module("old_place", Made=type("Made", (), {}))
    function = in_notebook("def score(x):\n    return [Made.__name__, place.Made.__name__, x]\n", "score")
    function.__globals__.update(Made=made.Made, place=made)
    packed = pack(function, key=KEY, execution_id="e1")
    module("new_place", Made=made.Made)
    monkeypatch.delitem(sys.modules, "old_place")
    with pytest.raises(FunctionRejected, match="No module named 'old_place'"):
        unpack(packed, key=KEY, execution_id="e1")
    monkeypatch.setitem(references.MOVED, "old_place", "new_place")
    assert unpack(packed, key=KEY, execution_id="e1")(1) == ["Made", "Made", 1]


def test_a_module_that_is_only_mentioned_may_be_gone(module, monkeypatch):
    """cloudpickle takes a module of ours along when a method has its name; the function runs without it."""
    module("xtyl_nb.mentioned")
    function = in_notebook("def score(x):\n    return x.mentioned() if x else xt.__name__\n", "score")
    function.__globals__["xt"] = xtyl_nb
    packed = pack(function, key=KEY, execution_id="e1")
    assert b"xtyl_nb.mentioned" in packed.blob
    monkeypatch.delitem(sys.modules, "xtyl_nb.mentioned")
    assert unpack(packed, key=KEY, execution_id="e1")(None) == "xtyl_nb"


@pytest.mark.parametrize("text", ["no_such_module:f", "json:nothing", "json", ":", "json:__name__", "..x:y"])
def test_a_reference_to_nothing_is_rejected(text):
    """A reference that names no function is refused with the reference in the message."""
    with pytest.raises(FunctionRejected, match=r"module:name|not a function"):
        load_reference(text)
