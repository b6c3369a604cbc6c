"""Reads the file of prices that `XTYL_PRICES` names: for contracts, local models, and what no price list knows. A file that
cannot be used is an error that names the line, and what is allowed there; nothing is guessed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from xtyl_engine.errors import PermanentError, closest_name

VARIABLE = "XTYL_PRICES"
MILLION = 1_000_000
NANO = 1_000_000_000
MOST_BYTES = 1_000_000
MOST_DOLLARS = 1_000_000
MOST_DIGITS = 30
TOKENS = ("input", "cached", "output", "image_tokens")
PIECES = ("image", "request")
NAMES = ("model", "provider", "server")
TOP = ("date", "price")
ADVICE = "See docs/costs.md for a whole file."
_TABLE = re.compile(r"\s*\[\[\s*price\s*\]\]")


class PricesInvalid(PermanentError, ValueError):
    """The file of prices cannot be used."""

    code = "prices/invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePrice:
    """The price of the models whose names fit one of `models`, of any provider and server where none is named. Amounts are whole
    1e-9 dollars: for a million tokens of each kind, for one image, for one request."""

    models: tuple[str, ...]
    provider: str | None = None
    server: str | None = None
    amounts: Mapping[str, int] = field(default_factory=dict)

    def fits(self, provider: str, server: str | None, model: str) -> bool:
        """Whether this is the price of a model, given by its name, its provider, and the server where it is another one."""
        if self.provider not in (None, provider) or self.server not in (None, server):
            return False
        return any(fnmatchcase(model.lower(), pattern.lower()) for pattern in self.models)

    def cost(self, tokens: Mapping[str, int | None], images: int) -> int | None:
        """What an answer costs, in whole 1e-9 dollars, halves to the even; None where a number that has a price is not known."""
        total = (self.amounts.get("request", 0) + self.amounts.get("image", 0) * images) * MILLION
        for name in TOKENS if "input" in self.amounts else ():
            count, amount = tokens[name], self._amount(name)
            if count is None and amount:
                return None
            total += (count or 0) * amount
        return rounded(total, MILLION)

    def _amount(self, name: str) -> int:
        known = self.amounts.get(name)
        return known if known is not None else self.amounts[{"cached": "input", "image_tokens": "output"}[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFile:
    """The prices of one file, the first that fits counts. `source` names the file and the day as of which they are."""

    prices: tuple[FilePrice, ...]
    source: str

    def find(self, provider: str, server: str | None, models: Iterable[str]) -> FilePrice | None:
        """The price of the first of these models that has one."""
        found = (each for model in models for each in self.prices if each.fits(provider, server, model))
        return next(found, None)


def rounded(amount: int, by: int) -> int:
    """A whole number divided by another: to the nearest, and halfway between two to the even one."""
    whole, rest = divmod(amount, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2))


_read: dict[str, tuple[tuple[int, int], PriceFile]] = {}


def price_file(environment: Mapping[str, str]) -> PriceFile | None:
    """The file of prices that the environment names, read anew once it has changed. Raises PricesInvalid."""
    if not (text := environment.get(VARIABLE, "").strip()):
        return None
    path = Path(text).expanduser()
    try:
        found = path.stat()
        stamp, known = (found.st_mtime_ns, found.st_size), _read.get(text)
        if known is None or known[0] != stamp:
            if found.st_size > MOST_BYTES:
                _refuse(path, f"it has {found.st_size:,} bytes; at most {MOST_BYTES:,}", "Name a file of prices.")
            day = datetime.fromtimestamp(found.st_mtime, UTC).date()
            known = _read[text] = stamp, parse(path, path.read_bytes(), day)
    except OSError as error:
        _refuse(path, f"it cannot be read: {error.strerror}", f"Set {VARIABLE} to the path of a file, or leave it out.")
    return known[1]


def parse(path: Path, data: bytes, day: date) -> PriceFile:
    """The prices in a file that was changed on this day. Raises PricesInvalid."""
    try:
        text = data.decode()
        # Prices are decimal: 0.1 is no binary fraction.
        whole = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        _refuse(path, f"it is no TOML: {error}", ADVICE)
    _known(path, "", whole, TOP)
    told, tables = whole.get("date", day), whole.get("price")
    if type(told) is not date:
        _refuse(path, f"`date` is {_shown(told)}", "Write a day, without quotes: date = 2026-11-30.")
    if not (isinstance(tables, list) and tables and all(isinstance(each, dict) for each in tables)):
        _refuse(path, "it holds no prices", "Write each price under a line [[price]].")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _TABLE.match(line)]
    places = [f"line {lines[at]}: " if len(lines) == len(tables) else f"price {at + 1}: " for at in range(len(tables))]
    prices = tuple(_price(path, place, table) for place, table in zip(places, tables, strict=True))
    return PriceFile(prices=prices, source=f"{VARIABLE} {path.name}, {told.isoformat()}")


def _price(path: Path, place: str, table: Mapping[str, Any]) -> FilePrice:
    _known(path, place, table, (*NAMES, *TOKENS, *PIECES))
    models = table.get("model")
    patterns = [models] if isinstance(models, str) else models
    if not (isinstance(patterns, list) and patterns and all(isinstance(each, str) and each for each in patterns)):
        _refuse(path, f"{place}`model` is {_shown(models)}", 'Name a model, a pattern or a list: model = "gpt-5*".')
    names = {name: _name(path, place, name, table[name]) for name in ("provider", "server") if name in table}
    if "server" in names:
        names["server"] = names["server"].rstrip("/")
    amounts = {name: _amount(path, place, name, table[name]) for name in (*TOKENS, *PIECES) if name in table}
    if not amounts or ({"input", "output"} & amounts.keys() and not {"input", "output"} <= amounts.keys()):
        _refuse(path, f"{place}it has no whole price", "Give `input` and `output`, `image`, or `request`.")
    if {"cached", "image_tokens"} & amounts.keys() and "input" not in amounts:
        _refuse(path, f"{place}`cached` and `image_tokens` stand alone", "Give `input` and `output` beside them.")
    return FilePrice(models=tuple(patterns), amounts=amounts, **names)


def _known(path: Path, place: str, table: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in table:
        if name not in allowed:
            _refuse(path, f"{place}there is no key {name[:60]!r}", closest_name(name, allowed))


def _name(path: Path, place: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(path, f"{place}`{name}` is {_shown(value)}", "Write a text between quotes, or leave it out.")
    return value.strip()


def _amount(path: Path, place: str, name: str, value: Any) -> int:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        told = Decimal(value)
        # Of a number with a million digits no fraction is made.
        if told.is_finite() and 0 <= told <= MOST_DOLLARS and int(told.as_tuple().exponent) > -MOST_DIGITS:
            top, bottom = told.as_integer_ratio()
            if top * NANO % bottom == 0:
                return top * NANO // bottom
    return _refuse_amount(path, place, name, value)


def _refuse_amount(path: Path, place: str, name: str, value: Any) -> NoReturn:
    unit = "a million tokens" if name in TOKENS else f"one {name}"
    allowed = f"Write dollars for {unit}, from 0 to {MOST_DOLLARS:,}, with at most 9 digits behind the point."
    _refuse(path, f"{place}`{name}` is {_shown(value)}", allowed)


def _shown(value: Any) -> str:
    return "missing" if value is None else str(value)[:60] if isinstance(value, Decimal) else repr(value)[:60]


def _refuse(path: Path, why: str, hint: str) -> NoReturn:
    raise PricesInvalid(f"the prices of {VARIABLE}, {path}: {why}", hint=hint)
