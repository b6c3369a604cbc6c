"""Holds an answer against its schema: finds the JSON in what a model wrote, checks it strictly, and gives its fields. Patterns
are matched in a time that grows with the text alone, as those of strangers must be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from pydantic_core import CoreSchema, SchemaError, SchemaValidator, ValidationError, core_schema

from xtyl_engine.providers.schemas.reading import TYPES, Schema, read_schema

MOST_TOLD = 5
_FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
# Texts of these forms are checked; the names of others are words for the model.
_FORMS: dict[str, Any] = {
    "date": core_schema.date_schema,
    "date-time": core_schema.datetime_schema,
    "time": core_schema.time_schema,
    "uuid": core_schema.uuid_schema,
    "uri": core_schema.url_schema,
}
_OF_NUMBERS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
# The words of a schema that bound a value, as pydantic calls them.
_BOUNDS = {
    "string": {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"},
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "number": _OF_NUMBERS,
    "integer": _OF_NUMBERS,
}


class Misfit(ValueError):
    """An answer is not what its schema asks for."""


def read_answer(text: str, schema: Schema) -> dict[str, Any]:
    """The fields of an answer, those that it may leave out as None or their default. Raises Misfit, saying what does not fit."""
    found = _json_in(text)
    try:
        _validator(json.dumps(schema)).validate_json(json.dumps(found))
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        words = [f"{_place(each['loc'])}: {_lowered(each['msg'])}" for each in told[:MOST_TOLD]]
        more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        raise Misfit("; ".join(words) + more) from None
    return {name: found.get(name, part.get("default")) for name, part in schema["properties"].items()}


def usable_schema(given: Any) -> Schema:
    """The plain schema of a class or a mapping, which answers can be held against. Raises ValueError, as `read_schema` does."""
    schema = read_schema(given)
    _validator(json.dumps(schema))
    return schema


@lru_cache(maxsize=64)
def _validator(schema: str) -> SchemaValidator:
    try:
        return SchemaValidator(_checked(json.loads(schema)), core_schema.CoreConfig(allow_inf_nan=False))
    except (SchemaError, TypeError) as error:
        # Of a chain of parts that could not be built, the last says why.
        raise ValueError(f"it cannot be used: {' '.join(str(error).split()).rpartition('Error: ')[2][:300]}") from None


def _json_in(text: str) -> dict[str, Any]:
    """The object in a text: all of it, what stands in a fence, or from its first brace on."""
    places = [text, *_FENCED.findall(text), text[text.find("{") :] if "{" in text else ""]
    for place in places:
        try:
            found, _ = _DECODER.raw_decode(place.strip())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    if not text.strip():
        raise Misfit("it is empty")
    raise Misfit("it is no whole JSON object" if "{" in text else "it holds no JSON object")


def _not_a_number(word: str) -> NoReturn:
    raise ValueError(word)


_DECODER = json.JSONDecoder(parse_constant=_not_a_number)


def _place(loc: tuple[int | str, ...]) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return f"`{place.lstrip('.')[:200]}`" if place else "it"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _checked(schema: Schema) -> CoreSchema:
    """The schema in the words of pydantic's core."""
    if (choices := schema.get("anyOf") or schema.get("oneOf")) is not None:
        forms = [part for part in choices if part.get("type") != "null"] or choices[:1]
        union = _checked(forms[0]) if len(forms) == 1 else core_schema.union_schema([_checked(part) for part in forms])
        return core_schema.nullable_schema(union) if len(forms) < len(choices) else union
    if "const" in schema or "enum" in schema:
        return _one_of(schema["enum"] if "enum" in schema else [schema["const"]])
    kinds = schema.get("type", _usual_type(schema))
    if isinstance(kinds, list):
        return _checked({"anyOf": [{**schema, "type": kind} for kind in kinds]})
    return core_schema.any_schema() if kinds is None else _of_type(kinds, schema)


def _usual_type(schema: Schema) -> str | None:
    return "object" if "properties" in schema else "array" if "items" in schema or "prefixItems" in schema else None


def _one_of(values: Any) -> CoreSchema:
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(each, (str, int, type(None))) for each in values)
    ):
        raise ValueError("`enum` and `const` hold texts, whole numbers, true, false and null alone")
    return core_schema.literal_schema(values)


def _of_type(kind: Any, schema: Schema) -> CoreSchema:
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"`type` is {str(kind)[:40]!r}: use one of {', '.join(sorted(TYPES))}")
    bounds = {ours: schema[word] for word, ours in _BOUNDS.get(kind, {}).items() if word in schema}
    match kind:
        case "object":
            return _object(schema)
        case "array":
            return _array(schema, bounds)
        case "string":
            text = core_schema.str_schema(strict=True, **bounds)
            form = _FORMS.get(str(schema.get("format")))
            return core_schema.chain_schema([text, form(strict=False)]) if form else text
        case "number":
            return core_schema.float_schema(strict=True, **bounds)
        case "integer":
            return core_schema.int_schema(strict=True, **bounds)
        case "boolean":
            return core_schema.bool_schema(strict=True)
        case _:
            return core_schema.none_schema()


def _object(schema: Schema) -> CoreSchema:
    needed, more = schema.get("required", []), schema.get("additionalProperties")
    if not isinstance(needed, list):
        raise ValueError("`required` is a list of names")
    if unknown := [name for name in needed if name not in schema.get("properties", {})]:
        raise ValueError(f"`required` names {str(unknown[0])[:40]!r}, which `properties` lacks")
    fields = {
        name: core_schema.typed_dict_field(_checked(part), required=name in needed)
        for name, part in schema.get("properties", {}).items()
    }
    extras = _checked(more) if isinstance(more, dict) else None
    if not fields:
        values = extras if extras is not None else core_schema.any_schema()
        return core_schema.dict_schema(core_schema.str_schema(), values, max_length=0 if more is False else None)
    behaviour: Any = "forbid" if more is False else "allow" if extras is not None else "ignore"
    return core_schema.typed_dict_schema(fields, extra_behavior=behaviour, extras_schema=extras)


def _array(schema: Schema, bounds: Mapping[str, Any]) -> CoreSchema:
    if "prefixItems" in schema:
        return core_schema.tuple_schema([_checked(part) for part in schema["prefixItems"]])
    items = _checked(schema["items"]) if "items" in schema else None
    made = core_schema.list_schema(items, strict=True, **bounds)
    return core_schema.no_info_after_validator_function(_distinct, made) if schema.get("uniqueItems") else made


def _distinct(values: list[Any]) -> list[Any]:
    written = [json.dumps(each, sort_keys=True, default=str) for each in values]
    if len(set(written)) < len(written):
        raise ValueError("its items should differ from each other")
    return values
