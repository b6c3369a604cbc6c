"""The embedded back end as a place, and the faults that only it has: a client that waits restarts killed processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import redis

from chaos.place import QUICK, Place, client_environment, moved_clock, provider
from servers import embedded_home, kill, wait_until
from xtyl_engine.embedded.client import ensure
from xtyl_engine.embedded.state_file import Presence, SupervisorState, read_presence
from xtyl_engine.settings import Settings
from xtyl_engine.values.locks import holder, supervisor_lock

FROZEN_SECONDS = 2.0


class EmbeddedBroker:
    """The Redis server that the supervisor runs."""

    def __init__(self, settings: Settings):
        self._settings = settings

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=ready(self._settings).socket)


@contextlib.contextmanager
def embedded_place(folder: Path, seed: int) -> Iterator[Place]:
    """An embedded back end and the provider, stopped when the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="xtyl-") as short,
        moved_clock(Path(short)) as clock,
        provider(Path(short) / "provider.log", seed) as port,
        embedded_home(folder, **QUICK) as settings,
        client_environment(settings, port),
    ):
        ensure(settings)
        yield Place(
            settings=settings,
            broker=EmbeddedBroker(settings),
            workers=[],
            ways=[],
            log=Path(short) / "provider.log",
            clock=clock,
        )


def ready(settings: Settings) -> Presence:
    """The supervisor's status, once it and all its processes run."""
    wait_until(lambda: _is_ready(settings))
    presence = read_presence(settings.home)
    assert presence is not None
    return presence


def _is_ready(settings: Settings) -> bool:
    presence = read_presence(settings.home)
    is_alive = presence is not None and holder(supervisor_lock(settings.home)) == presence.pid
    return is_alive and presence is not None and presence.state is SupervisorState.READY


def kill_supervisor(place: Place, draw: Random) -> None:
    """The supervisor dies, and all its processes with it."""
    kill(ready(place.settings).pid)


def freeze_supervisor(place: Place, draw: Random) -> None:
    """The supervisor is frozen for a while, and its worker dies meanwhile."""
    presence = ready(place.settings)
    os.kill(presence.pid, signal.SIGSTOP)
    kill(presence.worker_pid or 0)
    threading.Event().wait(FROZEN_SECONDS)
    os.kill(presence.pid, signal.SIGCONT)


def kill_embedded_worker(place: Place, draw: Random) -> None:
    """The supervisor's worker dies with every job it holds."""
    kill(ready(place.settings).worker_pid or 0)


def kill_embedded_broker(place: Place, draw: Random) -> None:
    """The supervisor's Redis server dies, and everything in it is gone."""
    kill(ready(place.settings).server_pid or 0)


def kill_back_end(place: Place, draw: Random) -> None:
    """Supervisor, server and worker die at once; the kernel stays, and looks at its run."""
    _kill_all(ready(place.settings))


def remove_runtime_folder(place: Place, draw: Random) -> None:
    """The folder with the server's socket is gone, as after a user's last logout, or still is since the last time."""
    shutil.rmtree(Path(ready(place.settings).socket).parent, ignore_errors=True)


def kill_everything(place: Place, draw: Random) -> None:
    """Supervisor, server, worker and kernel die at once, as when a machine does; then there is a new kernel."""
    _kill_all(ready(place.settings))
    place.kernel.kill()
    place.kernel.restart()


def _kill_all(presence: Presence) -> None:
    for pid in (presence.pid, presence.worker_pid, presence.server_pid):
        # A supervisor that was frozen may not know yet that its worker is gone.
        with contextlib.suppress(ProcessLookupError):
            kill(pid or 0)
