"""Writes a file whole or not at all: into a temporary file beside it, which then takes its name. Only the owner may
read the file. Retrying is for the caller.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from xtyl_engine.errors import BackendError


def write_atomically(
    path: Path,
    data: bytes,
    *,
    durable: bool = False,
    only_new: bool = False,
    before_renaming: Callable[[], None] = lambda: None,
) -> None:
    """Write a file in a folder that exists: a reader sees the old one or the new one. With `durable` the file survives a
    power cut once this returns. With `only_new` an existing file raises FileExistsError and stays unchanged."""
    # mkstemp creates mode 0600. A rename is atomic only within one file system, hence the same folder.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        before_renaming()
        if only_new:
            # Unlike a rename, a link fails if another process was first.
            _link(temporary, path)
            os.unlink(temporary)
        else:
            os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _link(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        raise BackendError(
            f"the file system of {path} knows no links: {error.strerror}",
            hint="Set XTYL_HOME to a folder on a local disk.",
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network drives sync files alone: there is no more to be done for the name.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
