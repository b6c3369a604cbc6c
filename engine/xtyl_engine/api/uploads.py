"""Files that are uploaded to the API: checked, stored, and given a receipt for the project that sent them. Downloads are in
`scoped_queries`.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from xtyl_engine.api.bodies import parse
from xtyl_engine.errors import BackendError, PermanentError
from xtyl_engine.values.artifacts import JSON, KEY, TABLE, ArtifactStore, is_artifact, references
from xtyl_engine.values.images import sniff_image

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,80}")


class FileRefused(PermanentError, ValueError):
    """The file does not match its media type."""

    code = "artifact/refused"


def deposit(store: ArtifactStore, receipts: Receipts, project: str, data: bytes, media_type: str) -> dict[str, Any]:
    """Store a file and return its reference with a receipt.

    Raises ImageRefused and LimitExceeded for an image that is invalid or too large, FileRefused, ReceiptRefused for a table that
    refers to another project's file, and BackendError if it cannot be stored.
    """
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise FileRefused("this is not a media type", hint="Write it as image/png, text/csv or application/json.")
    try:
        return receipts.give(project, _stored(store, receipts, project, data, media_type))
    except OSError as error:
        if isinstance(error, PermanentError):
            raise
        raise BackendError(f"the file cannot be stored: {error.strerror}") from error


def _stored(store: ArtifactStore, receipts: Receipts, project: str, data: bytes, media_type: str) -> dict[str, Any]:
    if media_type.startswith("image/") or sniff_image(data):
        return store.save_image(data)
    if media_type not in (JSON, TABLE):
        return store.save(data, media_type)
    value = receipts.take(project, parse(data), store.keep)
    if media_type == TABLE:
        return store.save_table(*_checked_table(value))
    # The bytes as they were sent, unless receipts were in them.
    has_references = next(references(value), None) is not None
    return store.save(json.dumps(value, separators=(",", ":")).encode() if has_references else data, JSON)


def _checked_table(value: Any) -> tuple[list[str], list[dict[str, Any]]]:
    columns, records = (value.get(name) for name in ("columns", "records")) if isinstance(value, dict) else (None, None)
    is_named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    if not (is_named and isinstance(records, list) and all(isinstance(each, dict) for each in records)):
        raise FileRefused("this is not a table", hint='Send {"columns": [names], "records": [{name: value}]}.')
    return columns, records  # type: ignore[return-value]


FIELD = "receipt"


class ReceiptRefused(PermanentError, ValueError):
    """A reference to a stored file does not come with this project's receipt."""

    code = "artifact/receipt"


class Receipts:
    """Signs and checks receipts with the key of the back end, which is read when it is first needed."""

    def __init__(self, key: Callable[[], bytes]):
        self._key = key

    def give(self, project: str, reference: Mapping[str, Any]) -> dict[str, Any]:
        """The reference with its receipt."""
        return {**reference, FIELD: self._sign(project, reference)}

    def take(self, project: str, value: Any, is_kept: Callable[[object], bool]) -> Any:
        """A value with the receipts of all its references checked and removed. Raises ReceiptRefused, also for a file that no
        longer exists."""
        if isinstance(value, dict):
            return self._taken(project, value, is_kept) if KEY in value else self._parts(project, value, is_kept)
        return [self.take(project, part, is_kept) for part in value] if isinstance(value, list) else value

    def _parts(self, project: str, value: dict[str, Any], is_kept: Callable[[object], bool]) -> dict[str, Any]:
        return {name: self.take(project, part, is_kept) for name, part in value.items()}

    def _taken(self, project: str, value: dict[str, Any], is_kept: Callable[[object], bool]) -> dict[str, Any]:
        given = value.get(FIELD)
        right = self._sign(project, value)
        if not (is_artifact(value) and isinstance(given, str) and hmac.compare_digest(given.encode(), right.encode())):
            raise ReceiptRefused(
                f"the file {str(value[KEY])[:80]!r} was not stored for this project",
                hint="POST its bytes to /api/artifacts and refer to it by the whole answer, receipt included.",
            )
        taken = {name: part for name, part in value.items() if name != FIELD}
        if not is_kept(taken):
            raise ReceiptRefused(
                f"the file {str(value[KEY])[:80]!r} no longer exists", hint="POST its bytes to /api/artifacts again."
            )
        return taken

    def _sign(self, project: str, reference: Mapping[str, Any]) -> str:
        words = ["artifact", project, str(reference[KEY])]
        if reference.get("media_type") in (JSON, TABLE):
            # Read for the references in it. The same bytes, stored as another type, were not.
            words.append("json")
        return hmac.new(self._key(), json.dumps(words).encode(), sha256).hexdigest()
