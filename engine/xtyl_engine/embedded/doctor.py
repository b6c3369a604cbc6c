"""The doctor checks everything that a run needs, and says how to mend each fault. It starts nothing, and imports a heavy
library only where a check needs one.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from xtyl_engine.checks import Check, examined
from xtyl_engine.embedded.drives import distrust
from xtyl_engine.embedded.redis_server import find_server, read_version, socket_path
from xtyl_engine.embedded.state_file import SupervisorState
from xtyl_engine.embedded.status import status
from xtyl_engine.settings import Settings, prepare_home
from xtyl_engine.values.locks import MOVE_HOME

OLDEST_PYTHON = (3, 11)
# RETURNING came with 3.35.
OLDEST_SQLITE = (3, 35, 0)
LEAST_FREE_BYTES = 200 * 1024 * 1024


def doctor(settings: Settings) -> list[Check]:
    """Check everything that a run needs. A check that fails reports the error as its finding; nothing is raised."""
    checks: list[tuple[str, Callable[[Settings], Check]]] = [
        ("python", _python),
        ("home", _home),
        ("disk", _disk),
        ("sqlite", _sqlite),
        *([("server", _server), ("socket", _socket), ("back end", _back_end)] if settings.redis_url is None else []),
        *([("broker", _broker), ("memory", _memory)] if settings.redis_url is not None else []),
        ("database", _database),
        ("dot", _dot),
        *([("prices", _prices)] if os.environ.get("XTYL_PRICES", "").strip() else []),
    ]
    return [examined(name, partial(check, settings)) for name, check in checks]


def _python(settings: Settings) -> Check:
    return Check(
        name="python",
        ok=sys.version_info >= OLDEST_PYTHON,
        detail=f"{platform.python_version()} at {sys.executable}",
        hint="Install Python 3.11 or newer.",
    )


def _home(settings: Settings) -> Check:
    prepare_home(settings)
    with tempfile.TemporaryFile(dir=settings.home) as file:
        file.write(b"x")
    return Check(name="home", ok=True, detail=f"{settings.home} is private and can be written to")


def _disk(settings: Settings) -> Check:
    found = os.statvfs(settings.home)
    free = found.f_bavail * found.f_frsize
    return Check(
        name="disk",
        ok=free >= LEAST_FREE_BYTES,
        detail=f"{free / 1e9:.1f} GB free in {settings.home}",
        hint="Free some space: images and results are kept there. " + MOVE_HOME,
    )


def _sqlite(settings: Settings) -> Check:
    if why := distrust(settings.home):
        return Check(name="sqlite", ok=not settings.database_url.startswith("sqlite"), detail=why, hint=MOVE_HOME)
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        path = Path(folder) / "check.db"
        with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
            mode = writer.execute("PRAGMA journal_mode=wal").fetchone()[0]
            writer.execute("CREATE TABLE seen (x)")
            writer.execute("INSERT INTO seen VALUES (1)")
            writer.commit()
            is_shared = reader.execute("SELECT x FROM seen").fetchall() == [(1,)]
    return Check(
        name="sqlite",
        ok=mode == "wal" and is_shared and sqlite3.sqlite_version_info >= OLDEST_SQLITE,
        detail=f"{sqlite3.sqlite_version}, journal mode {mode}",
        hint=f"Use SQLite 3.35 or newer, in WAL mode. {MOVE_HOME}",
    )


def _server(settings: Settings) -> Check:
    binary = find_server()
    version = ".".join(map(str, read_version(binary)))
    return Check(name="server", ok=True, detail=f"{binary} {version}")


def _socket(settings: Settings) -> Check:
    path = socket_path(settings.home)
    with suppress(OSError):
        path.parent.rmdir()
    return Check(name="socket", ok=True, detail=f"{path}, {len(os.fsencode(path))} of at most 103 bytes")


def _back_end(settings: Settings) -> Check:
    found = status(settings)
    if found.pid is None and found.state is SupervisorState.FAILED:
        hint = f"Read the logs in {settings.log_folder}, then try again with `xtyl up` or the next run."
        return Check(name="back end", ok=False, detail=f"failed: {found.error}", hint=hint)
    if found.pid is None:
        return Check(name="back end", ok=True, detail="not running; the first run or `xtyl up` starts it")
    return Check(
        name="back end",
        ok=found.running and found.worker == "ready",
        detail=f"process {found.pid}, server {'answers' if found.running else 'silent'}, worker {found.worker}, xtyl "
        f"{found.versions['xtyl']} by {found.versions['python']}",
        hint=f"Wait if it is still starting. Otherwise read the logs in {settings.log_folder}, then run `xtyl down`.",
    )


def _broker(settings: Settings) -> Check:
    from xtyl_engine.broker.redis_client import examine_broker

    return examine_broker(settings.event_url)


def _memory(settings: Settings) -> Check:
    from xtyl_engine.broker.redis_client import check_memory

    return check_memory(settings.event_url)


def _database(settings: Settings) -> Check:
    from xtyl_engine.database.schema import examine_schema

    return examine_schema(settings.database_url, may_be_new=True)


def _prices(settings: Settings) -> Check:
    from xtyl_engine.providers.prices import check_prices

    return Check(name="prices", ok=True, detail=str(check_prices(os.environ)))


def _dot(settings: Settings) -> Check:
    found = shutil.which("dot")
    detail = found or "not installed: flow.draw() makes DOT text only, which is fine"
    return Check(name="dot", ok=True, detail=detail, hint="" if found else "Install Graphviz if you want its drawings.")
