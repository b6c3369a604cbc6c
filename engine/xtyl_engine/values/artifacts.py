"""The artifact store: files named by the hash of their content, so equal files are kept once and no name comes from
outside. A reference is a small JSON object that travels through outputs. Old files are removed by `database.retention`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard

from xtyl_engine.errors import PermanentError
from xtyl_engine.failpoints import Point, failpoint
from xtyl_engine.settings import make_folder
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_engine.values.images import check_image, encode_png, open_image
from xtyl_engine.values.thumbnails import scaled

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("xtyl")
KEY = "$artifact"
JSON = "application/json"
TABLE = "application/vnd.xtyl.table+json"
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    JSON: ".json",
    TABLE: ".json",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
# Not EFBIG: it is a limit of this process, and waiting does not lift it.
FULL = (ENOSPC, EDQUOT)
WRITE_AGAIN_SECONDS = 1.0
# A sweep removes only old files, so a new reference makes its file new, unless the file is younger than this already.
FRESH_SECONDS = 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ArtifactError(PermanentError, OSError):
    """A stored file is missing, damaged, or not a reference to one."""

    code = "artifact/error"


def is_artifact(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value looks like a reference. Only the store knows whether the file exists."""
    return isinstance(value, Mapping) and issubclass(type(value.get(KEY)), str)


def references(value: object) -> Iterator[Mapping[str, Any]]:
    """Every reference inside a plain value."""
    if is_artifact(value):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from references(part)


def with_references(value: Any, change: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A plain value with each reference inside it changed: a hash says nothing to people."""
    if is_artifact(value):
        return change(value)
    if isinstance(value, Mapping):
        return {name: with_references(part, change) for name, part in value.items()}
    return [with_references(part, change) for part in value] if isinstance(value, list) else value


def kind_of_file(reference: Mapping[str, Any]) -> str:
    """What stands for a stored file in a text."""
    return str(reference.get("media_type") or "file")


class ArtifactStore:
    """Files under one folder, private to its owner, each written whole or not at all. On a full disk a write is tried again
    for `patience_seconds`: a worker holds paid results, any other process fails at once. `waited_seconds` has the total wait
    per thread id; `on_full` is called before each wait."""

    def __init__(self, folder: str | os.PathLike[str], *, patience_seconds: float = 0.0):
        self.folder = Path(folder)
        self.patience_seconds = patience_seconds
        self.waited_seconds: dict[int, float] = {}
        self.on_full: Callable[[float], None] = lambda seconds: None

    def __repr__(self) -> str:
        return f"ArtifactStore({str(self.folder)!r})"

    def save(self, data: bytes, media_type: str, **facts: Any) -> dict[str, Any]:
        """Store bytes and return their reference. The file is durable when this returns."""
        reference = {KEY: sha256(data).hexdigest(), "media_type": media_type, "size": len(data), **facts}
        path = self.path(reference)
        if not (_freshen(path) and path.stat().st_size == len(data)):
            self._insist(path, data)
        return reference

    def _insist(self, path: Path, data: bytes) -> None:
        deadline, thread = time.monotonic() + self.patience_seconds, threading.get_ident()
        while True:
            try:
                return _write_durably(path, data)
            except OSError as error:
                if error.errno not in FULL or time.monotonic() >= deadline:
                    raise
                log.error("the disk is full: a result of %d bytes waits for room in %s", len(data), self.folder)
            self.waited_seconds[thread] = self.waited_seconds.get(thread, 0.0) + WRITE_AGAIN_SECONDS
            self.on_full(WRITE_AGAIN_SECONDS)
            time.sleep(WRITE_AGAIN_SECONDS)

    def path(self, reference: Mapping[str, Any]) -> Path:
        """Where the file of a reference is, or would be. Refuses anything but a sha256, so no name can lead elsewhere."""
        digest = reference.get(KEY)
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise ArtifactError(
                f"{str(digest)[:80]!r} is not the name of an artifact, which is 64 hexadecimal digits",
                hint="Pass on the reference as the earlier step made it.",
            )
        suffix = SUFFIXES.get(str(reference.get("media_type")), ".bin")
        return self.folder / digest[:2] / digest[2:4] / f"{digest}{suffix}"

    def prepare(self, outputs: Iterable[str]) -> None:
        """Prepare to read the files that these outputs, as text, refer to. Local files need no preparation."""

    def original(self, path: str) -> str:
        """The full-size file of a picture that may have been scaled. Local pictures are not scaled."""
        return path

    def knows(self, value: object) -> TypeGuard[Mapping[str, Any]]:
        """Whether a value is a reference to a file of this store."""
        return is_artifact(value) and _DIGEST.fullmatch(value[KEY]) is not None and self.path(value).is_file()

    def keep(self, value: object) -> TypeGuard[Mapping[str, Any]]:
        """Like `knows`, for a caller about to record another reference: until that is recorded, no sweep removes the file
        or, for a table, the files it refers to. False also where one of them is missing."""
        if not (self.knows(value) and (age := _freshen(self.path(value)))):
            return False
        if age < FRESH_SECONDS or value.get("media_type") not in (JSON, TABLE):
            return True
        try:
            return all(self.keep(inner) for inner in references(json.loads(self.read(value))))
        except ArtifactError:
            return False

    def keep_all(self, text: str) -> bool:
        """Keep every file that an output refers to. Return whether all of them exist."""
        return f'"{KEY}"' not in text or all(self.keep(each) for each in references(json.loads(text)))

    def digests(self, value: Any) -> Iterator[str]:
        """The digest of every file that a plain value refers to, and of those that its tables and JSON files do."""
        for each in filter(self.knows, references(value)):
            yield each[KEY]
            if each.get("media_type") in (JSON, TABLE):
                yield from self.digests(json.loads(self.read(each)))

    def read(self, reference: Mapping[str, Any]) -> bytes:
        """The bytes of a reference. Raises ArtifactError if the file is missing or has changed."""
        path = self.path(reference)
        with _translated(path):
            data = path.read_bytes()
        _check_digest(path, sha256(data).hexdigest())
        return data

    def open(self, reference: Mapping[str, Any]) -> BinaryIO:
        """The file of a reference, at its beginning: verified, and never in memory as a whole. Raises ArtifactError."""
        path = self.path(reference)
        with _translated(path), ExitStack() as kept:
            file = kept.enter_context(path.open("rb"))
            _check_digest(path, file_digest(file, "sha256").hexdigest())
            file.seek(0)
            kept.pop_all()
        return file

    def save_image(self, data: bytes, **facts: Any) -> dict[str, Any]:
        """Store an encoded image after decoding it safely; the reference carries `width` and `height`.

        Raises LimitExceeded, before decoding, for an image that is too large, ImageRefused for anything but a whole image.
        """
        media_type, width, height = check_image(data)
        return self.save(data, media_type, width=width, height=height, **facts)

    def save_picture(self, picture: Image) -> dict[str, Any]:
        """Store a PIL image as PNG, upright and with the same values. Raises what `encode_png` raises."""
        data, width, height = encode_png(picture)
        return self.save(data, "image/png", width=width, height=height)

    def scaled(self, reference: Mapping[str, Any], size: int) -> tuple[bytes, str]:
        """A stored image, no side longer than `size` pixels, and its media type.

        Raises ArtifactError for a missing file, and what `scale_image` raises."""
        path = self.path(reference)
        with _translated(path):
            return scaled(path, size)

    def save_table(self, columns: list[str], records: list[dict[str, Any]]) -> dict[str, Any]:
        """Store a table of plain values, readable without pandas."""
        text = json.dumps({"columns": columns, "records": records}, separators=(",", ":"), allow_nan=False)
        return self.save(text.encode(), TABLE, rows=len(records), columns=columns)

    def artifact(self, reference: Mapping[str, Any]) -> Artifact:
        """The reference as a user's function receives it."""
        return Artifact(reference=dict(reference), store=self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A stored file as a user's function receives it: a path for any library, or `open()` for its content."""

    reference: Mapping[str, Any]
    store: ArtifactStore

    @property
    def media_type(self) -> str:
        return str(self.reference.get("media_type"))

    @property
    def path(self) -> Path:
        return self.store.path(self.reference)

    def __fspath__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """The bytes, verified."""
        return self.store.read(self.reference)

    def open(self) -> Any:
        """The content: a PIL image, a table's records, a JSON value, text, or else bytes."""
        data = self.read()
        if self.media_type.startswith("image/"):
            return open_image(data)
        if self.media_type == TABLE:
            return json.loads(data)["records"]
        if self.media_type == JSON:
            return json.loads(data)
        return data.decode() if self.media_type.startswith("text/") else data


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"the artifact {path.name} cannot be read: {error.strerror}",
            hint="Check whether XTYL_HOME/artifacts was moved or cleaned; run the step again to make the file anew.",
        ) from error


def _check_digest(path: Path, found: str) -> None:
    if found != path.stem:
        raise ArtifactError(
            f"the artifact {path.name} is damaged: its content no longer matches its name",
            hint="Delete the file, and run the step that made it again.",
        )


def _freshen(path: Path) -> float | None:
    """Make an old file new. Return its age until then, above zero, or None where there is no file of ours."""
    try:
        age = time.time() - path.stat().st_mtime
        if age > FRESH_SECONDS:
            os.utime(path)
    except FileNotFoundError:
        return None
    except PermissionError:
        # The file belongs to another user: written anew, it is ours.
        return None
    return max(age, 0.001)


def _write_durably(path: Path, data: bytes) -> None:
    for folder in (path.parent.parent.parent, path.parent.parent, path.parent):
        make_folder(folder)
    write_atomically(path, data, durable=True, before_renaming=lambda: failpoint(Point.ARTIFACT_WRITTEN))
    failpoint(Point.ARTIFACT_KEPT)
