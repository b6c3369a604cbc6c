"""What of a kernel its functions find again in another process: the interpreter, the folder, and where modules are looked for. It
is stored with the run, so it holds no variable: these may be secrets. It says what a worker executes, so it is signed for its
run, as functions are.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self

from xtyl_engine.errors import FunctionRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The path of an interpreter, its working folder, and its `sys.path`, each absolute; and what its new files do not allow,
    None where an earlier release stored nothing of it."""

    python: str
    folder: str
    path: tuple[str, ...]
    umask: int | None = None

    @classmethod
    def of_this_process(cls) -> Self:
        """Those of this process now. Raises FunctionRejected where its folder is gone."""
        try:
            folder = os.getcwd()
        except FileNotFoundError as error:
            raise FunctionRejected(
                "the working folder of this process was removed, and functions run in it",
                hint="Go to a folder that is there: `os.chdir(...)`.",
            ) from error
        # An empty entry is the working folder; what is no text, Python passes by.
        path = tuple(os.path.abspath(each) for each in sys.path if isinstance(each, str))
        return cls(python=sys.executable, folder=folder, path=path, umask=_umask())

    def signed(self, key: bytes, execution_id: str) -> str:
        """As they are stored with this run: ASCII, whatever bytes are in a path."""
        return json.dumps({**asdict(self), "signature": _sign(key, execution_id, asdict(self))})

    @classmethod
    def verified(cls, text: str, key: bytes, execution_id: str) -> Self:
        """What `signed` wrote, here or in another release. Raises FunctionRejected for what it has not written for this run."""
        try:
            found = json.loads(text)
            signature = str(found.pop("signature"))
            if hmac.compare_digest(signature.encode(), _sign(key, execution_id, found).encode()):
                path, umask = tuple(found["path"]), found.get("umask")
                return cls(python=found["python"], folder=found["folder"], path=path, umask=umask)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise FunctionRejected(
            "what is stored of this run's kernel was not stored for this run with this project's key",
            hint="Submit the workflow again from a notebook that shares the worker's XTYL_HOME.",
        )

    def check(self) -> None:
        """Raise FunctionRejected where the interpreter or the folder is not there."""
        if not os.access(self.python, os.X_OK):
            raise FunctionRejected(
                f"the Python of the notebook that started this run is gone: {self.python}",
                hint="Make its environment again, then `run.retry()`; or run the workflow anew from a kernel that is there.",
            )
        if not os.path.isdir(self.folder):
            raise FunctionRejected(
                f"the folder of the notebook that started this run is gone: {self.folder}",
                hint="Put it back, then `run.retry()`; or run the workflow anew from a folder that is there.",
            )


def _umask() -> int:
    """This process's. Nothing but a change of it says what it is, and a file that a thread makes meanwhile is private."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def _sign(key: bytes, execution_id: str, facts: Mapping[str, Any]) -> str:
    said = json.dumps(["surroundings", execution_id, facts], sort_keys=True)
    return hmac.new(key, said.encode(), sha256).hexdigest()
