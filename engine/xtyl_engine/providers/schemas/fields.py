"""What an answer of a schema will have: its fields, the one that stands for it, the texts that a person may edit, and what a path
of names leads to. The schema is a plain one, as `reading` gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xtyl_engine.providers.schemas.reading import Schema


def fields_of(schema: Schema) -> tuple[str, ...]:
    """The names of an answer's fields, in order."""
    return tuple(schema["properties"])


def texts_of(schema: Schema) -> tuple[str, ...]:
    """The fields that are free text, which a person may write anew."""
    return tuple(name for name, part in schema["properties"].items() if _is_free_text(part))


def main_of(schema: Schema) -> str:
    """The field that stands for an answer: its first text, else its first field."""
    main: str = next(iter((*texts_of(schema), *schema["properties"])))
    return main


def at(schema: Schema, path: Sequence[str]) -> Schema | None:
    """What a path of fields leads to, {} where that is anything; None where an object on the way has no such field."""
    found = schema
    for name in path:
        parts = [part for part in _forms(found) if part]
        if not parts or any(not isinstance(part.get("properties"), dict) for part in parts):
            return {}
        given = [part["properties"][name] for part in parts if name in part["properties"]]
        if not given:
            # An object that may have more than its named fields.
            return {} if any(isinstance(part.get("additionalProperties"), dict) for part in parts) else None
        found = given[0]
    return found


def is_list(schema: Schema) -> bool | None:
    """Whether a schema is that of a list; None where it may be anything."""
    kinds = [kind for part in _forms(schema) for kind in _kinds(part)]
    return None if not kinds else "array" in kinds


def _forms(schema: Schema) -> Iterator[Schema]:
    """The forms that a value may have, without null."""
    choices = schema.get("anyOf") or schema.get("oneOf")
    for part in choices or ():
        yield from _forms(part)
    if choices is None and schema.get("type") != "null":
        yield schema


def _kinds(schema: Schema) -> list[Any]:
    kind = schema.get("type", "array" if "items" in schema else "object" if "properties" in schema else None)
    return [] if kind is None else kind if isinstance(kind, list) else [kind]


def _is_free_text(schema: Schema) -> bool:
    forms = list(_forms(schema))
    return bool(forms) and all(
        [kind for kind in _kinds(part) if kind != "null"] == ["string"]
        and not {"enum", "const", "format"} & part.keys()
        for part in forms
    )
