"""What nodes and workflows may be called: ids are plain names, the workflow's name is a label that can be read."""

from __future__ import annotations

import pytest

from test_validate import codes, copy, document
from xtyl_engine.errors import WorkflowError
from xtyl_engine.validate import validate
from xtyl_engine.workflow import Document

NOT_NAMES = ("", "../x", "<script>", "a b", "cafe\u0301", "x" * 10_000, "\U0001f600", "a\0", "\ud800")
TAKEN_NAMES = ("class", "loop", "true", "self", "status", "comment")


@pytest.mark.parametrize("id", [*NOT_NAMES, *TAKEN_NAMES])
def test_bad_ids(id):
    """An id that is no plain name is told, shown escaped and cut, in text that can be printed."""
    with pytest.raises(WorkflowError) as caught:
        validate(document(copy(id)))
    assert {problem.code for problem in caught.value.problems} == {"workflow/bad-id"}
    text = str(caught.value)
    text.encode()
    assert len(text) < 600
    assert "\0" not in text


@pytest.mark.parametrize("name", ["", " \n", "x" * 201, "a\0b", "\ud800", "\u202eabc", "x" * 10_000])
def test_bad_names(name):
    """A workflow's name that nobody could read in a list is told, in text that can be printed."""
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
