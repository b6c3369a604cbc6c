"""Turns the output of one job into files: texts as .txt, tables as .csv, other values as .json, and each picture or file in them
as a file of its own, as it came. Where the files go is for `export`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from mimetypes import MimeTypes
from types import MappingProxyType
from typing import Any

from xtyl_engine.nodes.base import NodeType
from xtyl_engine.nodes.registry import main_value
from xtyl_engine.providers.schemas.fields import fields_of
from xtyl_engine.values.artifacts import JSON, KEY, SUFFIXES, TABLE, ArtifactStore, is_artifact
from xtyl_engine.values.images import sniff_image
from xtyl_engine.values.plain import encode
from xtyl_nb.runs.file_names import distinct

Keys = tuple[str, ...]
# What a file is by its first bytes, where the step that made it did not say.
_BEGINNINGS = (
    (re.compile(rb"%PDF-"), ".pdf"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"ID3"), ".mp3"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), ".wav"),
    (re.compile(rb"....ftyp(isom|iso2|mp4|avc1|M4V)", re.DOTALL), ".mp4"),
)
HEAD_BYTES = 16


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file that a result becomes: its name, and its content as bytes or as the reference of a stored file."""

    name: str
    content: bytes | Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The sha256 of the content."""
        return sha256(self.content).hexdigest() if isinstance(self.content, bytes) else str(self.content[KEY])

    def read(self, store: ArtifactStore) -> bytes:
        """The content. Raises ArtifactError for a stored file that is missing or damaged."""
        return self.content if isinstance(self.content, bytes) else store.read(self.content)


@dataclass(frozen=True, slots=True)
class _Table:
    columns: list[str]
    records: list[dict[str, Any]]


def delivered(
    kind: NodeType,
    output: Mapping[str, Any],
    config: Mapping[str, Any] = MappingProxyType({}),
    main_of: Callable[[str], str | None] = lambda node: None,
) -> Mapping[Any, Any]:
    """What of an output is saved, by name: every asset, or, under None, the value that stands for it, or all fields of an
    answer. `main_of` is as for `main_value`."""
    if kind.delivers:
        return output
    if (schema := kind.schema(config)) is not None:
        return {None: {name: output.get(name) for name in fields_of(schema)}}
    if ((main := kind.main_of(config)) is not None and main in output) or "of" in output:
        return {None: main_value(kind, output, config, main_of)}
    return {None: output["items"]} if isinstance(output.get("items"), list) else output


def files_of(assets: Mapping[Any, Any], prefix: str, store: ArtifactStore) -> list[ResultFile]:
    """The files that these assets become, each name beginning with `prefix`. A missing stored file is noticed when it is read."""
    parts = [part for name, asset in assets.items() for part in _parts(() if name is None else (name,), asset, store)]
    stems = iter(distinct("-".join(keys) for keys, _ in parts if keys))
    names = {keys: (f"{prefix}-{next(stems)}" if keys else prefix) + _suffix(part, store) for keys, part in parts}
    return [ResultFile(names[keys], part if is_artifact(part) else _text(keys, part, names)) for keys, part in parts]


def _parts(keys: Keys, value: Any, store: ArtifactStore) -> Iterator[tuple[Keys, Any]]:
    """What of a value becomes a file, each with its keys: the files in it, and itself if it holds anything else."""
    if is_artifact(value):
        if value.get("media_type") not in (JSON, TABLE):
            yield keys, value
            return
        value = json.loads(store.read(value))
        if isinstance(value, dict) and value.keys() == {"columns", "records"}:
            value = _Table(value["columns"], value["records"])
    inner = list(_inner_parts(keys, value, store))
    if value is not None and (not inner or _holds_more(value)):
        yield keys, value
    yield from inner


def _inner_parts(keys: Keys, value: Any, store: ArtifactStore) -> Iterator[tuple[Keys, Any]]:
    for more, part in _entries(value):
        yield from (_parts if is_artifact(part) else _inner_parts)((*keys, *more), part, store)


def _entries(value: Any) -> Iterator[tuple[Keys, Any]]:
    """The values inside a value, each with its keys."""
    if isinstance(value, _Table):
        yield from (
            ((str(row), name), record.get(name)) for row, record in enumerate(value.records) for name in value.columns
        )
    elif isinstance(value, dict) and not is_artifact(value):
        yield from (((name,), part) for name, part in value.items())
    elif isinstance(value, list):
        yield from (((str(place),), part) for place, part in enumerate(value))


def _holds_more(value: Any) -> bool:
    """Whether there is anything but files in a value."""
    if isinstance(value, (dict, list)):
        return not is_artifact(value) and any(_holds_more(part) for _, part in _entries(value))
    return value is not None


def _text(keys: Keys, value: Any, names: Mapping[Keys, str]) -> bytes:
    """The text of a file, with the names of files in place of what became one."""
    if isinstance(value, _Table):
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(value.columns)
        cells = iter(_cell((*keys, *more), cell, names) for more, cell in _entries(value))
        writer.writerows([next(cells) for _ in value.columns] for _ in value.records)
        return lines.getvalue().encode()
    if isinstance(value, (dict, list)):
        return json.dumps(_named(keys, value, names), ensure_ascii=False, indent=2).encode() + b"\n"
    return (value if isinstance(value, str) else encode(value)).encode()


def _cell(keys: Keys, value: Any, names: Mapping[Keys, str]) -> Any:
    value = _named(keys, value, names)
    return encode(value) if isinstance(value, (dict, list)) else value


def _named(keys: Keys, value: Any, names: Mapping[Keys, str]) -> Any:
    if is_artifact(value):
        return names.get(keys)
    if isinstance(value, dict):
        return {name: _named((*keys, name), part, names) for name, part in value.items()}
    if isinstance(value, list):
        return [_named((*keys, str(place)), part, names) for place, part in enumerate(value)]
    return value


def _suffix(value: Any, store: ArtifactStore) -> str:
    """The suffix of what a value is, whatever its media type says."""
    if not is_artifact(value):
        return ".csv" if isinstance(value, _Table) else ".json" if isinstance(value, (dict, list)) else ".txt"
    with contextlib.suppress(OSError), open(store.path(value), "rb") as file:
        head = file.read(HEAD_BYTES)
        if image := sniff_image(head):
            return SUFFIXES[image]
        if found := [suffix for beginning, suffix in _BEGINNINGS if beginning.match(head)]:
            return found[0]
    media_type = str(value.get("media_type")).partition(";")[0].strip().lower()
    return SUFFIXES.get(media_type) or MimeTypes().guess_extension(media_type) or ".bin"
