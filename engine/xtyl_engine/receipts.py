"""Receipts: proof that a stored file came in by the API for one project. A file is named by its content, so that whoever knows
the name of another project's could refer to it; with a receipt only what one's own project stored is taken.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.values.artifacts import KEY, is_artifact

FIELD = "receipt"


class ReceiptRefused(PermanentError, ValueError):
    """A reference to a stored file does not come with this project's receipt."""

    code = "artifact/receipt"


class Receipts:
    """Gives and takes receipts with the key of the back end, which is asked for when it is needed."""

    def __init__(self, key: Callable[[], bytes]):
        self._key = key

    def give(self, project: str, reference: Mapping[str, Any]) -> dict[str, Any]:
        """The reference with its receipt."""
        return {**reference, FIELD: self._sign(project, str(reference[KEY]))}

    def take(self, project: str, value: Any, is_kept: Callable[[object], bool]) -> Any:
        """A value with the receipts of all references in it checked and taken out. Raises ReceiptRefused; also for a file that is
        no longer there."""
        if isinstance(value, dict):
            return self._taken(project, value, is_kept) if KEY in value else self._parts(project, value, is_kept)
        return [self.take(project, part, is_kept) for part in value] if isinstance(value, list) else value

    def _parts(self, project: str, value: dict[str, Any], is_kept: Callable[[object], bool]) -> dict[str, Any]:
        return {name: self.take(project, part, is_kept) for name, part in value.items()}

    def _taken(self, project: str, value: dict[str, Any], is_kept: Callable[[object], bool]) -> dict[str, Any]:
        given = value.get(FIELD)
        right = self._sign(project, str(value[KEY]))
        if not (is_artifact(value) and isinstance(given, str) and hmac.compare_digest(given.encode(), right.encode())):
            raise ReceiptRefused(
                f"the file {str(value[KEY])[:80]!r} was not stored for this project",
                hint="POST its bytes to /api/artifacts and refer to it by the whole answer, receipt included.",
            )
        taken = {name: part for name, part in value.items() if name != FIELD}
        if not is_kept(taken):
            raise ReceiptRefused(
                f"the file {str(value[KEY])[:80]!r} is no longer there", hint="POST its bytes to /api/artifacts again."
            )
        return taken

    def _sign(self, project: str, digest: str) -> str:
        words = json.dumps(["artifact", project, digest]).encode()
        return hmac.new(self._key(), words, sha256).hexdigest()
