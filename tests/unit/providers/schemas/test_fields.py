"""What an answer will have: its fields, the one that stands for it, and what a path of names leads to."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from xtyl_engine.providers.schemas.answers import usable_schema
from xtyl_engine.providers.schemas.fields import at, fields_of, is_list, main_of, texts_of
from xtyl_engine.providers.schemas.words import response_format, strict_form, told_in_words


class Idea(BaseModel):
    title: str
    shots: list[str] | None = None


class Ad(BaseModel):
    tone: Literal["calm", "bold"]
    headline: str
    hook: str | None = None
    ideas: list[Idea]
    best: Idea | None
    free: Any
    words: dict[str, str]


AD = usable_schema(Ad)


def test_the_first_free_text_stands_for_an_answer() -> None:
    """A choice among words is no free text; without any text it is the first field."""
    assert fields_of(AD) == ("tone", "headline", "hook", "ideas", "best", "free", "words")
    assert texts_of(AD) == ("headline", "hook")
    assert main_of(AD) == "headline"
    assert main_of({"type": "object", "properties": {"score": {"type": "integer"}}}) == "score"


@pytest.mark.parametrize(
    ("path", "list_there"),
    [
        ("ideas", True),
        ("best.shots", True),
        ("best.title", False),
        ("headline", False),
        ("free", None),
        ("free.any", None),
        ("words.x", None),
    ],
)
def test_a_path_leads_to_a_part_of_the_schema(path: str, list_there: bool | None) -> None:
    """Through objects that may be absent too; what may be anything is not known to be a list or none."""
    found = at(AD, path.split("."))
    assert found is not None
    assert is_list(found) is list_there


def test_a_path_that_no_answer_has_leads_nowhere() -> None:
    """A field that an object does not have."""
    assert at(AD, ["best", "name"]) is None


def test_a_strict_schema_asks_for_every_field_and_for_no_other() -> None:
    """As strict services want it, where the schema can be put so; free objects cannot."""
    made = strict_form(usable_schema(Idea))
    assert made is not None
    assert (made["required"], made["additionalProperties"]) == (["title", "shots"], False)
    assert strict_form(AD) is None
    told = told_in_words("An ad", AD)
    assert ('"headline"' in told, told_in_words(told, AD)) == (True, told)
    assert "strict" not in response_format(AD)["json_schema"]
