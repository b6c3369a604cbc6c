"""What a model refuses of a request's parameters. What the user did not ask for is left out or spelt otherwise, and asked again
at once, since nothing was made and nothing is billed; what the user did ask for is refused in words. Remembered in this process
for each server and model, because each job has a new provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.openai.replies import Reply
from xtyl_engine.providers.reasons import Reason
from xtyl_engine.values.recent import Recent

# The same meaning under another name, for models of later times.
RESPELT = {"max_tokens": "max_completion_tokens"}
_REFUSING = frozenset({200, 400, 422})
_UNKNOWN = re.compile(
    r"unsupported|not (?:be )?support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|deprecated|cannot find",
    re.IGNORECASE,
)
Manners = Mapping[str, str | None]
"""How a model wants its parameters: under which name, or not at all."""
_known: Recent[tuple[str, ...], Manners] = Recent(1000)


def negotiated(
    send: Callable[[dict[str, Any]], Reply], offered: Mapping[str, Any], asked: Collection[str], *about: str
) -> tuple[Reply, tuple[str, ...]]:
    """The reply to a request with as many of the offered parameters as the model takes, and what became of the others, in words.
    `asked` are those that the user set. `about` is the server, the model and what is made.

    Raises PermanentError if the model refuses one that the user set.
    """
    former = manners = _known.get(about) or {}
    while True:
        body = _spelt(offered, asked, manners)
        reply = send(body)
        reason = reply.reason
        if reason is None or (reason.status or reply.status) not in _REFUSING:
            break
        change = _learned(reason, reply, body, asked, about[1])
        if not change:
            break
        manners = {**manners, **change}
    if reply.reason is None and manners != former:
        _known.put(about, manners)
    return reply, _notes(manners, offered, asked, about[1])


def _spelt(offered: Mapping[str, Any], asked: Collection[str], manners: Manners) -> dict[str, Any]:
    # What the user set is always sent: the server may take it by now, and its own words say why it does not.
    names = {name: manners.get(name, name) or (name if name in asked else None) for name in offered}
    return {spelt: offered[name] for name, spelt in names.items() if spelt is not None}


def _learned(reason: Reason, reply: Reply, body: Mapping[str, Any], asked: Collection[str], model: str) -> Manners:
    """How the model wants what it refused of this body; empty where its reason is none of them."""
    former = {other: name for name, other in RESPELT.items()}
    refused = {former.get(spelt, spelt): spelt for spelt in body if _names(reason, spelt)}
    for name, other in RESPELT.items():
        if name in body and (other in reason.words or (name in refused and _is_unknown(reason))):
            return {name: other}
    if unasked := {name: None for name in refused if name not in asked}:
        return unasked
    if refused:
        name = min(refused)
        raise PermanentError(
            f"{model} refuses `{name}`: the server answered {reason.status or reply.status}: {reason.words}",
            hint=f"Leave `{name}` out or change it, or choose another model.",
            usage=reply.usage,
        )
    return {}


def _names(reason: Reason, spelt: str) -> bool:
    if reason.parameter is not None:
        # Of a schema the place within it may be named, as `response_format.json_schema`.
        return re.split(r"[.\[]", reason.parameter)[0] == spelt
    # One letter is a word of many sentences, and a name only in quotation marks or behind a dot.
    pattern = rf"""(?<![\w-]){spelt}(?![\w-])""" if len(spelt) > 1 else rf"""['"`.\\]{spelt}(?![\w-])"""
    return re.search(pattern, reason.words) is not None


def _is_unknown(reason: Reason) -> bool:
    return "unsupported" in reason.code or "unknown" in reason.code or _UNKNOWN.search(reason.words) is not None


def _notes(manners: Manners, offered: Mapping[str, Any], asked: Collection[str], model: str) -> tuple[str, ...]:
    kept = {name: spelt for name, spelt in manners.items() if name in offered and (spelt or name not in asked)}
    return tuple(
        f"`{name}` was left out: {model} refuses it."
        if spelt is None
        else f"`{name}` was sent as `{spelt}`, as {model} wants it."
        for name, spelt in kept.items()
    )
