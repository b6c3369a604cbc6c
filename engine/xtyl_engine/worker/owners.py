"""Who holds claims: each worker process has a name, and a lock in its home that it holds for as long as it lives. Processes of
the same boot and home ask the kernel whether another one lives. A lock that is free says so of a process only together with its
pid: a step that reads the files of its home gives its own process's lock up, until the next beat. A process never asks about
itself: that gives its lock up, too.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum
from pathlib import Path

from xtyl_engine.machine import boot_id, process_space, process_start
from xtyl_engine.settings import make_folder
from xtyl_engine.values.locks import acquire, acquire_again, holder, is_same_file

log = logging.getLogger("xtyl")


class Pulse(Enum):
    """What is known of an owner's process. Nothing is known of those of another machine, another home, the previous release; of
    one in another container it is known whether its lock is free."""

    ENDED = "ended"
    FREE = "free"
    ALIVE = "alive"
    UNKNOWN = "unknown"


def unknown(owner: str) -> Pulse:
    """Know nothing of any owner: its leases alone count."""
    return Pulse.UNKNOWN


def lives(home: Path, owner: str) -> bool | None:
    """Whether an owner's process lives, asked by a process that is none; None where it cannot be asked."""
    pulse = _asked(_folder(home), boot_id(), owner)
    return {Pulse.ENDED: False, Pulse.ALIVE: True}.get(pulse)


class Owners:
    """The owners of one home: this process, by its `name`, and whether the others live."""

    def __init__(self, home: Path):
        self._folder = _folder(home)
        self._boot = boot_id()
        self._word = uuid.uuid4().hex[:8]
        self._handle: int | None = None
        self.pid = os.getpid()
        self.name = f"{socket.gethostname()}:{self.pid}:{self._word}"
        if self._boot and self._hold():
            self.name += f":{self._boot}"

    def pulse(self, owner: str) -> Pulse:
        """Whether another owner's process lives, by its lock."""
        return _asked(self._folder, self._boot, owner)

    def keep(self) -> None:
        """Take this process's lock again, since the code of its jobs may have given it up by reading its file, or removed it."""
        if self._handle is None:
            return
        if is_same_file(self._handle, self._path(self._word)):
            with suppress(OSError):
                acquire_again(self._handle)
        else:
            self._hold()

    def tidy(self, running: Callable[[], Collection[str]]) -> None:
        """Remove the locks of processes that have ended. `running` then gives the owners of running jobs: their locks stay."""
        with suppress(OSError):
            others = [path for path in self._folder.glob("*.lock") if path != self._path(self._word)]
            if ended := [path for path in others if holder(path) is None]:
                held = {_parts(owner)[0] for owner in running()}
                for path in ended:
                    if path.stem not in held:
                        path.unlink(missing_ok=True)

    def _path(self, word: str) -> Path:
        return self._folder / f"{word}.lock"

    def _hold(self) -> bool:
        """Take this process's lock, to be let go by the kernel when it ends; False where that is not possible."""
        made = self._folder / f".{self._word}"
        try:
            make_folder(self._folder)
            if (handle := acquire(made)) is not None:
                os.write(handle, f"{self.pid} {process_start(self.pid)} {process_space()}".encode())
                if self._handle is not None:
                    os.close(self._handle)
                self._handle = handle
                # Under its name it is locked from the first moment: the others never take it for one left behind.
                made.rename(self._path(self._word))
                return True
            problem = "its file system has no locks"
        except OSError as error:
            problem = str(error)
        log.warning(
            "no lock in %s: %s. If this process dies, that is noticed when its leases run out", self._folder, problem
        )
        return False


def _folder(home: Path) -> Path:
    return home / "owners"


def _asked(folder: Path, here: str, owner: str) -> Pulse:
    """What an owner's lock in this folder says, if it is of the boot that is `here`."""
    word, boot = _parts(owner)
    if not boot or boot != here or not word.isalnum():
        return Pulse.UNKNOWN
    path = folder / f"{word}.lock"
    try:
        return _pulse(path) if path.exists() else Pulse.UNKNOWN
    except (OSError, ValueError):
        return Pulse.UNKNOWN


def _parts(owner: str) -> tuple[str, str]:
    """The word and the boot in an owner's name: `host:pid:word:boot`; in the previous release it ended with the word."""
    _, _, word, boot, *_ = [*owner.split(":"), "", "", "", ""]
    return word, boot


def _pulse(path: Path) -> Pulse:
    if holder(path) is not None:
        return Pulse.ALIVE
    pid, start, space, *_ = [*path.read_text().split(), "", "", ""]
    if not start or space != process_space():
        return Pulse.FREE
    return Pulse.ALIVE if process_start(int(pid)) == start else Pulse.ENDED
