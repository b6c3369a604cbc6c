"""Runners share nothing that a module, a cell or a library made before they were forked."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from cells import in_notebook
from own_back_end import own_back_end


@pytest.fixture
def home(tmp_path):
    """A back end for this test alone."""
    with own_back_end(tmp_path, XTYL_SLOTS="4") as settings:
        yield settings


ECHO = """
import socket
import threading

ours, theirs = socket.socketpair()


def echo():
    while data := theirs.recv(64):
        theirs.sendall(data)


threading.Thread(target=echo, daemon=True).start()


def ask(n):
    ours.sendall(b"%08d" % n)
    return int(ours.recv(8))
"""
DATABASE = """
import os
import sqlite3

connection = sqlite3.connect(os.path.join(os.path.dirname(__file__), "own.db"), timeout=30, check_same_thread=False)
MADE_BY = os.getpid()


def ask(n):
    return n if MADE_BY == os.getpid() and connection.execute("select ?", (n,)).fetchone() == (n,) else -1
"""
FILE = """
import os
import time

with open(os.path.join(os.path.dirname(__file__), "numbers.txt"), "w") as file:
    file.write("".join(f"{n:07d}\\n" for n in range(1000)))
numbers = open(os.path.join(os.path.dirname(__file__), "numbers.txt"))


def ask(n):
    numbers.seek(8 * n)
    time.sleep(0.002)
    return int(numbers.read(7))
"""
PIPE = """
import os

out, into = (os.fdopen(end, mode, 0) for end, mode in zip(os.pipe(), ("rb", "wb")))


def ask(n):
    into.write(b"%08d" % n)
    return int(out.read(8))
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(2)
TABLE = list(pool.map(lambda n: n, range(1000)))


def ask(n):
    return pool.submit(lambda: TABLE[n]).result()
"""


MODULES = {"socket": ECHO, "database": DATABASE, "file": FILE, "pipe": PIPE, "threads": THREADS}


def test_what_a_module_opens_when_it_is_imported_is_each_runner_s_own(home, tmp_path: Path, monkeypatch) -> None:
    """Connections, open files and threads of modules beside the notebook: each row gets its own answer."""
    beside = tmp_path / "beside"
    beside.mkdir()
    monkeypatch.syspath_prepend(str(beside))
    flow = xt.Workflow("opened")
    for what, source in MODULES.items():
        (beside / f"opens_{what}.py").write_text(source)
        ask = __import__(f"opens_{what}").ask
        flow = flow.call(what, ask, n="{{ n }}", after=[])
        flow = flow.call(f"{what}_through", partial(ask), n="{{ n }}", after=[])
    run = flow.run(pd.DataFrame({"n": range(50)})).wait(40)
    assert list(run.frame()["error"].dropna()) == []
    for what in MODULES:
        assert list(run.outputs(what)["value"]) == list(range(50))
        assert list(run.outputs(f"{what}_through")["value"]) == list(range(50))


CELL = """
import random
import time

import numpy as np

generator, old, plain = np.random.default_rng(7), np.random.RandomState(7), random.Random(7)


def draw():
    return [float(generator.random()), float(old.random_sample()), plain.random()]


def drawn(n):
    time.sleep(0.05)
    return dict(zip("abc", draw()))
"""


def test_each_runner_draws_numbers_of_its_own_from_the_notebook_s_generators(home) -> None:
    """Those that a cell made and a helper uses, of numpy and of Python."""
    run = xt.Workflow("drawn").call("made", in_notebook(CELL, "drawn"), n="{{ n }}").run(pd.DataFrame({"n": range(24)}))
    assert list(run.wait(60).frame()["error"].dropna()) == []
    found = run.outputs("made")
    assert [found[f"value.{name}"].nunique() for name in "abc"] == [24] * 3
