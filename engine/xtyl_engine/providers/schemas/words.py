"""What a model is told of a schema: in words, for one that takes no schemas, and in the strict form that some services hold
answers to by themselves.
"""

from __future__ import annotations

import json
from typing import Any

from xtyl_engine.providers.schemas.reading import Schema

# What services take in a strict schema. What is left out is checked all the same once the answer is there.
_STRICT_WORDS = """type properties required additionalProperties items enum const anyOf description title pattern format minimum
maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems"""
_STRICT = frozenset(_STRICT_WORDS.split())


def told_in_words(prompt: str, schema: Schema) -> str:
    """A prompt with the schema that its answer should fit, told once."""
    written = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    words = f"\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n{written}"
    return prompt if prompt.endswith(words) else prompt + words


def response_format(schema: Schema) -> dict[str, Any]:
    """The schema as OpenAI's protocol has it: strict where it can be put so."""
    strict = strict_form(schema)
    told = {"schema": dict(schema)} if strict is None else {"schema": strict, "strict": True}
    return {"type": "json_schema", "json_schema": {"name": "answer", **told}}


def strict_form(schema: Schema) -> Schema | None:
    """The schema as strict services want it, with all fields required and no others; None for one that cannot be put so. A bound
    that they do not know is left out."""
    if not schema or isinstance(schema.get("additionalProperties"), dict) or "prefixItems" in schema:
        return None
    made: dict[str, Any] = {key: value for key, value in schema.items() if key in _STRICT}
    choices = schema.get("anyOf") or schema.get("oneOf")
    inner = {"anyOf": choices or (), "properties": tuple(schema.get("properties", {}).values())}
    inner["items"] = (schema["items"],) if "items" in schema else ()
    strict = {key: [strict_form(part) for part in parts] for key, parts in inner.items()}
    kinds = schema.get("type")
    is_object, is_array = (kind in (kinds if isinstance(kinds, list) else [kinds]) for kind in ("object", "array"))
    if (
        any(None in parts for parts in strict.values())
        or (is_object and not strict["properties"])
        or (is_array and not strict["items"])
    ):
        return None
    if choices:
        made["anyOf"] = strict["anyOf"]
    if strict["items"]:
        made["items"] = strict["items"][0]
    if strict["properties"]:
        made["properties"] = dict(zip(schema["properties"], strict["properties"], strict=True))
        made |= {"required": list(schema["properties"]), "additionalProperties": False}
    return made
