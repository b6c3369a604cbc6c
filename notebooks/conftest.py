"""Gives each notebook's kernel a home of its own, new and empty: no result of another notebook, or of the home of the person who
runs the tests, is found in it, so that what is cached is the same each time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

HOME = pytest.StashKey[tempfile.TemporaryDirectory]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The kernel starts with a notebook's first cell, and has ended with its last."""
    notebook = item.parent
    if HOME not in notebook.stash:
        notebook.stash[HOME] = tempfile.TemporaryDirectory(prefix="xtyl-")
    home = notebook.stash[HOME]
    with environment(home.name):
        result = yield
    if nextitem is None or nextitem.parent is not notebook:
        down(load_settings({"XTYL_HOME": home.name}))
        home.cleanup()
    return result


@contextmanager
def environment(home: str) -> Iterator[None]:
    """Only this setting of ours."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("XTYL_")}
    for name in ours:
        del os.environ[name]
    os.environ["XTYL_HOME"] = home
    try:
        yield
    finally:
        del os.environ["XTYL_HOME"]
        os.environ.update(ours)
