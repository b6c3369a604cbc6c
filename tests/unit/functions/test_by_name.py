"""What a function has brought along is found by its name, by child processes and by pickle."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cells import call_in_runner, pack_in_kernels
from xtyl_engine.functions.by_name import bring, put_in_place

MODULE = """
class Price:
    def __init__(self, cents):
        self.cents = cents


def helper(n):
    return n * n


def priced(n):
    return Price(helper(n))
"""
CELL = """
import functools
import multiprocessing
import pickle
import typing
from concurrent.futures import ProcessPoolExecutor

import beside
from shop.prices import Price, priced


class Box:
    inside: "Lid"

    def __init__(self, n):
        self.n = n


class Lid:
    pass


@functools.cache
def boxed(n):
    return Box(n)


def squared(n):
    return n * n


def step():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = {
            "a function": pool.map(squared, range(3)),
            "one with a cache, an object": [each.n for each in pool.map(boxed, range(3))],
            "of a module": [each.cents for each in pool.map(beside.priced, range(3))],
            "by its own name": [each.cents for each in pool.map(priced, range(3))],
        }
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found["of an executor"] = list(pool.map(squared, range(3)))
    found["pickled"] = pickle.loads(pickle.dumps(Price(4))).cents
    found["a hint"] = typing.get_type_hints(Box) == {"inside": Lid}
    return found
"""


@pytest.mark.parametrize("is_there", [True, False], ids=["beside the notebook", "elsewhere"])
def test_child_processes_and_pickle_find_what_the_function_uses(is_there: bool, tmp_path: Path) -> None:
    """Functions and classes of a cell and of modules that travel, wherever the files of these modules are."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prices.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text(MODULE)
    (sent,) = pack_in_kernels([[CELL]], path=[tmp_path])
    told = call_in_runner(sent, path=[tmp_path] if is_there else [])
    assert told.result == {
        "a function": [0, 1, 4],
        "one with a cache, an object": [0, 1, 2],
        "of a module": [0, 1, 4],
        "by its own name": [0, 1, 4],
        "of an executor": [0, 1, 4],
        "pickled": 4,
        "a hint": True,
    }, told


@pytest.fixture
def place() -> Iterator[ModuleType]:
    """A module that is loaded; in the end no function has names in it."""
    sys.modules["loaded_here"] = made = ModuleType("loaded_here")
    yield made
    put_in_place(None)
    del sys.modules["loaded_here"]
    sys.modules.pop("json.found_nowhere", None)


def test_each_function_finds_its_own(place: ModuleType) -> None:
    """Before a call the names of the function before are gone, and what stood there is back."""
    vars(place).update(kept=1)
    first, second = (lambda: 1), (lambda: 2)
    bring(first, {"loaded_here": {"kept": 2, "new": 3}})
    bring(second, {"loaded_here": {"new": 4}, "json.found_nowhere": {"dumps": 5}})
    put_in_place(first)
    assert (place.kept, place.new) == (2, 3)
    put_in_place(second)
    assert (place.kept, place.new) == (1, 4)
    assert __import__("json.found_nowhere").found_nowhere.dumps == 5
    put_in_place(len)
    assert (place.kept, hasattr(place, "new")) == (1, False)
    assert pickle.loads(pickle.dumps(json.dumps)) is json.dumps
