"""Reads what a step's `returns=` is given, a pydantic class or a JSON Schema, into a plain schema: references put in place,
within its bounds, and made of words that are understood here. A ValueError says what cannot be used, and what to do. Whether a
schema can be held against an answer, `answers` says.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 12
MAX_SCHEMA_PARTS = 1_000
MAX_FIELDS = 100
_TAKEN = (
    "provider model tokens input_tokens cached_tokens output_tokens image_tokens cost finish cached variant of items"
)
# What outputs have besides an answer, or what frames and reviews take for something else.
TAKEN = frozenset(_TAKEN.split())
TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_NOTE_WORDS = """title description default examples example deprecated readOnly writeOnly $comment $schema $id
discriminator contentEncoding contentMediaType"""
_RULE_WORDS = """type properties required additionalProperties items prefixItems minItems maxItems uniqueItems enum const
anyOf oneOf
allOf minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf"""
_KNOWN = frozenset(f"{_NOTE_WORDS} {_RULE_WORDS}".split())
_DEFINITIONS = ("$defs", "definitions")
Schema = Mapping[str, Any]


def read_schema(given: Any) -> Schema:
    """The schema of a class, or a schema itself, as a plain one of an object with named fields. Raises ValueError."""
    written = _of_class(given) if isinstance(given, type) else given
    if not isinstance(written, Mapping):
        raise ValueError("pass a pydantic class, or a JSON Schema as a dict")
    try:
        text = json.dumps(written, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a schema holds texts, numbers, lists and dicts alone: {error}") from None
    if len(text) > MAX_SCHEMA_BYTES:
        raise ValueError(
            f"the schema has {len(text):,} bytes; {MAX_SCHEMA_BYTES:,} is the most: leave fields out, or shorten words"
        )
    return _read(text)


@lru_cache(maxsize=64)
def _read(text: str) -> Schema:
    written = json.loads(text)
    schema: Schema = _Inliner({name: written.pop(name, {}) for name in _DEFINITIONS}).inlined(written)
    _check_fields(schema)
    return schema


def is_class(given: Any) -> bool:
    """Whether `returns=` is given a class whose schema can be read."""
    return isinstance(given, type) and callable(getattr(given, "model_json_schema", None))


def own_rules(given: Any) -> tuple[str, ...]:
    """The names of a class's own validators, those of classes inside it included: they are Python, and in no schema."""
    found: dict[str, None] = {}
    waiting: list[Any] = [getattr(given, "__pydantic_core_schema__", None)] if is_class(given) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            called = part.get("function")
            function = called.get("function") if isinstance(called, Mapping) else None
            if str(part.get("type", "")).startswith("function-") and _is_users(function):
                found[getattr(function, "__name__", "a validator")] = None
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
    return tuple(sorted(found))


def _is_users(function: Any) -> bool:
    return callable(function) and str(getattr(function, "__module__", "")).partition(".")[0] not in (
        "pydantic",
        "pydantic_core",
    )


def _of_class(given: type) -> Any:
    if not is_class(given):
        raise ValueError(
            f"{given.__name__} is no pydantic class: derive it from pydantic.BaseModel, or write a JSON Schema"
        )
    make: Callable[[], Any] = given.model_json_schema  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            # A default that JSON lacks is left out, which is all that the warning says.
            warnings.simplefilter("ignore")
            return make()
    except Exception as error:
        raise ValueError(f"{given.__name__} has no JSON Schema: {str(error).splitlines()[0][:200]}") from None


def _check_fields(schema: Schema) -> None:
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict) or not fields:
        raise ValueError("an answer is an object with named fields: put a list or a text into a field of a class")
    if len(fields) > MAX_FIELDS:
        raise ValueError(f"it has {len(fields):,} fields; {MAX_FIELDS} is the most")
    for name in fields:
        if name in TAKEN:
            raise ValueError(
                f"a field is called `{name}`, as what outputs have anyway: call it otherwise, such as `my_{name}`"
            )
        if not name.isidentifier() or name.startswith("_") or len(name) > 64:
            raise ValueError(f"a field is called {name[:60]!r}: use letters, digits and underscores, at most 64")


class _Inliner:
    """Puts what is referred to in place of each reference. What refers to itself has no end, so it is refused."""

    def __init__(self, definitions: Mapping[str, Any]):
        self._definitions = definitions
        self._parts = 0

    def inlined(self, schema: Any, within: tuple[str, ...] = (), depth: int = 0) -> Any:
        """A schema, and all in it, without references."""
        self._parts += 1
        if self._parts > MAX_SCHEMA_PARTS:
            raise ValueError(f"it has more than {MAX_SCHEMA_PARTS:,} parts: leave fields out")
        if depth > MAX_SCHEMA_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_SCHEMA_DEPTH} levels: flatten it")
        if isinstance(schema, bool):
            return {} if schema else _refuse("`false`")
        if not isinstance(schema, dict):
            raise ValueError(f"{str(schema)[:40]!r} stands where a schema belongs")
        if (name := schema.get("$ref")) is not None:
            if name in within:
                raise ValueError(f"{name} refers to itself: write out the levels that you want")
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.inlined({**self._named(name), **rest}, (*within, name), depth)
        for key in sorted(schema.keys() - _KNOWN):
            if not key.startswith("x-"):
                _refuse(f"`{key[:40]}`")
        return _merged({key: self._part(key, value, within, depth + 1) for key, value in schema.items()})

    def _named(self, name: Any) -> Schema:
        parts = str(name).split("/")
        found = self._definitions.get(parts[1], {}) if len(parts) == 3 and parts[0] == "#" else {}
        target = (
            found.get(parts[2].replace("~1", "/").replace("~0", "~"))
            if isinstance(found, dict) and len(parts) == 3
            else None
        )
        if not isinstance(target, dict):
            raise ValueError(
                f"$ref {str(name)[:60]!r} leads to nothing: it refers to a schema in `$defs`, as '#/$defs/Name'"
            )
        return target

    def _part(self, key: str, value: Any, within: tuple[str, ...], depth: int) -> Any:
        if key == "properties":
            if not isinstance(value, dict):
                raise ValueError("`properties` is a dict of schemas, by the field's name")
            return {name: self.inlined(part, within, depth) for name, part in value.items()}
        if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if not isinstance(value, list) or not value:
                raise ValueError(f"`{key}` is a list of schemas")
            return [self.inlined(part, within, depth) for part in value]
        if key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
            return self.inlined(value, within, depth)
        return value


def _merged(schema: dict[str, Any]) -> Schema:
    """`allOf` with one schema in it, as some libraries write a reference with a description, is that schema."""
    parts = schema.pop("allOf", None)
    if parts is None:
        return schema
    return {**parts[0], **schema} if len(parts) == 1 else _refuse("`allOf`")


def _refuse(what: str) -> Any:
    raise ValueError(f"{what} is not understood in a schema here: leave it out, and ask for it in the prompt")
