"""A file is whole or not there, and nothing half-written stays beside it."""

import errno
import os
import stat
from pathlib import Path

import pytest

from xtyl_engine.errors import BackendError
from xtyl_engine.values.atomic_write import write_atomically


def broken() -> None:
    raise OSError("the process is interrupted")


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_private(tmp_path: Path, durable: bool) -> None:
    """The new content stands there alone, for its owner only, whatever stood there before."""
    path = tmp_path / "record.json"
    path.write_bytes(b"old")
    write_atomically(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["record.json"]


def test_what_is_interrupted_leaves_the_old_file(tmp_path: Path) -> None:
    """An error before the file takes its name leaves the old one, and nothing else."""
    path = tmp_path / "record.json"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="interrupted"):
        write_atomically(path, b"new", before_renaming=broken)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["record.json"]


def test_only_a_new_file_is_written(tmp_path: Path) -> None:
    """The first of two writers wins, and the second gets an error."""
    path = tmp_path / "key"
    write_atomically(path, b"first", only_new=True)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"second", only_new=True)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["key"]


def test_a_file_system_without_links_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that must be new cannot be written there at once: the error says what to do, and nothing stays behind."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(BackendError, match="knows no links") as caught:
        write_atomically(tmp_path / "key", b"first", only_new=True)
    assert caught.value.hint == "Set XTYL_HOME to a folder on a local disk."
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_synced_keeps_no_file_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network drives sync files alone; a folder that cannot be synced for another reason is an error."""
    sync, refusal = os.fsync, [errno.EINVAL]

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(refusal[0], os.strerror(refusal[0]))
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(tmp_path / "kept", b"whole", durable=True)
    assert (tmp_path / "kept").read_bytes() == b"whole"
    refusal[0] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(tmp_path / "kept", b"again", durable=True)
