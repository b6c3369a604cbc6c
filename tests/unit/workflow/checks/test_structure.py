"""The allowed names of nodes and workflows: ids are plain names, the workflow's name is a readable label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import xtyl_nb as xt
from documents import codes, copy, document
from servers import html_of
from workbench import workbench
from xtyl_engine.errors import WorkflowError
from xtyl_engine.workflow.document import Document
from xtyl_engine.workflow.validate import validate

NOT_NAMES = ("", "../x", "<script>", "a b", "cafe\u0301", "x" * 10_000, "\U0001f600", "a\0", "\ud800")
TAKEN_NAMES = ("class", "loop", "true", "self", "status", "comment")


@pytest.mark.parametrize("id", [*NOT_NAMES, *TAKEN_NAMES])
def test_bad_ids(id):
    """An id that is no plain name is reported, shown escaped and cut, in text that can be printed."""
    with pytest.raises(WorkflowError) as caught:
        validate(document(copy(id)))
    assert {problem.code for problem in caught.value.problems} == {"workflow/bad-id"}
    text = str(caught.value)
    text.encode()
    assert len(text) < 600
    assert "\0" not in text


@pytest.mark.parametrize("name", ["", " \n", "x" * 201, "a\0b", "\ud800", "\u202eabc", "x" * 10_000])
def test_bad_names(name):
    """A workflow's name that cannot be read in a list is reported, in text that can be printed."""
    with pytest.raises(WorkflowError) as caught:
        validate(Document(name=name, nodes=document(copy("a")).nodes))
    assert [problem.code for problem in caught.value.problems] == ["workflow/bad-name"]
    str(caught.value).encode()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["../x", "health", "<script>", "\U0001f600", "x" * 200, "{{ x }}", "été"])
def test_other_names(name):
    """Any other text will do: it is a label, and nothing is named after it."""
    assert validate(Document(name=name, nodes=document(copy("a")).nodes)).name == name


def test_ids_equal_to_the_eye():
    """Ids that differ only by Unicode normalisation are told."""
    assert "similar-id" in codes(document(copy("caf\u00e9"), copy("cafe\u0301")))


def test_labels_lead_nowhere(tmp_path: Path) -> None:
    """Runs have plain ids whatever the workflow is called, and what is saved stays in its folder whatever the rows are."""
    labels = ["../../x", "/etc/passwd", "CON", "", ".", "a\\b", "\U0001f600", "x" * 300, "\u202e"]
    with workbench(tmp_path) as bench:
        for name in ("../x", "health", "<script>", "\U0001f600", "{{ x }}"):
            run = bench.done(xt.Workflow(name).attach("kit", title="{{ label }}"), [{"label": each} for each in labels])
            assert re.fullmatch(r"[a-z0-9-]+", run.id)
            assert "<script" not in html_of(run.frame())
        frame = run.frame().set_index("label")[[]].assign(x=1)
        run = bench.done(xt.Workflow("saved").attach("kit", title="{{ x }}"), frame)
        saved = run.save(tmp_path / "out")
    assert len(saved) == len(set(saved)) == len(labels)
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in saved)
    assert {path.read_text() for path in saved} == {"1"}
