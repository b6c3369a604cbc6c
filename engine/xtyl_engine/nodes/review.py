"""The node that waits for a person to choose. The handler lays out the options; `decide` turns a decision into the node's
output. Both are pure; storing a decision is for the scheduler.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from xtyl_engine.errors import DecisionRefused, PermanentError, with_article
from xtyl_engine.limits import MAX_ITEMS
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType, Wait

# Of the row's columns, beside its options.
MOST_SHOWN = 12
StoredOption = dict[str, Any]
Edits = Mapping[int, str | Mapping[str, str | Mapping[str, str]]]
Texts = Mapping[str, Sequence[str]]
"""By node, the fields of its answer that are free text."""


class ReviewConfig(NodeConfig):
    """Which node's items to choose from, how many, whether texts may be edited, and which columns of the row are shown."""

    of: str
    choose: int = Field(default=1, ge=1, le=MAX_ITEMS, strict=True)
    edit: bool = False
    instructions: str | None = None
    auto: Literal["first"] | None = None
    show: tuple[str, ...] | None = Field(default=None, max_length=MOST_SHOWN)


def run(config: ReviewConfig, context: Context) -> Done | Wait:
    """Lay out the options; decide at once where `auto` says so."""
    options = make_options(config.of, context.upstream)
    if not options:
        raise PermanentError(
            f"there is nothing to review: {config.of} has no items here",
            hint=f"Check why {config.of} made none, or put the review in the branch that makes them.",
        )
    shown = {
        "options": options,
        "choose": config.choose,
        "edit": config.edit,
        "instructions": config.instructions,
        "of": config.of,
    }
    if texts := _answer_texts(context.upstream):
        shown["texts"] = texts
    if config.auto is None:
        return Wait(output=shown)
    return decide(shown, choose=range(_required(shown)), edits=None, by="auto", comment=None)


def make_options(of: str, upstream: Mapping[str, Any]) -> list[StoredOption]:
    """One option per item of `of`, each with the upstream outputs that belong to that item."""
    reviewed = upstream.get(of)
    items = reviewed if isinstance(reviewed, list) else [reviewed]
    columns = {node: value if isinstance(value, list) else [value] * len(items) for node, value in upstream.items()}
    aligned = {node: column for node, column in columns.items() if len(column) == len(items)}
    return [
        {node: column[place] for node, column in aligned.items() if _is_there(column[place])}
        for place, item in enumerate(items)
        if _is_there(item)
    ]


def decide(
    waiting: Mapping[str, Any],
    *,
    choose: Sequence[int],
    edits: Edits | None = None,
    by: str | None = None,
    comment: str | None = None,
) -> Done:
    """The outcome of a decision on the options that a review shows.

    `edits` maps a chosen option to its new text, or to new texts by node; of an answer with fields, to new texts by field, by
    node and field, or to one that replaces its first text. The output holds the chosen option's nodes, or
    for `choose > 1` a list of such options under `items`, and besides them `choice`, `by` and `comment`. An edited option
    keeps the earlier texts under `original`. Raises DecisionRefused, saying what is allowed.
    """
    choice = _checked_choice(waiting, choose)
    texts = _checked_edits(waiting, edits or {}, choice)
    answers = waiting.get("texts", {})
    options = [_edited(waiting["options"][place], waiting["of"], texts.get(place), answers) for place in choice]
    decision = {"choice": choice, "by": by, "comment": comment, "of": waiting["of"]}
    if waiting["choose"] == 1:
        return Done(output={**decision, **options[0]})
    return Done(output={**decision, "items": options}, items=len(options))


def option_text(option: Mapping[str, Any], of: str, texts: Texts = MappingProxyType({})) -> str | None:
    """The text that stands for an option, and that an edit replaces; None if nothing in it is text."""
    node = _text_node(option, of, texts)
    return None if node is None else text_of(option[node], texts.get(node, ()))


def option_fields(option: Mapping[str, Any], of: str, texts: Texts) -> tuple[tuple[str, str], ...]:
    """The texts of the answer that an edit would change, by field; empty where it is one text."""
    node = _text_node(option, of, texts)
    return () if node is None else tuple((name, option[node].get(name) or "") for name in texts.get(node, ()))


def _answer_texts(upstream: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node, value in upstream.items():
        for each in value if isinstance(value, list) else [value]:
            if texts := getattr(each, "texts", ()):
                found[node] = list(texts)
    return found


def _is_there(value: Any) -> bool:
    # The output of a skipped node is no plain value.
    return isinstance(value, (Mapping, list, str, int, float))


def _required(waiting: Mapping[str, Any]) -> int:
    # After failures there may be fewer options than asked for: then all of them are chosen.
    return min(int(waiting["choose"]), len(waiting["options"]))


def _checked_choice(waiting: Mapping[str, Any], choose: Sequence[int]) -> list[int]:
    count, required = len(waiting["options"]), _required(waiting)
    allowed = _allowed(required, count)
    if isinstance(choose, (str, bytes)) or not isinstance(choose, Sequence):
        raise DecisionRefused(f"choose is {with_article(type(choose).__name__)}, not a list of options", hint=allowed)
    choice = [_option_number(place, allowed) for place in choose]
    if unknown := [place for place in choice if not 0 <= place < count]:
        raise DecisionRefused(f"there is no option {unknown[0]}: there are {count}", hint=allowed)
    if len(set(choice)) < len(choice):
        raise DecisionRefused(f"an option is chosen twice in {choice[:20]}", hint=allowed)
    if len(choice) != required:
        raise DecisionRefused(f"{len(choice)} options are chosen where {required} must be", hint=allowed)
    return choice


def _allowed(required: int, count: int) -> str:
    """The hint that says what may be chosen, and how: `Choose 1 of 0..3: choose=[n].`"""
    if required == count:
        return f"Choose all of them: choose={list(range(count))[:20]}."
    example = "[n]" if required == 1 else f"{list(range(required))[:20]}"
    return f"Choose {required} of 0..{count - 1}: choose={example}."


def _option_number(place: Any, allowed: str) -> int:
    try:
        if isinstance(place, bool):
            raise TypeError
        return operator.index(place)
    except TypeError:
        raise DecisionRefused(f"{str(place)[:40]!r} is not the number of an option", hint=allowed) from None


def _checked_edits(waiting: Mapping[str, Any], edits: Mapping[Any, Any], choice: list[int]) -> dict[int, Any]:
    if edits and not waiting["edit"]:
        raise DecisionRefused("this review takes no edits", hint="Write .review(..., edit=True) to allow them.")
    if not isinstance(edits, Mapping):
        raise DecisionRefused(
            f"edits is {with_article(type(edits).__name__)}", hint='Write {0: "new text"}, by the number of the option.'
        )
    texts = {}
    for place, text in edits.items():
        # In JSON every key is text.
        number = int(place) if isinstance(place, str) and place.isdecimal() else place
        if isinstance(number, bool) or number not in choice:
            raise DecisionRefused(
                f"option {str(place)[:40]} is edited and not chosen",
                hint=f"Edit only what is chosen: choose={choice[:20]}.",
            )
        texts[number] = text
    return texts


def _edited(option: StoredOption, of: str, edit: Any, texts: Texts) -> StoredOption:
    if edit is None:
        return option
    nearest = _text_node(option, of, texts)
    if isinstance(edit, str):
        if nearest is None:
            raise DecisionRefused("nothing in this option is text", hint="Choose it without edits.")
        edit = {nearest: edit}
    if not isinstance(edit, Mapping):
        raise DecisionRefused(
            f"an edit is {with_article(type(edit).__name__)}", hint='Write text, or {"headline": "new text"}.'
        )
    changed, original = dict(option), dict[str, Any]()
    for node, new in _by_node(option, nearest, edit, texts).items():
        fields = texts.get(node, ())
        before = text_of(option.get(node), fields)
        if isinstance(new, Mapping) and new and all(name in fields and isinstance(new[name], str) for name in new):
            original[node] = {name: option[node].get(name) for name in new}
            changed[node] = {**option[node], **new}
        elif before is not None and isinstance(new, str):
            original[node], changed[node] = before, _with_text(option[node], new, fields)
        else:
            raise _uneditable(option, node, new, texts)
    return {**changed, "original": original}


def _by_node(option: StoredOption, nearest: str | None, edit: Mapping[Any, Any], texts: Texts) -> dict[Any, Any]:
    """An edit by node: a name that is no node here, but a field of the nearest answer, means that field."""
    fields = texts.get(nearest or "", ())
    own = {name: text for name, text in edit.items() if name not in option and name in fields}
    return {name: new for name, new in edit.items() if name not in own} | ({nearest: own} if own else {})


def _uneditable(option: StoredOption, node: Any, new: Any, texts: Texts) -> DecisionRefused:
    if isinstance(new, Mapping) and (fields := texts.get(node, ())):
        hint = f"Edit one of its texts: {', '.join(fields)}."
        return DecisionRefused(f"{str(node)[:40]!r} has no such texts: {', '.join(map(str, new))[:80]}", hint=hint)
    able = [name for name in option if text_of(option[name], texts.get(name, ())) is not None]
    hint = f"Edit one of the texts here: {', '.join(able)}." if able else "Choose it without edits."
    return DecisionRefused(f"{str(node)[:40]!r} has no text to edit", hint=hint)


def _text_node(option: Mapping[str, Any], of: str, texts: Texts) -> str | None:
    nearest = [of, *reversed(list(option))]
    return next((node for node in nearest if text_of(option.get(node), texts.get(node, ())) is not None), None)


def text_of(value: Any, fields: Sequence[str] = ()) -> str | None:
    """The text of a node's output, of an answer with fields the first of its texts; None if it has none."""
    if fields and isinstance(value, Mapping):
        return str(value.get(fields[0]) or "")
    if isinstance(value, Mapping):
        value = value.get("text", value.get("value"))
    return value if isinstance(value, str) else None


def edits_of(option: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What was edited of a chosen option: the node, or its field as `ad.headline`, the text before, and the text now."""
    for node, before in option.get("original", {}).items():
        now = option.get(node)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from ((f"{node}.{name}", text or "", str(now.get(name))) for name, text in before.items())
        else:
            yield node, before, text_of(now) or ""


def _with_text(value: Any, text: str, fields: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return {**value, fields[0] if fields else "text" if "text" in value else "value": text}
    return text


NODE_TYPE = NodeType(
    name="review",
    config=ReviewConfig,
    run=run,
    fields=lambda config: ("choice", "by", "comment"),
    expands=True,
    waits=True,
    computed=True,
    card_height=110.0,
)
