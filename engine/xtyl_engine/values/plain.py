"""Plain values: what nodes return and inputs hold, as JSON and references to stored files. Every value that enters the
engine's tables passes `plain` once. Imports no pandas, numpy or Pillow itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any

from xtyl_engine.errors import LimitExceeded, ValueNotPlain, with_article
from xtyl_engine.limits import MAX_INLINE_OUTPUT_BYTES, MAX_VALUE_DEPTH, MAX_VALUE_PARTS
from xtyl_engine.values.artifacts import JSON, KEY, Artifact, ArtifactStore, is_artifact
from xtyl_engine.values.cells import cells, exact
from xtyl_engine.values.foreign import MOST_CELLS, is_instance_of, is_missing, is_picture, simpler
from xtyl_engine.values.images import ImageRefused, picture_of, sniff_image

# Made once: `json.dumps` makes an encoder for each call.
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode
Place = tuple[str | int, ...]
RESERVED = frozenset({KEY})
_HINTS = {
    **dict.fromkeys(("set", "frozenset"), "Use sorted(value, key=str) or list(value)."),
    **dict.fromkeys(("generator", "map", "filter", "zip", "range", "dict_keys", "dict_values"), "Use list(value)."),
    "coroutine": "Await it first.",
    "Tensor": "Use value.detach().cpu().numpy().",
    "EagerTensor": "Use value.numpy().",
    "LazyFrame": "Use value.collect().",
    "Fraction": "Use float(value).",
    "complex": "Use [value.real, value.imag].",
    **dict.fromkeys(("Axes", "AxesSubplot"), "Use value.figure."),
}
_USUAL = "Use text, numbers, lists, dicts, dates, a DataFrame, a PIL image or bytes."


def plain(
    value: Any,
    store: ArtifactStore,
    *,
    where: str = "result",
    mends: bool = False,
    files: Container[str] | None = None,
) -> Any:
    """The value as plain JSON; tables, images and bytes inside it are saved and become references. With `mends`, texts are
    mended where they cannot be stored: a result is paid for. With `files`, a reference is one to a file of these digests.

    Raises ValueNotPlain for a part that cannot be stored, with its place such as `result["a"][3]`, its type and what to
    use instead.
    """
    return _Walk(store, where, mends, files).visit(value, ())


def plain_records(
    frame: Any,
    store: ArtifactStore,
    *,
    where: str = "result",
    mends: bool = False,
    files: Container[str] | None = None,
) -> list[dict[str, Any]]:
    """A DataFrame as a list of records of plain values, its named index levels first."""
    return _Walk(store, where, mends, files).records(frame, ())[1]


def is_frame(value: object) -> bool:
    """Whether a value is a DataFrame, without importing pandas."""
    return is_instance_of(value, "pandas", "DataFrame")


def encode(value: Any) -> str:
    """Plain values as compact JSON, mended where no database would take it."""
    return mend(_compact(value))


class Encoded(Mapping[str, Any]):
    """An output that is JSON already, as `encode` makes it: `text`. It is parsed only if it is read."""

    def __init__(self, text: str):
        self.text = text

    @cached_property
    def _value(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    def __getitem__(self, name: str) -> Any:
        return self._value[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def __len__(self) -> int:
        return len(self._value)


def spill(text: str, store: ArtifactStore) -> str:
    """Encoded JSON as it is kept in a row: the text, or, if it is too large, a reference to the artifact that holds it."""
    if len(text) * 4 <= MAX_INLINE_OUTPUT_BYTES or len(data := text.encode()) <= MAX_INLINE_OUTPUT_BYTES:
        return text
    return encode(store.save(data, JSON))


def unspill(text: str, store: ArtifactStore) -> Any:
    """The value that `spill` kept."""
    value = json.loads(text)
    if isinstance(value, dict) and value.get("media_type") == JSON and KEY in value:
        return json.loads(store.read(value))
    return value


def _array_hint(array: Any) -> str:
    """What to use in place of an array that may be several things."""
    if array.dtype.names is not None:
        return "Use pandas.DataFrame(value)."
    if array.size > MOST_CELLS:
        return "Use value.tobytes(), or save it to a file and return the file's bytes."
    if array.ndim == 3 and array.shape[2] in (3, 4):
        return (
            'A picture has bytes: use (value * 255).astype("uint8") for one from 0 to 1, or value.tolist() for numbers.'
        )
    return "Use value.tolist() for numbers, or PIL.Image.fromarray(value) for a picture."


def mend(text: str) -> str:
    """Text from outside that can be stored anywhere: halves of a surrogate pair are put together, and lone ones and NUL become
    U+FFFD."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str.replace(text, "\0", "\ufffd")


class _Walk:
    """One pass over one value. Holds the containers around the current part, to find cycles, and counts the parts."""

    def __init__(self, store: ArtifactStore, where: str, mends: bool, files: Container[str] | None):
        self.store = store
        self.where = where
        self.mends = mends
        self.files = files
        self.inside: set[int] = set()
        self.parts = 0

    def visit(self, value: Any, path: Place) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self.text(value, path)
        if kind is int:
            return self.integer(value, path)
        if kind is float:
            return self.number(value, path)
        if kind is dict or kind is list or kind is tuple:
            return self.container(value, path)
        try:
            return self.unusual(value, path)
        except (ValueNotPlain, LimitExceeded):
            raise
        except ImageRefused as error:
            raise self.refused(path, value, f"cannot be stored: {error.message}", error.hint or "") from error
        except Exception as error:
            # A hostile or broken type may raise from any method, its repr included.
            raise self.refused(path, value, f"raised {type(error).__name__} when it was read") from None

    def text(self, value: str, path: Place) -> str:
        if self.mends:
            return mend(value)
        if "\0" in value:
            raise self.refused(path, value, "holds a NUL character", 'Use value.replace("\\0", "").')
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                hint = 'Use value.encode("utf-8", "replace").decode().'
                raise self.refused(path, value, "holds half of a surrogate pair", hint) from None
        return value

    def integer(self, value: int, path: Place) -> int:
        if -(2**63) < value < 2**63:
            return value
        raise self.refused(path, value, "is beyond 64 bits", "Use float(value) or str(value).")

    def number(self, value: float, path: Place) -> float:
        if math.isfinite(value):
            return value
        name = "NaN" if value != value else "infinite"
        raise self.refused(path, value, f"is {name}", "Use None for a missing number.")

    def decimal(self, value: Any, path: Place) -> int | float:
        number = exact(value) if value.is_finite() else self.number(float(value), path)
        if number is None:
            raise self.refused(path, value, "has more digits than a number that is stored", "Use str(value).")
        return number

    def container(self, value: Any, path: Place) -> Any:
        self.parts += len(value)
        if self.parts > MAX_VALUE_PARTS:
            raise LimitExceeded(
                f"{self.place(path)} takes the value past {MAX_VALUE_PARTS:,} parts", hint="Return a table or bytes."
            )
        if id(value) in self.inside:
            raise self.refused(path, value, "contains itself", "Return a copy without the cycle.")
        if len(path) >= MAX_VALUE_DEPTH:
            raise self.refused(path, value, f"is nested deeper than {MAX_VALUE_DEPTH} levels", "Flatten it.")
        self.inside.add(id(value))
        try:
            return self.mapping(value, path) if isinstance(value, dict) else self.sequence(value, path)
        finally:
            self.inside.discard(id(value))

    def sequence(self, value: list[Any] | tuple[Any, ...], path: Place) -> list[Any]:
        return [self.visit(part, (*path, place)) for place, part in enumerate(value)]

    def mapping(self, value: dict[Any, Any], path: Place) -> dict[str, Any]:
        if self.files is not None and is_artifact(value) and value[KEY] not in self.files:
            # Also where there is no such file, so that the answer does not tell whether there is.
            raise self.refused(path, value, "refers to a file that its arguments do not hold", "Pass the file to it.")
        if not RESERVED.isdisjoint(value) and not self.store.keep(value):
            raise self.refused(path, value, f"has the reserved key {KEY!r}", "Rename the key.")
        return {self.key(key, path): self.visit(part, (*path, key)) for key, part in dict.items(value)}

    def key(self, key: Any, path: Place) -> str:
        if isinstance(key, str):
            return self.text(str.__str__(key), path)
        raise self.refused(
            path,
            key,
            "is a key, and keys are text",
            "Use str(key), or a list of pairs.",
            what=f"a key of {type(key).__name__}",
        )

    def unusual(self, value: Any, path: Place) -> Any:
        if isinstance(value, Enum):
            return self.visit(value.value, path)
        if isinstance(value, Artifact):
            return self.visit(dict(value.reference), path)
        if is_missing(value):
            return None
        # The base type's own conversions, so that a subclass's overrides never run.
        if isinstance(value, str):
            return self.text(str.__str__(value), path)
        if isinstance(value, int):
            return self.integer(int.__int__(value), path)
        if isinstance(value, float):
            return self.number(float.__float__(value), path)
        if isinstance(value, tuple) and isinstance(names := getattr(value, "_fields", None), tuple):
            return self.visit(dict(zip(names, value, strict=True)), path)
        if isinstance(value, (dict, list, tuple)):
            return self.container(value, path)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.data(bytes(value))
        return self.foreign(value, path)

    def foreign(self, value: Any, path: Place) -> Any:
        if is_instance_of(value, "decimal", "Decimal"):
            return self.decimal(value, path)
        if is_instance_of(value, "PIL.Image", "Image"):
            return self.store.save_picture(value)
        if is_frame(value):
            return self.store.save_table(*self.records(value, path))
        if is_instance_of(value, "numpy", "ndarray") and is_picture(value):
            return self.store.save_picture(picture_of(value))
        nearer = simpler(value)
        if nearer is value and is_instance_of(value, "numpy", "ndarray"):
            shape = " x ".join(map(str, value.shape))
            raise self.refused(
                path, value, "cannot be stored", _array_hint(value), what=f"an array of {shape} {value.dtype}"
            )
        if nearer is value:
            raise self.refused(path, value, "cannot be stored")
        return self.visit(nearer, path)

    def data(self, value: bytes) -> dict[str, Any]:
        return (
            self.store.save_image(value) if sniff_image(value) else self.store.save(value, "application/octet-stream")
        )

    def records(self, frame: Any, path: Place) -> tuple[list[str], list[dict[str, Any]]]:
        names = [name for name in frame.index.names if name is not None and name not in frame.columns]
        frame = frame.reset_index(names) if names else frame
        columns = [self.column(name, path) for name in frame.columns]
        if len(set(columns)) < len(columns):
            double = next(name for name in columns if columns.count(name) > 1)
            raise self.refused(path, frame, f"has the column {double!r} twice", "Rename one of them.")
        self.parts += len(columns) * len(frame)
        rows = zip(*(cells(frame.iloc[:, place]) for place in range(len(columns))), strict=True)
        return columns, [
            {name: self.cell(cell, (*path, row, name)) for name, cell in zip(columns, found, strict=True)}
            for row, found in enumerate(rows)
        ]

    def column(self, name: Any, path: Place) -> str:
        return self.text("_".join(map(str, name)) if isinstance(name, tuple) else str(name), path)

    def cell(self, value: Any, path: Place) -> Any:
        # In a table NaN is a missing value of pandas, so it is no mistake there.
        return None if isinstance(value, (float, Decimal)) and value != value else self.visit(value, path)

    def place(self, path: Place) -> str:
        shown = [str(part) if isinstance(part, int) else json.dumps(str(part)[:40]) for part in path[:8]]
        return self.where + "".join(f"[{part}]" for part in shown) + ("[...]" if len(path) > len(shown) else "")

    def refused(self, path: Place, value: Any, why: str, hint: str = "", *, what: str = "") -> ValueNotPlain:
        name = type(value).__name__
        what = what or ("a lambda" if name == "function" and value.__name__ == "<lambda>" else with_article(name))
        return ValueNotPlain(f"{self.place(path)}, {what}, {why}", hint=hint or _HINTS.get(name, _USUAL), type=name)
