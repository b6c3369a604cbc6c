"""`xtyl api`: serves one back end over HTTP until it is ended. The app itself is in `app`."""

from __future__ import annotations

import ctypes
import logging
import resource
import socket
from contextlib import suppress
from functools import partial

import uvicorn

from xtyl_engine.api.app import make_app
from xtyl_engine.api.patience import MOST_HEADER_BYTES, PatientProtocol, Room
from xtyl_engine.api.service import Service
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.api.tokens import TokenFile
from xtyl_engine.settings import Settings, prepare_home
from xtyl_engine.telemetry.log_lines import keep_journal
from xtyl_engine.telemetry.prometheus import ApiMetrics

log = logging.getLogger("xtyl")
END_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
# Connections that are not event streams.
BESIDES_STREAMS = 1_000
MOST_FILES = 65_536
# Of glibc's malloc.h.
MMAP_THRESHOLD, ARENA_MAX = -3, -8
LARGE_BUFFER, ARENAS = 256 * 1024, 4


class Server(uvicorn.Server):
    """A server that closes its event streams before it ends; otherwise it would wait for them."""

    def __init__(self, configuration: uvicorn.Config, hub: Broadcaster):
        super().__init__(configuration)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.end_streams()
        await super().shutdown(sockets)


def serve(settings: Settings, host: str, port: int) -> None:
    """Answer requests at this address. Raises BackendError or SettingsError before the first answer."""
    prepare_home(settings)
    keep_journal(settings)
    allow_many_files()
    give_memory_back()
    service = Service(settings)
    service.engine.prepare()
    metrics = None
    if settings.metrics:
        metrics = ApiMetrics()
        metrics.serve(settings.metrics)
    app = make_app(service, TokenFile(settings.tokens_file), metrics, is_warm=True)
    configuration = uvicorn.Config(
        app,
        host=host,
        port=port,
        # The middleware counts requests; a line for each would write every URL to the log.
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        http=partial(PatientProtocol, room=Room(settings.api_streams + BESIDES_STREAMS)),  # type: ignore[arg-type]
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
    )
    Server(configuration, app.state.ours.hub).run()


def give_memory_back() -> None:
    """Let the C library give large buffers back to the system when they are freed: by itself it keeps those of up to 32 MB, in as
    many places as there are threads."""
    with suppress(OSError, AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(MMAP_THRESHOLD, LARGE_BUFFER)
        set_option(ARENA_MAX, ARENAS)


def allow_many_files() -> None:
    """Raise the limit of open files: each listener needs one, and the usual limit of a thousand is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
