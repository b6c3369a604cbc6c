"""Gives each notebook's kernel a home of its own, new and empty: no result of another notebook, or of the home of the person who
runs the tests, is found in it, so that what is cached is the same each time. The model that it asks is a local server's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest
from openai_server import openai_server
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

KEPT = pytest.StashKey[ExitStack]()
OURS = pytest.StashKey[dict[str, str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The kernel starts with a notebook's first cell, and has ended with its last."""
    if item.path.suffix != ".ipynb":
        # The hook of one folder is called for the tests of all.
        return (yield)
    notebook = item.parent
    if KEPT not in notebook.stash:
        kept = notebook.stash[KEPT] = ExitStack()
        home = kept.enter_context(tempfile.TemporaryDirectory(prefix="xtyl-"))
        served = kept.enter_context(openai_server())
        kept.callback(down, load_settings({"XTYL_HOME": home}))
        notebook.stash[OURS] = {"XTYL_HOME": home, "OPENAI_BASE_URL": served.url, "OPENAI_API_KEY": "sk-notebook"}
    with environment(notebook.stash[OURS]):
        result = yield
    if nextitem is None or nextitem.parent is not notebook:
        notebook.stash[KEPT].close()
    return result


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """Of settings of ours and of the model's server only these."""
    former = {name: value for name, value in os.environ.items() if name.startswith(("XTYL_", "OPENAI_"))}
    for name in former:
        del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
        os.environ.update(former)
