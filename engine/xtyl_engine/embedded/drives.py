"""The file system of a home: SQLite trusts locks that a network drive does not keep. It warns, and refuses nothing."""

from __future__ import annotations

import warnings
from pathlib import Path

from xtyl_engine.settings import Settings
from xtyl_engine.values.locks import MOVE_HOME

MOUNTS = Path("/proc/self/mounts")
NETWORK_DRIVES = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "davfs", "glusterfs")
# Drives over FUSE that are on this machine, such as NTFS, are not among them.
OVER_FUSE = (
    "sshfs",
    "rclone",
    "glusterfs",
    "gcsfuse",
    "davfs",
    "s3fs",
    "ceph",
    "goofys",
    "juicefs",
    "mount-s3",
    "blobfuse",
)
_warned: set[Path] = set()


def drive_kind(path: Path, mounts: Path | None = None) -> str:
    """The type of file system that holds a path; empty where the system does not report it."""
    try:
        lines = [line.split() for line in (mounts or MOUNTS).read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    # A mount point's spaces are written as octal escapes.
    points = {fields[1].replace("\\040", " "): fields[2] for fields in lines if len(fields) > 2}
    return next((points[str(folder)] for folder in (path, *path.parents) if str(folder) in points), "")


def distrust(home: Path) -> str:
    """Why a home's locks cannot be trusted, in words; empty where they can."""
    kind = drive_kind(home)
    over_fuse = kind.startswith("fuse.") and any(name in kind for name in OVER_FUSE)
    if not (over_fuse or kind.startswith(NETWORK_DRIVES)):
        return ""
    return f"{home} is on a network drive ({kind}), where SQLite's locks cannot be trusted"


def warn_of_network_drive(settings: Settings) -> None:
    """Warn once of a home whose database may be damaged by two processes that both believe to hold its lock."""
    if settings.home not in _warned and settings.database_url.startswith("sqlite"):
        _warned.add(settings.home)
        if why := distrust(settings.home):
            warnings.warn(f"{why}. {MOVE_HOME}", stacklevel=3)
