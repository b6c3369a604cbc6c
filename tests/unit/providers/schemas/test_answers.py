"""Answers held against schemas: JSON is found in what models write, and checked strictly; offline answers always fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from xtyl_engine.providers.offline.answer import write_answer
from xtyl_engine.providers.schemas.answers import Misfit, read_answer, usable_schema
from xtyl_engine.providers.schemas.words import strict_form


class Ad(BaseModel):
    headline: str
    price: float
    count: int = 3
    day: str | None = None


AD = usable_schema(Ad)
GIVEN = {"headline": "Go", "price": 2}
FITTING = {**GIVEN, "count": 3, "day": None}


@pytest.mark.parametrize(
    "text",
    [
        '{"headline": "Go", "price": 2}',
        'Here it is:\n```json\n{"headline": "Go", "price": 2}\n```\nDo you like it?',
        'Sure! {"headline": "Go", "price": 2} And more.',
        '{"headline": "Go", "price": 2, "provider": "mine"}',
    ],
)
def test_the_object_is_found_in_what_a_model_writes(text: str) -> None:
    """Fences and words around it do not matter; other fields are left out, absent ones are filled."""
    assert read_answer(text, AD) == FITTING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("I cannot.", "it holds no JSON object"),
        ('{"headline": "Go", "pri', "it is no whole JSON object"),
        ("[1]", "it holds no JSON object"),
        ('{"headline": 3}', "`headline`: input should be a valid string; `price`: field required"),
        ('{"headline": "Go", "price": "2"}', "`price`: input should be a valid number"),
        ('{"headline": "Go", "price": NaN}', "it is no whole JSON object"),
        ('{"headline": "Go", "price": 2, "count": true}', "`count`: input should be a valid integer"),
        ('{"a":' * 100_000, "it is no whole JSON object"),
        ('{"headline": "\\ud800", "price": 2}', ""),
    ],
)
def test_what_does_not_fit_is_told(text: str, words: str) -> None:
    """Numbers in quotes, half an answer and no answer each have a reason."""
    with pytest.raises(Misfit) as caught:
        read_answer(text, AD)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "fits", "misfits"),
    [
        ({"type": "string", "pattern": "^a+$"}, "aa", "b"),
        ({"type": "string", "format": "date"}, "2026-12-01", "2026-13-01"),
        ({"type": ["integer", "null"]}, None, 1.5),
        ({"enum": ["a", 1, None]}, 1, "1"),
        ({"const": "x"}, "x", "y"),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 2], [1, 1]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, [1, "a"], ["a", 1]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"k": 1}, {"k": "v"}),
        ({"type": "object", "properties": {"k": {}}, "additionalProperties": False}, {"k": [1]}, {"m": 1}),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, True, "x"),
        ({"type": "integer", "exclusiveMinimum": 1, "multipleOf": 3}, 6, 1),
    ],
)
def test_each_rule_is_kept(schema: dict[str, Any], fits: Any, misfits: Any) -> None:
    """Each word of a schema that is understood takes what it should, and nothing else."""
    whole = usable_schema({"type": "object", "properties": {"it": schema}})
    assert read_answer(json.dumps({"it": fits}), whole) == {"it": fits}
    with pytest.raises(Misfit):
        read_answer(json.dumps({"it": misfits}), whole)


def test_a_pattern_takes_no_more_time_than_its_text() -> None:
    """What keeps other machines busy for years is told at once."""
    schema = usable_schema({"type": "object", "properties": {"it": {"type": "string", "pattern": "^(a+)+$"}}})
    with pytest.raises(Misfit, match="should match pattern"):
        read_answer(json.dumps({"it": "a" * 10_000 + "!"}), schema)


def bounded(name: str, low: str, high: str, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(st.integers(0, 5), st.integers(0, 20))
    made = pairs.map(lambda pair: {"type": name, low: pair[0], high: pair[0] + pair[1], **more})
    return made | st.just({"type": name, **more})


LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    bounded("string", "minLength", "maxLength"),
    bounded("integer", "minimum", "maximum"),
    bounded("number", "minimum", "maximum"),
    st.sampled_from(["date", "date-time", "time", "uuid", "uri", "email"]).map(
        lambda form: {"type": "string", "format": form}
    ),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"enum": ["a", "b", 3]}, {"const": 7}, {"type": ["string", "null"]}, {}]
    ),
    st.just({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3}),
)


def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(st.sampled_from(["title", "hook", "price_tag"]), inner, min_size=1)
    objects = fields.flatmap(
        lambda found: st.lists(st.sampled_from(sorted(found)), unique=True).map(
            lambda needed: {"type": "object", "properties": found, "required": needed}
        )
    )
    lists = inner.flatmap(lambda each: bounded("array", "minItems", "maxItems", items=each))
    return (
        objects | lists | st.lists(inner, min_size=1, max_size=2).map(lambda each: {"anyOf": [*each, {"type": "null"}]})
    )


@settings(max_examples=60, deadline=None)
@given(st.recursive(LEAVES, larger, max_leaves=8), st.integers(0, 2**31 - 1))
def test_every_offline_answer_fits(schema: dict[str, Any], seed: int) -> None:
    """Whatever the schema, what the offline provider writes fits it, is the same for the same seed, and the strict form asks for
    its fields."""
    whole = usable_schema(
        {"type": "object", "properties": {"it": schema, "hook": {"type": "string"}}, "required": ["it"]}
    )
    text = write_answer("An ad for Aurora lamp", seed, whole)
    assert read_answer(text, whole)["it"] == json.loads(text)["it"]
    assert text == write_answer("An ad for Aurora lamp", seed, whole)
    if (strict := strict_form(whole)) is not None:
        assert set(strict["required"]) == json.loads(write_answer("An ad", seed, strict)).keys() == {"it", "hook"}
