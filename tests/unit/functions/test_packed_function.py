"""Packed functions are signed and pinned to their execution; a forged one is refused before anything of it is loaded."""

import multiprocessing
import stat
from dataclasses import replace

import cloudpickle
import pytest

from cells import KEY, SCORE, in_notebook
from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.loading import unpack
from xtyl_engine.functions.packed_function import load_key
from xtyl_engine.functions.packing import pack


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
