"""Files of a back end that is reached over HTTP: inputs are sent, others are fetched when they are read, and all are kept beside
the notebook under the hash of their content, so that each is transferred once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

from xtyl_engine.errors import WorkflowException
from xtyl_engine.values.artifacts import KEY, SUFFIXES, ArtifactError, ArtifactStore, references
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_nb.backends.remote.http_client import Calls
from xtyl_nb.backends.remote.queries import at

AT_A_TIME = 8
SMALL_PIXELS = 512
_TYPES = {suffix: media_type for media_type, suffix in SUFFIXES.items() if suffix != ".json"}


class RemoteStore(ArtifactStore):
    """The local copies of a back end's files. `execution_id` names the execution to fetch from; None is for files to send."""

    def __init__(self, folder: Path, calls: Calls, execution_id: str | None = None, *, project: str | None = None):
        super().__init__(folder)
        self._kept = ArtifactStore(folder)
        self._calls = calls
        self._execution_id = execution_id
        self._project = project

    def save(self, data: bytes, media_type: str, **facts: Any) -> dict[str, Any]:
        """Send bytes and return their reference, which is valid for this back end only."""
        kept = self._kept.save(data, media_type, **facts)
        sent: dict[str, Any] = self._calls.upload(
            "artifacts", data=data, media_type=media_type, project_id=self._project
        )
        return kept | sent

    def path(self, reference: Mapping[str, Any]) -> Path:
        """The path of a reference's file, which is fetched if needed; also of one that does not exist. Raises BackendError."""
        path = self._kept.path(reference)
        if self._execution_id is not None and not path.exists():
            # Opening a missing file reports it; here it must not fail a frame with a thousand others.
            with contextlib.suppress(ArtifactError):
                data = self._calls.fetch(*at(self._execution_id), "artifacts", path.name)
                if hashlib.sha256(data).hexdigest() == reference[KEY]:
                    self._kept.save(data, str(reference.get("media_type")))
        return path

    def prepare(self, outputs: Iterable[str]) -> None:
        """Fetch the files that these outputs refer to, several at a time. Raises what `path` raises."""
        found = {each[KEY]: each for text in outputs if f'"{KEY}"' in text for each in references(json.loads(text))}
        missing = [each for each in found.values() if not self._kept.path(each).exists()]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(self.path, missing))

    def original(self, path: str) -> str:
        """The path of a picture's file, fetched in full size."""
        name = PurePath(path)
        reference = {KEY: name.stem, "media_type": _TYPES.get(name.suffix)}
        return str(self.path(reference))

    def bring(self, names: Iterable[str]) -> None:
        """Fetch small copies of images, several at a time. One that cannot be fetched is left out, and tried again later."""
        missing = {name for name in names if not self.small(name).exists()}
        if missing:
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(pool.map(self._bring, missing))

    def small(self, name: str) -> Path:
        """The path of an image's small copy, whether or not it exists."""
        return self.folder / "small" / PurePath(name).name

    def _bring(self, name: str) -> None:
        try:
            data = self._calls.fetch(*at(str(self._execution_id)), "artifacts", name, size=SMALL_PIXELS)
        except WorkflowException:
            return
        path = self.small(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, data)
