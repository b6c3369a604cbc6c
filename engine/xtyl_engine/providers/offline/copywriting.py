"""Canned copy for the offline provider, a function of prompt and seed alone. It finds the product and the tone in a
prompt, and never repeats the prompt itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

TONES: dict[str, tuple[str, ...]] = {
    "playful": ("playful", "fun", "funny", "witty", "cheeky", "quirky", "whimsical", "silly", "lively"),
    "calm": ("calm", "quiet", "serene", "gentle", "soft", "soothing", "peaceful", "minimal", "minimalist", "zen"),
    "bold": ("bold", "confident", "strong", "daring", "energetic", "punchy", "dramatic", "fearless", "loud"),
    "warm": ("warm", "cozy", "cosy", "friendly", "homely", "heartfelt", "nostalgic", "tender", "kind"),
    "refined": ("refined", "elegant", "luxury", "luxurious", "premium", "sleek", "sophisticated", "classic", "formal"),
}
HEADLINES: dict[str, tuple[str, ...]] = {
    "playful": (
        "{p}: go on, make their day",
        "Plot twist: it's {p}",
        "{p}. Serious about fun",
        "Say hello to {p}",
        "Mondays, meet {p}",
        "{p}: small thing, big grin",
        "Who let {p} out?",
        "Warning: {p} may cause smiling",
    ),
    "calm": (
        "{p}, and the room goes quiet",
        "Slow down with {p}",
        "{p}. Nothing more needed",
        "A still moment, by {p}",
        "Breathe out. {p} is here",
        "{p}: ease, every day",
        "The quiet side of the day: {p}",
        "Let the day settle with {p}",
    ),
    "bold": (
        "{p}. No half measures",
        "Make room for {p}",
        "{p}: turn it all the way up",
        "This is {p}. Keep up",
        "Go first. Go {p}",
        "{p} changes the view",
        "Built to be noticed: {p}",
        "Louder than words: {p}",
    ),
    "warm": (
        "{p} feels like home",
        "Come in. {p} is waiting",
        "{p}, made for staying in",
        "Gather round {p}",
        "The good kind of everyday: {p}",
        "{p}: for the people you love",
        "Keep a little warmth. Keep {p}",
        "Old friends, new {p}",
    ),
    "refined": (
        "{p}. Quietly exceptional",
        "The art of {p}",
        "{p}, considered to the last detail",
        "Less, but {p}",
        "Made slowly. {p}",
        "{p}: a study in restraint",
        "An eye for {p}",
        "In fine company: {p}",
    ),
}
OPENINGS: dict[str, tuple[str, ...]] = {
    "playful": (
        "Meet {p}, the small upgrade your day has been winking at.",
        "{p} turned up early and brought good company.",
        "Some things are just more fun with {p} around.",
    ),
    "calm": (
        "{p} asks for nothing and gives the room back to you.",
        "With {p}, the evening finds its own pace.",
        "There is a quiet hour in every day, and {p} keeps it.",
    ),
    "bold": (
        "{p} was never going to blend in.",
        "Forget subtle: {p} walks in first.",
        "{p} does one thing, and does it without apology.",
    ),
    "warm": (
        "{p} is the first thing you reach for when friends stay late.",
        "Put {p} on the table and everybody moves a little closer.",
        "{p} makes an ordinary evening feel looked after.",
    ),
    "refined": (
        "{p} is drawn with few lines, each of them deliberate.",
        "Nothing about {p} is hurried, and it shows.",
        "{p} keeps its best details for those who look twice.",
    ),
}
CLOSINGS = (
    "Made to be used, and kept.",
    "Try it for a week; you will see.",
    "Yours from the first day on.",
    "Simple as that.",
    "Ready when you are.",
    "A good reason to start today.",
    "Here for the long run.",
    "See what it changes.",
)
NAMELESS = ("Something good", "The new arrival", "The one to keep", "A fresh start")
_STOPWORD_LIST = """
a an and the for of to in on with by from our your my this that it is as at or please write draft create
make give draw design paint generate produce short long one two three catchy simple great new headline
headlines tagline slogan title copy text sentence sentences paragraph line caption poster image picture
photo illustration banner ad advert advertisement post social media email product campaign brief about
called named tone style words word max maximum under description blurb story name than more not no launch
marketing brand you are copywriter
"""
STOPWORDS = frozenset(_STOPWORD_LIST.split())
_SHORT = re.compile(r"\b(headline|tagline|slogan|title|caption|subject line)s?\b", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:for|about|of|called|named|featuring|introducing|selling|product|für|pour|para|per)\b[:\s]+", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_][\w'’&+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a prompt asks for, as far as the canned copy depends on it."""

    product: str | None
    tone: str
    short: bool


def read_brief(prompt: str) -> Brief:
    """Find the product, the tone and the kind of text in a prompt."""
    words = [word.lower() for word in _WORD.findall(prompt[:4000])]
    found = [tone for word in words for tone, names in TONES.items() if word in names]
    tone = found[0] if found else _random(prompt, "tone").choice(sorted(TONES))
    return Brief(product=find_product(prompt), tone=tone, short=bool(_SHORT.search(prompt)))


def find_product(prompt: str) -> str | None:
    """The product that a prompt is about, at most four words: the words after `for` and the like, else the longest
    capitalised name, else the first words that are no stop words; None if there are none."""
    prompt = prompt[:4000]
    for match in _NAMED.finditer(prompt):
        if name := _leading_name(prompt[match.end() :]):
            return name
    capitals = [_leading_name(prompt[match.start() :]) for match in _WORD.finditer(prompt) if match[0][0].isupper()]
    named = [name for name in capitals if name]
    if named:
        return max(named, key=len)
    found = (_leading_name(prompt[match.start() :]) for match in _WORD.finditer(prompt[:400]))
    return next((name for name in found if name), None)


def write_copy(prompt: str, seed: int) -> str:
    """A headline if the prompt asks for one, else a sentence or two. Equal prompts differ by seed."""
    brief = read_brief(prompt)
    product = brief.product or _pick(NAMELESS, prompt, "name", seed)
    if brief.short:
        return _capital(_pick(HEADLINES[brief.tone], prompt, "headline", seed).replace("{p}", product))
    opening = _capital(_pick(OPENINGS[brief.tone], prompt, "opening", seed).replace("{p}", product))
    return f"{opening} {_pick(CLOSINGS, prompt, 'closing', seed)}"


def _leading_name(text: str) -> str | None:
    """The first words of a text, without articles, up to a stop word or a punctuation mark."""
    name: list[str] = []
    end = 0
    for match in _WORD.finditer(text[:200]):
        gap, word = text[end : match.start()], match[0]
        if name and (gap.strip() or "\n" in gap):
            break
        end = match.end()
        if word.lower() in STOPWORDS or any(word in names for names in TONES.values()):
            if name or word.lower() not in ("a", "an", "the", "our", "your", "my", "new"):
                break
            continue
        name.append(word[:24])
        if len(name) == 4:
            break
    return " ".join(name) or None


def _pick(choices: Sequence[str], prompt: str, part: str, seed: int) -> str:
    # Shuffled by prompt, then stepped by seed: the items of one node differ until all lines are used.
    order = list(choices)
    _random(prompt, part).shuffle(order)
    return order[seed % len(order)]


def _random(prompt: str, part: str) -> random.Random:
    return random.Random(sha256(f"{part}\0{prompt}".encode("utf-8", "replace")).digest())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
