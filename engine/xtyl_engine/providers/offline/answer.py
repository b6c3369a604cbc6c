"""Canned answers for a schema: JSON that fits it, a function of prompt, schema and seed alone. Texts are canned copy that knows
the field's name, and say what was seen of images; the items of a list differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.offline.copywriting import write_copy

USUAL_ITEMS = 3
_FORMS = {
    "date": "2026-03-{:02d}",
    "date-time": "2026-03-{:02d}T09:00:00Z",
    "time": "09:{:02d}:00Z",
    "uuid": "00000000-0000-4000-8000-{:012d}",
    "uri": "https://example.com/{:d}",
    "email": "person{:d}@example.com",
}


def write_answer(prompt: str, seed: int, schema: Mapping[str, Any], seen: str = "") -> str:
    """JSON that fits a plain schema; its texts end with what was `seen`. Raises PermanentError for a text of a pattern, which it
    cannot make up."""
    return json.dumps(_Answer(prompt, seed, seen).value(schema, "", 0), ensure_ascii=False)


class _Answer:
    def __init__(self, prompt: str, seed: int, seen: str):
        self._seen = seen
        self._prompt = prompt
        self._seed = seed

    def value(self, schema: Mapping[str, Any], name: str, place: int) -> Any:
        """A value of a schema, for a field of this name at a place of a list."""
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(next((each for each in choices if each.get("type") != "null"), choices[0]), name, place)
        if "const" in schema:
            return schema["const"]
        number = self._number(name, place)
        if "enum" in schema:
            return schema["enum"][number % len(schema["enum"])]
        kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
        match next((each for each in kind if each != "null"), "null") if isinstance(kind, list) else kind:
            case "object":
                return {key: self.value(part, key, place) for key, part in schema.get("properties", {}).items()}
            case "array":
                return self._list(schema, name, place)
            case "integer" | "number" as kind:
                return _amount(schema, number, is_whole=kind == "integer")
            case "boolean":
                return number % 2 == 0
            case "null":
                return None
            case _:
                return self._text(schema, name, number)

    def _number(self, name: str, place: int) -> int:
        """A number that differs by prompt and field, and counts up with seed and place."""
        drawn = int.from_bytes(sha256(f"{name}\0{self._prompt}".encode("utf-8", "replace")).digest()[:2])
        return drawn + self._seed + place

    def _list(self, schema: Mapping[str, Any], name: str, place: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(part, name, place + each) for each, part in enumerate(schema["prefixItems"])]
        count = max(schema.get("minItems", 0), min(USUAL_ITEMS, schema.get("maxItems", USUAL_ITEMS)))
        options = schema.get("items", {}).get("enum")
        if schema.get("uniqueItems") and options:
            count = min(count, len(options))
        return [self.value(schema.get("items", {}), name, place * count + each) for each in range(count)]

    def _text(self, schema: Mapping[str, Any], name: str, number: int) -> str:
        if form := _FORMS.get(str(schema.get("format"))):
            return form.format(number % 28 + 1)
        if "pattern" in schema:
            raise PermanentError(
                f"the offline provider makes up no texts of a pattern, and `{name}` has one: {schema['pattern'][:80]!r}",
                hint="Use an enum in its place, leave the pattern out while you build, or set a provider with a model.",
            )
        text = write_copy(f"{name.replace('_', ' ')}: {self._prompt}", number)
        text = f"{text} {self._seen}" if self._seen else text
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
        if len(text) > most:
            text = text[: most + 1].rpartition(" ")[0] or text[:most]
        return (
            text if len(text) >= least else (text + " " + text * (least // max(1, len(text)) + 1))[: max(least, most)]
        )


def _amount(schema: Mapping[str, Any], number: int, *, is_whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if is_whole else 0.1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    low = (0 if high is None else min(0, high - 10 * step)) if low is None else low
    first = math.ceil(low / step) + (
        "exclusiveMinimum" in schema and low == schema["exclusiveMinimum"] and low % step == 0
    )
    last = first + 9 if high is None else math.floor(high / step)
    last -= "exclusiveMaximum" in schema and high == schema["exclusiveMaximum"] and high % step == 0
    amount = (first + number % max(1, last - first + 1)) * step
    return int(amount) if is_whole else round(amount, 9)
