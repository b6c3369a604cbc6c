"""Tab completion and `help` show the names that users need, and no others."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter

import xtyl_nb as xt
from documented import GIVEN, documented
from workbench import Workbench, workbench

VERBS = {name: each for name, each in documented().items() if not isinstance(each, property) and each not in GIVEN}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def shown(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


def test_a_workflow_shows_its_verbs() -> None:
    """It shows the steps, the verbs for a workflow, its name and its inputs."""
    assert shown(xt.Workflow("w")) == [
        "attach", "call", "conditional", "draw", "from_json", "generate_copy", "generate_image", "graph", "inputs",
        "levels", "name", "node", "order", "parallel", "plan", "review", "run", "to_json", "validate",
    ]  # fmt: skip


def test_a_run_shows_its_verbs(bench: Workbench) -> None:
    """It shows its facts, its state, its verbs and its results."""
    assert shown(xt.Workflow("w").generate_copy("a", prompt="b").run()) == [
        "another", "approve", "cost", "events", "frame", "gallery", "id", "inspect", "jobs", "logs", "name", "outputs",
        "overview", "pause", "progress", "reject", "resume", "retry", "reviews", "save", "show", "state", "stop", "timeline",
        "wait", "waiting_for", "watch",
    ]  # fmt: skip


def test_the_package_shows_its_names() -> None:
    """It shows the names of `__all__`, and none of its modules."""
    assert shown(xt) == sorted(xt.__all__)


def test_what_a_run_gives_shows_what_is_in_it(bench: Workbench) -> None:
    """A gallery shows images and files; a timeline bars, nodes and its length; a frame the same as any DataFrame."""
    run = bench.done(xt.Workflow("w").generate_copy("a", prompt="{{ word }}"), pd.DataFrame({"word": ["b"]}))
    assert shown(run.gallery()) == ["exhibits", "paths"]
    assert shown(run.timeline()) == ["bars", "nodes", "seconds"]
    assert set(shown(run.frame())) - set(shown(pd.DataFrame())) == {"word", "a", "status", "error"}


@pytest.mark.parametrize("use_jedi", [False, True])
def test_tab_in_ipython_offers_just_that(bench: Workbench, use_jedi: bool) -> None:
    """It offers them both by looking at the value and by jedi, which reads the code."""
    flow = xt.Workflow("w").generate_copy("a", prompt="b")
    values = {"flow": flow, "run": flow.run(), "xt": xt}
    completer = IPCompleter(namespace=values, use_jedi=use_jedi, disable_matchers=["IPCompleter.magic_matcher"])
    for name, value in values.items():
        with provisionalcompleter():
            offered = [each.text.removeprefix(".") for each in completer.completions(f"{name}.", len(name) + 1)]
        assert sorted(offered) == shown(value)


def test_a_workflow_knows_the_inputs_that_were_declared() -> None:
    """They are as written; None if none were declared."""
    assert xt.Workflow("w", inputs=["product", "tone"]).inputs == ("product", "tone")
    assert xt.Workflow("w").generate_copy("a", prompt="{{ product }}").inputs is None


@pytest.mark.parametrize("name", documented())
def test_help_fits_a_terminal_and_begins_with_one_sentence(name: str) -> None:
    """It has at most 92 columns, because `help` indents by eight; the first line is a sentence."""
    lines = (inspect.getdoc(documented()[name]) or "").splitlines()
    assert lines[0].endswith(".")
    assert max(map(len, lines)) <= 92


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_explains_each_argument_and_shows_an_example(name: str) -> None:
    """`Args:` has the signature's parameters in their order, and the `Example:` runs."""
    doc = inspect.getdoc(VERBS[name]) or ""
    verb: Any = getattr(VERBS[name], "__func__", VERBS[name])
    parameters = [
        ("**" if each.kind is each.VAR_KEYWORD else "") + each.name
        for each in inspect.signature(verb).parameters.values()
        if each.name not in ("self", "cls")
    ]
    listed = doc.partition("Args:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^    ([*\w]+): \S", listed, re.MULTILINE) == parameters
    assert "Example:\n    >>> " in doc
