"""Renders Jinja: the names that a text reads, and the text or value it gives for a row. The limits of Jinja are in
`sandbox`; this folder is the home of jinja2. Values are data: braces in them are never rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, TypeVar

from jinja2 import Template, Undefined, nodes
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context

from xtyl_engine.errors import LimitExceeded, RenderError, WorkflowException
from xtyl_engine.limits import MAX_PROMPT_BYTES, MAX_VALUE_DEPTH
from xtyl_engine.nodes.base import NodeType
from xtyl_engine.values.artifacts import is_artifact
from xtyl_engine.values.recent import remembers_texts
from xtyl_engine.workflow.templating.effort import EffortMeter, check_size
from xtyl_engine.workflow.templating.metering import METER
from xtyl_engine.workflow.templating.names import FEEDBACK, Names, NotAllowed, collect_uses
from xtyl_engine.workflow.templating.places import SHOWN, find_place, plainly
from xtyl_engine.workflow.templating.sandbox import CountedLoops, Sandbox, TooManyTokens
from xtyl_engine.workflow.templating.skipped import SKIPPED
from xtyl_engine.workflow.templating.texts import told
from xtyl_engine.workflow.templating.verbatim import Verbatim, collect_verbatim

T = TypeVar("T")
_RESULT = "value"
# An object's first name, or an object in an object, where Jinja's expression begins.
_JSON_BRACES = re.compile(r"""\{\{\s*(?:"[^"]*"|'[^']*'|\w+)\s*:|\{\{\s*\{|\{\{\s*\}\}""")
# Each run may bring texts of its own, of up to a megabyte.
KEPT_BYTES, COMPILED_BYTES = 16 * 1024 * 1024, 32 * 1024 * 1024
SHORT = 1024
_environment = Sandbox()


def is_jinja(text: str) -> bool:
    """Whether a text holds Jinja to render."""
    return "{{" in text or "{%" in text or "{#" in text


def _weight(text: str) -> int:
    """The bytes of a text and of the names in it, as measured: at most 800 for each `{{`, less for each part of a list."""
    return max(getsizeof(text) + 400 * text.count("{") + 100 * text.count(","), SHORT)


def _compiled_weight(text: str) -> int:
    """The bytes of a text and of its code, which takes four times the text and some 600 for each `{{` of its own."""
    return max(3 * getsizeof(text) + _weight(text), 4 * SHORT)


def read_names(text: str) -> Names:
    """The names that a text reads. Raises RenderError, with the line, for a syntax error or a construct not allowed."""
    return _names(text) if is_jinja(text) else Names()


@remembers_texts(KEPT_BYTES, _weight)
def _names(text: str) -> Names:
    return _guarded(text, lambda: collect_uses(_parsed(text), before=True))


def read_verbatim(text: str) -> Verbatim:
    """What a text tells as it stands. Raises RenderError for a text that cannot be read."""
    if not is_jinja(text):
        return Verbatim(words=(text,))
    return _guarded(text, lambda: collect_verbatim(_parsed(text)))


def is_expression(text: str) -> bool:
    """Whether a text is exactly one `{{ ... }}`, which gives a value and not a text."""
    return text.lstrip().startswith("{{") and text.rstrip().endswith("}}") and _is_one(text)


@remembers_texts(KEPT_BYTES, _weight)
def _is_one(text: str) -> bool:
    try:
        return _expression(_guarded(text, lambda: _parsed(text))) is not None
    except RenderError:
        return False


def iterate_texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text in a value of lists and dicts, but for those of a reference to a stored file. Raises LimitExceeded if they
    are nested too deep.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, dict)) and not is_artifact(value):
        _check_depth(depth)
        for part in value.values() if isinstance(value, dict) else value:
            yield from iterate_texts(part, depth + 1)


def render(value: Any, context: Mapping[str, Any], meter: EffortMeter | None = None) -> Any:
    """A config value with its Jinja rendered, in texts inside lists and dicts too; values that share a `meter` share one budget.

    A text that is exactly one expression gives the value of that expression, None for a skipped node's. Raises
    RenderError for missing names and fields, LimitExceeded for a result too large or an effort too long.
    """
    if isinstance(value, str) and not is_jinja(value):
        return value
    return _rendered(value, {**context, METER: meter or EffortMeter()}, 0)


def _rendered(value: Any, names: dict[str, Any], depth: int) -> Any:
    if isinstance(value, str):
        return _filled(value, names) if is_jinja(value) else value
    if not isinstance(value, (list, tuple, dict)) or is_artifact(value):
        # A reference is what its receipt was given for, word for word.
        return value
    _check_depth(depth)
    if isinstance(value, dict):
        return {key: _rendered(part, names, depth + 1) for key, part in value.items()}
    return [_rendered(part, names, depth + 1) for part in value]


def _filled(text: str, names: dict[str, Any]) -> Any:
    compiled, is_value = _compiled(text)
    try:
        context = compiled.new_context(names, shared=True)
        if is_value:
            return _evaluated(compiled, context)
        return _joined(compiled.root_render_func(context))
    except RenderError as error:
        raise _wrong(text, error.message, hint=error.hint) from error
    except WorkflowException:
        raise
    except UndefinedError as error:
        hint = (
            None if "not called" in str(error) else "Check the spelling, or give it a value: `{{ name|default('') }}`."
        )
        raise _wrong(text, str(error), hint=hint) from error
    except Exception as error:
        raise _wrong(text, f"{type(error).__name__}: {error}"[:500]) from error


def _evaluated(compiled: Template, context: Context) -> Any:
    for _ in compiled.root_render_func(context):
        pass
    value = context.vars[_RESULT]
    if isinstance(value, Undefined):
        # A strict undefined value raises when it is used.
        str(value)
    return None if value is SKIPPED else value


def _joined(pieces: Iterator[str]) -> str:
    parts, size = [], 0
    for piece in pieces:
        size += len(piece)
        check_size(size)
        parts.append(piece)
    text = "".join(parts)
    if size * 4 > MAX_PROMPT_BYTES:
        check_size(len(text.encode("utf-8", "surrogatepass")))
    return text


@remembers_texts(COMPILED_BYTES, _compiled_weight)
def _compiled(text: str) -> tuple[Template, bool]:
    """The compiled Jinja, and whether it gives a value."""

    def compile_jinja() -> tuple[Template, bool]:
        tree = _parsed(text)
        collect_uses(tree)
        expression = _expression(tree)
        if expression is not None:
            assignment = nodes.Assign(nodes.Name(_RESULT, "store", lineno=1), expression, lineno=1)
            tree = nodes.Template([assignment], lineno=1)
        tree.set_environment(_environment)
        return _environment.from_string(CountedLoops().visit(tree)), expression is not None

    return _guarded(text, compile_jinja)


def _parsed(text: str) -> nodes.Template:
    if len(text) > MAX_PROMPT_BYTES:
        raise LimitExceeded(
            f"Jinja text of {len(text):,} characters; {MAX_PROMPT_BYTES:,} is the most", hint="Shorten it."
        )
    return _environment.parse(text)


def _expression(tree: nodes.Template) -> nodes.Expr | None:
    """The one expression that a text consists of, apart from blanks around it."""
    if len(tree.body) != 1 or not isinstance(output := tree.body[0], nodes.Output):
        return None
    parts = [part for part in output.nodes if not (isinstance(part, nodes.TemplateData) and not part.data.strip())]
    return parts[0] if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData) else None


def _guarded(text: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except WorkflowException:
        raise
    except TemplateSyntaxError as error:
        raise _misspelt(text, error) from error
    except (RecursionError, MemoryError) as error:
        raise _wrong(text, "it is nested too deep") from error
    except (SyntaxError, ValueError, OverflowError) as error:
        raise _wrong(text, str(error)[:300]) from error


def _misspelt(text: str, error: TemplateSyntaxError) -> RenderError:
    """What is wrong with the Jinja of a text, with the line and a caret below the place."""
    word, hint = (error.word, error.advice) if isinstance(error, NotAllowed) else (None, None)
    place = None if isinstance(error, TooManyTokens) else find_place(_environment, text, word)
    message = plainly(error.message or "not Jinja", place)
    if place is None:
        return _wrong(text, message, line=error.lineno, hint=hint)
    where = f", in line {place.line}" if "\n" in text.strip() else ""
    return RenderError(
        f"{message}{where}:\n{place.shown()}",
        hint=hint or _braces_hint(text) or place.advice,
        line=place.line,
        template=_shown(text),
        written="" if word else place.written,
    )


def _wrong(text: str, message: str, *, line: int | None = None, hint: str | None = None) -> RenderError:
    place = f"{f' (line {line})' if line else ''}, in the text {_shown(text)!r}"
    return RenderError(f"{message}{place}", hint=hint, line=line, template=_shown(text))


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _braces_hint(text: str) -> str | None:
    """What to do where braces of JSON are read as Jinja's: an example of it in a prompt is written down as it is."""
    found = _JSON_BRACES.search(text)
    if found is None:
        return None
    example = f"{found.group().strip()[:30]}..."
    return (
        f"Braces of JSON stand between `{{% raw %}}` and `{{% endraw %}}`: write `{{% raw %}}{example}{{% endraw %}}`."
    )


def _check_depth(depth: int) -> None:
    if depth >= MAX_VALUE_DEPTH:
        raise LimitExceeded(f"values are nested deeper than {MAX_VALUE_DEPTH} levels", hint="Flatten them.")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked of one more option, and the texts of those that there are."""

    words: str
    before: tuple[str, ...] = ()

    @property
    def paragraph(self) -> str:
        """The wish as it stands after a prompt that has no place for it."""
        others = "".join(f"\n- {text}" for text in self.before)
        return f"\n\n{self.words}" + (f"\n\nMake another than these:{others}" if others else "")


def rendered(
    kind: NodeType, config: Mapping[str, Any], names: Mapping[str, Any], wish: Wish | None = None
) -> dict[str, Any]:
    """A node's config for one job: its Jinja rendered with the names that the job can read, under one budget. A wish stands where
    its texts read `feedback`, else after the first of them."""
    meter = EffortMeter()
    known = {FEEDBACK: "" if wish is None else wish.words, **names}
    values = {name: render(value, known, meter) if name in kind.rendered else value for name, value in config.items()}
    values |= {name: _as_words(name, values[name]) for name in kind.texts if name in values}
    first = next((name for name in kind.texts if isinstance(values.get(name), str)), None)
    if wish is not None and first is not None and (FEEDBACK in names or not _reads_feedback(kind, config)):
        values[first] += wish.paragraph
    return values


def _reads_feedback(kind: NodeType, config: Mapping[str, Any]) -> bool:
    texts = (text for name in kind.rendered for text in iterate_texts(config.get(name)))
    return any(use.path[0] == FEEDBACK for text in texts for use in read_names(text).uses)


def _as_words(name: str, value: Any) -> Any:
    try:
        return told(value)
    except RenderError as error:
        raise RenderError(f"`{name}`: {error.message}", hint=error.hint) from error
