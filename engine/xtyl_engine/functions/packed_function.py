"""A packed function as it is stored: signed, and pinned to one execution and one Python version. Packing is for `packing`,
loading for `loading`.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from xtyl_engine.errors import FunctionRejected, LimitExceeded
from xtyl_engine.limits import MAX_FUNCTION_BYTES
from xtyl_engine.settings import make_folder
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_engine.values.plain import mend

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
KEY_BYTES = 32
Function = Callable[..., Any]
Functions = Mapping[str, Function]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFunction:
    """A function as it is stored. `digest` is the hash of its code and captured values; `signature` covers that, the
    execution and the Python version, and without it a function never runs."""

    digest: str
    name: str
    python: str
    blob: bytes
    signature: str = ""

    def stored(self) -> dict[str, Any]:
        """The function as a node's config names it."""
        return {"digest": self.digest, "name": self.name, "python": self.python}


def sign(packed: PackedFunction, *, key: bytes, execution_id: str) -> PackedFunction:
    """The function, signed for one execution. Raises LimitExceeded if it captures too much."""
    check_size(packed.name, packed.blob)
    return replace(packed, signature=_sign(key, execution_id, packed))


def check_size(name: str, blob: bytes) -> None:
    """Raise LimitExceeded for a packed function that is too large."""
    if len(blob) > MAX_FUNCTION_BYTES:
        raise LimitExceeded(
            f"{name}() packs to {len(blob):,} bytes, more than the {MAX_FUNCTION_BYTES:,} allowed: "
            "it takes large variables of the notebook along",
            hint="Pass the data as an argument, or load it inside the function.",
        )


def verify(packed: PackedFunction, *, key: bytes, execution_id: str) -> None:
    """Check that a function was signed for this execution, before anything of it is loaded. Raises FunctionRejected."""
    if not hmac.compare_digest(_sign(key, execution_id, packed).encode(), packed.signature.encode("utf-8", "replace")):
        raise FunctionRejected(
            f"{packed.name}() was not packed for this run with this project's key",
            hint="Submit the workflow again from a notebook that shares the worker's XTYL_HOME.",
        )


def not_taken(who: str, name: str, *, node: str | None = None) -> FunctionRejected:
    """The error of a worker or a back end that takes no functions from notebooks."""
    return FunctionRejected(
        f"{who} takes no functions from notebooks: {name}",
        hint="Install it on the workers as a module, or set XTYL_ACCEPT_FUNCTIONS=1 where every user is trusted.",
        node=node,
    )


def load_key(path: str | os.PathLike[str]) -> bytes:
    """The back end's signing key, made on first use with mode 0600; processes that race agree on one key."""
    path = Path(path)
    if not path.exists():
        make_folder(path.parent)
        # Another process may be first; then its key counts.
        with suppress(FileExistsError):
            write_atomically(path, secrets.token_bytes(KEY_BYTES), durable=True, only_new=True)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise FunctionRejected(
            f"the key file {path} holds {len(key)} bytes, not {KEY_BYTES}",
            hint="Delete it, and submit the workflow again.",
        )
    return key


def function_name(function: Function) -> str:
    """The function's name, as text that can be stored anywhere."""
    return mend(str(getattr(function, "__name__", type(function).__name__)))


def _sign(key: bytes, execution_id: str, packed: PackedFunction) -> str:
    head = json.dumps([execution_id, packed.python, packed.digest]).encode() + b"\n"
    return hmac.new(key, head + packed.blob, sha256).hexdigest()
