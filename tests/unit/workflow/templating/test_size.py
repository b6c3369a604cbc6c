"""How much Jinja a workflow may hold."""

from __future__ import annotations

import pytest

from documents import copy, document
from xtyl_engine.errors import WorkflowError
from xtyl_engine.limits import MAX_NODES
from xtyl_engine.workflow.templating.size import MAX_SIGNS, has_more_signs
from xtyl_engine.workflow.validate import validate

# Each is within the limit of one text.
LONG = "{{ " + " and ".join(["a"] * 9_000) + " }}"


def test_far_too_much_jinja_is_refused_unparsed() -> None:
    """Texts that are each short enough are too much together; the error says so, and what to do."""
    nodes = [copy(f"n{place}", prompt=LONG.replace(" a ", f" a{place} ")) for place in range(30)]
    with pytest.raises(WorkflowError, match=r"more than 400,000 words and signs of Jinja") as caught:
        validate(document(*nodes))
    assert [problem.code for problem in caught.value.problems] == ["workflow/too-large"]


def test_the_largest_workflow_of_ordinary_texts_is_taken() -> None:
    """Four names in each of as many nodes as there may be."""
    texts = (
        f"Line {place} for {{{{ product }}}} in {{{{ tone }}}}, {{{{ market }}}}, {{{{ n{place} }}}}"
        for place in range(MAX_NODES)
    )
    assert not has_more_signs(texts)


@pytest.mark.parametrize("text", ["{{ a }}", "{% if a %}", "{{ a", "{{ a }} and {{ a }}", "{{ 'a }} a' }}"])
def test_every_kind_of_jinja_counts(text: str) -> None:
    """Also what never ends; a text that comes again does not."""
    assert has_more_signs([text], 0)
    assert not has_more_signs([text] * 1_000, 20)
    assert has_more_signs([text + "{{ b }}" * MAX_SIGNS])


def test_words_beside_jinja_do_not_count() -> None:
    """However many there are."""
    assert not has_more_signs(["{ word } " * 10_000, "no braces"], 0)
