"""What `returns=` may be given: a class or a schema becomes one plain schema, and what cannot be used is told in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, field_validator

from xtyl_engine.providers.schemas.answers import usable_schema
from xtyl_engine.providers.schemas.reading import MAX_SCHEMA_BYTES, own_rules, read_schema

TEXT = {"type": "string"}


class Idea(BaseModel):
    title: str


class Ad(BaseModel):
    headline: str = Field(max_length=40)
    tone: Literal["calm", "bold"] = "calm"
    ideas: list[Idea]
    best: Idea | None = None


def obj(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


def test_a_class_becomes_a_schema_without_references() -> None:
    """What a class refers to stands in its place, and a schema that was read is read as itself."""
    schema = usable_schema(Ad)
    assert "$" not in str(schema)
    assert list(schema["properties"]) == ["headline", "tone", "ideas", "best"]
    assert schema["properties"]["ideas"]["items"]["properties"]["title"]["type"] == "string"
    assert usable_schema(schema) == schema


class Loop(BaseModel):
    inner: Loop | None = None


class Odd(BaseModel):
    made: Callable[[], int]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "pass a pydantic class, or a JSON Schema as a dict"),
        (int, "int is no pydantic class: derive it from pydantic.BaseModel, or write a JSON Schema"),
        (Odd, "Odd has no JSON Schema: "),
        (Loop, "#/$defs/Loop refers to itself: write out the levels that you want"),
        ({"a": {1, 2}}, "a schema holds texts, numbers, lists and dicts alone"),
        ({"type": "array", "items": TEXT}, "an answer is an object with named fields"),
        (obj(), "an answer is an object with named fields"),
        (obj(cost=TEXT), "a field is called `cost`, as what outputs have anyway: call it otherwise, such as `my_cost`"),
        (obj(items=TEXT), "a field is called `items`, as what outputs have anyway"),
        (
            {"type": "object", "properties": {"a-b": TEXT}},
            "a field is called 'a-b': use letters, digits and underscores",
        ),
        (obj(a={"not": TEXT}), "`not` is not understood in a schema here: leave it out, and ask for it in the prompt"),
        (obj(a={"allOf": [TEXT, TEXT]}), "`allOf` is not understood in a schema here"),
        (obj(a={"$ref": "https://example.com/s.json"}), "$ref 'https://example.com/s.json' leads to nothing"),
        (obj(a={"type": "strin"}), "`type` is 'strin': use one of array, boolean, integer"),
        (obj(a={"type": "string", "pattern": "("}), "it cannot be used: regex parse error"),
        (obj(a={"type": "string", "pattern": "(?=a)"}), "look-around"),
        (obj(a={"type": "string", "minLength": "x"}), "it cannot be used"),
        (obj(a={"enum": [1.5]}), "`enum` and `const` hold texts, whole numbers, true, false and null alone"),
        ({**obj(a=TEXT), "required": ["b"]}, "`required` names 'b', which `properties` lacks"),
        (obj(a={"description": "x" * MAX_SCHEMA_BYTES, **TEXT}), "bytes; 65,536 is the most: leave fields out"),
        (obj(**{f"a{place}": TEXT for place in range(101)}), "it has 101 fields; 100 is the most"),
    ],
)
def test_what_cannot_be_used_is_told(given: Any, words: str) -> None:
    """Each wrong schema has an error that says what to do."""
    with pytest.raises(ValueError) as caught:
        usable_schema(given)
    assert words in str(caught.value)


def test_depth_and_size_are_bounded_also_where_references_multiply() -> None:
    """Twenty levels are too deep, and references that double at each level end at a count of parts."""
    deep: dict[str, Any] = TEXT
    for _ in range(20):
        deep = obj(a=deep)
    with pytest.raises(ValueError, match="nested deeper than 12 levels"):
        read_schema(deep)
    doubled = {f"L{n}": {"anyOf": [{"$ref": f"#/$defs/L{n + 1}"}] * 9} for n in range(9)} | {"L9": TEXT}
    with pytest.raises(ValueError, match="more than 1,000 parts"):
        read_schema({**obj(a={"$ref": "#/$defs/L0"}), "$defs": doubled})


def short(value: str) -> str:
    return value[:9]


class Checked(BaseModel):
    idea: Annotated[str, AfterValidator(short)]
    path: str = ""

    @field_validator("path")
    @classmethod
    def plain(cls, value: str) -> str:
        return value


class Around(BaseModel):
    inner: list[Checked]


def test_the_own_validators_of_a_class_are_found() -> None:
    """Those of fields and of classes inside are named; bounds are no code."""
    assert own_rules(Around) == ("plain", "short")
    assert own_rules(Ad) == own_rules({"type": "object"}) == ()
