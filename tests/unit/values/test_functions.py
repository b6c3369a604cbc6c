"""Functions travel signed and pinned, or are refused before anything of them is loaded."""

import json.decoder
import linecache
import multiprocessing
import os
import stat
import sys
import threading
import traceback
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import cloudpickle
import pytest

import xtyl_nb
from xtyl_engine.errors import FunctionRejected, LimitExceeded
from xtyl_engine.values import functions
from xtyl_engine.values.functions import load_key, load_reference, pack, reference, unpack

KEY = bytes(range(32))


def in_notebook(source, name, filename="/tmp/ipykernel_1/123.py"):
    """A function as a notebook's cell defines it: in `__main__`, its source known to linecache alone."""
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    namespace = {"__name__": "__main__"}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


SCORE = "\ndef helper(x):\n    return x + 1\n\ndef score(x):\n    return helper(x) / (x - 1)\n"


def test_a_notebook_function_comes_back_with_its_helpers():
    """A packed function runs after unpacking, with the helper it calls."""
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    assert packed.name == "score"
    assert unpack(packed, key=KEY, execution_id="e1")(3) == 2.0


def test_equal_source_gives_equal_digests():
    """Defining the same cell again keeps the digest; changing a helper changes it."""
    first, again, other = (
        pack(in_notebook(source, "score"), key=KEY, execution_id="e1").digest
        for source in (SCORE, SCORE, SCORE.replace("+ 1", "+ 2"))
    )
    assert first == again != other


def test_where_modules_lie_is_looked_up_once():
    """A workflow may hold a thousand functions, and a kernel thousands of modules: the second function costs no path."""
    pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    before = functions._lies_in.cache_info()
    pack(in_notebook(SCORE.replace("+ 1", "+ 2"), "score"), key=KEY, execution_id="e1")
    after = functions._lies_in.cache_info()
    assert (after.misses, after.hits > before.hits) == (before.misses, True)


def test_a_traceback_quotes_the_cell():
    """Where the file does not exist, a traceback still shows the function's line."""
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    linecache.cache.pop("/tmp/ipykernel_1/123.py")
    with pytest.raises(ZeroDivisionError) as caught:
        unpack(packed, key=KEY, execution_id="e1")(1)
    assert "return helper(x) / (x - 1)" in "".join(traceback.format_exception(caught.value))


class Bomb:
    """Pickles to something that raises when it is loaded."""

    def __reduce__(self):
        return exec, ("raise SystemExit('loaded')",)


@pytest.mark.parametrize(
    "forge",
    [
        lambda packed: replace(packed, blob=packed.blob + b"x"),
        lambda packed: replace(packed, digest="0" * 64),
        lambda packed: replace(packed, python="3.99"),
        lambda packed: replace(packed, signature="é"),
        lambda packed: replace(packed, blob=cloudpickle.dumps(Bomb())),
    ],
)
def test_a_forged_function_is_rejected_unloaded(forge):
    """Any change to blob, digest, version or signature is refused before loading."""
    packed = forge(pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1"))
    with pytest.raises(FunctionRejected, match="not packed for this run"):
        unpack(packed, key=KEY, execution_id="e1")


def test_a_function_is_pinned_to_its_execution_and_key():
    """Another execution or another key refuses it."""
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    with pytest.raises(FunctionRejected):
        unpack(packed, key=KEY, execution_id="e2")
    with pytest.raises(FunctionRejected):
        unpack(packed, key=KEY[::-1], execution_id="e1")


def test_another_python_is_rejected_before_loading(monkeypatch):
    """A function of another Python version is refused, and both versions are named."""
    monkeypatch.setattr("xtyl_engine.values.functions.PYTHON", "3.10")
    packed = pack(in_notebook(SCORE, "score"), key=KEY, execution_id="e1")
    monkeypatch.undo()
    with pytest.raises(FunctionRejected, match=r"packed by Python 3\.10, and this worker runs 3\."):
        unpack(packed, key=KEY, execution_id="e1")


@pytest.fixture
def module(monkeypatch):
    """Makes a module that can be imported as long as it is there, its classes by reference."""

    def make(name, **content):
        made = ModuleType(name)
        made.__file__ = f"/usr/lib/{name}.py"
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
    monkeypatch.setitem(functions.MOVED, "old_place", "new_place")
    assert unpack(packed, key=KEY, execution_id="e1")(1) == ["Made", "Made", 1]


def test_a_reference_finds_what_has_moved(monkeypatch):
    """A function of a module that has moved is found by the import path that an earlier release stored."""
    monkeypatch.setitem(functions.MOVED, "old_place", "json")
    assert load_reference("old_place:dumps") is json.dumps


def test_a_module_that_is_only_mentioned_may_be_gone(module, monkeypatch):
    """cloudpickle takes a module of ours along when a method has its name; the function runs without it."""
    module("xtyl_nb.mentioned")
    function = in_notebook("def score(x):\n    return x.mentioned() if x else xt.__name__\n", "score")
    function.__globals__["xt"] = xtyl_nb
    packed = pack(function, key=KEY, execution_id="e1")
    assert b"xtyl_nb.mentioned" in packed.blob
    monkeypatch.delitem(sys.modules, "xtyl_nb.mentioned")
    assert unpack(packed, key=KEY, execution_id="e1")(None) == "xtyl_nb"


def test_the_captured_culprit_is_named():
    """A closure over what cannot travel is refused by the variable's name, also inside a helper."""
    lock = threading.Lock()

    def inner(x):
        return lock, x

    def outer(x):
        return inner(x)

    with pytest.raises(FunctionRejected, match=r"`lock`, a lock that inner\(\) captured") as caught:
        pack(outer, key=KEY, execution_id="e1")
    assert "Create lock inside inner()" in str(caught.value)


def test_too_much_luggage_is_refused():
    """A function that takes a large variable along is refused, with its size."""
    luggage = os.urandom(11_000_000)
    with pytest.raises(LimitExceeded, match="takes large variables"):
        pack(lambda: luggage, key=KEY, execution_id="e1")


def test_a_name_is_packed_as_it_can_be_stored():
    """A function may be called anything; what no database takes in its name is replaced, and it runs all the same."""
    function = in_notebook(SCORE, "score")
    function.__name__ = "sc\0re\ud800"
    packed = pack(function, key=KEY, execution_id="e1")
    assert packed.name == "sc\ufffdre\ufffd"
    assert callable(unpack(packed, key=KEY, execution_id="e1"))


def test_importable_functions_have_a_reference():
    """Installed functions are named by module and qualified name, and found again."""
    assert reference(json.dumps) == "json:dumps"
    assert load_reference("json.decoder:JSONDecoder.decode") is json.decoder.JSONDecoder.decode


def test_our_own_functions_are_named_by_the_package():
    """What a workflow or a packed function keeps of them says nothing of the module they are in."""
    assert reference(xtyl_nb.load_briefs) == "xtyl_nb:load_briefs"
    assert load_reference("xtyl_nb:load_briefs") is load_reference("xtyl_nb.briefs:load_briefs") is xtyl_nb.load_briefs
    assert {each.__module__ for each in (xtyl_nb.attach, xtyl_nb.connect, xtyl_nb.runs)} == {"xtyl_nb"}


def test_other_functions_have_none():
    """Lambdas, nested functions, the notebook's own and those of modules beside it have no reference."""
    assert reference(lambda: 0) is None
    assert reference(in_notebook(SCORE, "score")) is None
    assert reference(test_other_functions_have_none) is None


def test_a_function_of_a_module_beside_the_notebook_is_packed(tmp_path, monkeypatch):
    """A local module's function is packed by value: it runs where the module cannot be imported."""
    (tmp_path / "beside.py").write_text("RATE = 2\ndef twice(x):\n    return RATE * x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    beside = import_module("beside")
    packed = pack(beside.twice, key=KEY, execution_id="e1")
    assert reference(beside.twice) is None
    monkeypatch.delitem(sys.modules, "beside")
    monkeypatch.chdir("/")
    sys.path.remove(str(tmp_path))
    assert unpack(packed, key=KEY, execution_id="e1")(4) == 8


@pytest.mark.parametrize("text", ["no_such_module:f", "json:nothing", "json", ":", "json:__name__", "..x:y"])
def test_a_reference_to_nothing_is_rejected(text):
    """A reference that names no function is refused with the reference in the message."""
    with pytest.raises(FunctionRejected, match=r"module:name|not a function"):
        load_reference(text)


def test_the_key_is_private_and_stays(tmp_path):
    """The key is made once, 32 bytes, readable by its owner only."""
    path = tmp_path / "home" / "key"
    key = load_key(path)
    assert len(key) == 32
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_processes_that_race_agree_on_the_key(tmp_path):
    """Processes that make the key at the same time all get the same one."""
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        keys = pool.map(load_key, [tmp_path / "key"] * 12, chunksize=1)
    assert len(set(keys)) == 1


def test_a_broken_key_file_is_named(tmp_path):
    """A key file of the wrong length is refused, and the message says what to do."""
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(FunctionRejected, match="Delete it, and submit the workflow again"):
        load_key(tmp_path / "key")
