"""Functions of the notebook are packed with what they use; those that a worker can import are named."""

import os
import sys
import threading
from importlib import import_module

import pytest

from cells import KEY, SCORE, in_notebook
from xtyl_engine.errors import FunctionRejected, LimitExceeded
from xtyl_engine.functions import local_modules
from xtyl_engine.functions.loading import unpack
from xtyl_engine.functions.packing import pack
from xtyl_engine.functions.references import reference


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
    before = local_modules._is_installed.cache_info()
    pack(in_notebook(SCORE.replace("+ 1", "+ 2"), "score"), key=KEY, execution_id="e1")
    after = local_modules._is_installed.cache_info()
    assert (after.misses, after.hits > before.hits) == (before.misses, True)


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
