"""What the text of a value is, wherever a text needs one: numbers and texts as they are, lists and dicts as JSON, nothing for
None and for what was skipped. What is no plain value, or a stored file, has no text. Nothing is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2 import Undefined

from xtyl_engine.errors import RenderError, with_article
from xtyl_engine.values.artifacts import references
from xtyl_engine.workflow.templating.skipped import SKIPPED, Skipped

FILE_HINT = "Give it to `images=`, or to another parameter that takes files; or write words about it."


class Output(dict[str, Any]):
    """A node's output as Jinja sees it: its fields, the name of the field that stands for it in text, `main`, and of an answer
    the fields that are free text, `texts`."""

    __slots__ = ("main", "texts")

    def __init__(
        self,
        fields: Mapping[str, Any] = MappingProxyType({}),
        *,
        main: str | None = None,
        texts: tuple[str, ...] = (),
    ):
        super().__init__(fields)
        self.main = main
        self.texts = texts

    @property
    def standing(self) -> Any:
        """The value that stands for the output: the main field, or for a review the chosen option."""
        if self.main is not None and self.main in self:
            return self[self.main]
        chosen = self.get(self.get("of", ""), self)
        if isinstance(chosen, Output) and chosen is not self:
            return chosen.standing
        if not isinstance(chosen, dict):
            return chosen
        return next((chosen[name] for name in ("text", "value", "items") if name in chosen), dict(chosen))

    def __str__(self) -> str:
        return text_of(self)


def text_of(value: Any) -> str:
    """The text of a value inside a text. Raises RenderError for a file, and for what is no plain value."""
    if isinstance(value, str):
        # A plain one: a subclass of jinja2's would escape what is added to it.
        return str.__str__(value)
    if value is None or value is SKIPPED:
        return ""
    if isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, Output):
        return text_of(value.standing)
    if isinstance(value, (list, tuple)) and value and all(isinstance(part, (Output, Skipped)) for part in value):
        return "\n".join(text_of(part) for part in value if part)
    if isinstance(value, (dict, list, tuple)):
        return json_of(value, separators=(",", ":"))
    return _refuse(value)


def told(value: Any) -> Any:
    """What an expression gives to a parameter that is a text: each part of a list by itself."""
    if isinstance(value, (list, tuple)):
        return [told(part) for part in value]
    return text_of(value) if isinstance(value, dict) else value


def json_of(value: Any, **form: Any) -> str:
    """JSON with its letters unescaped. Raises RenderError for a file in it."""
    for found in references(value):
        kind = str(found.get("media_type", ""))[:40]
        raise RenderError(f"a stored file{f' ({kind})' if kind else ''} stands in a text", hint=FILE_HINT)
    return json.dumps(value, ensure_ascii=False, default=_refuse, **form)


def _refuse(value: Any) -> NoReturn:
    if isinstance(value, Undefined):
        # A strict undefined value raises when it is used, naming what is missing.
        str(value)
    raise RenderError(f"{with_article(type(value).__name__)} stands in a text, and has none of its own")
