"""Checks that a worker of this host and pool is alive, from the heartbeat files of its processes, and that database, schema and
broker answer. It sends workers nothing and loads no Celery, because containers check often.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xtyl_engine.checks import Check, examined, place
from xtyl_engine.machine import boot_id
from xtyl_engine.settings import PREFORK, Settings
from xtyl_engine.worker.heartbeat import _lives, run_folder


def examine(settings: Settings) -> tuple[Check, ...]:
    """The checks of a worker on this host: its heartbeat, its database, its broker."""
    from xtyl_engine.broker.redis_client import examine_broker
    from xtyl_engine.database.schema import examine_schema

    return (
        _worker(settings),
        examined("database", lambda: examine_schema(settings.database_url)),
        examined("broker", lambda: examine_broker(settings.event_url)),
    )


def describe(settings: Settings) -> str:
    """One line about a worker with these settings: slots, node types, database, broker. Raises SettingsError."""
    from xtyl_engine.scheduler.routing import read_route

    count = f"{settings.slots} {'processes' if settings.pool == PREFORK else 'threads'}"
    database, broker = place(settings.database_url), place(settings.event_url)
    return f"xtyl worker: {count} for {read_route(settings)}; database {database}, broker {broker}"


def _worker(settings: Settings) -> Check:
    living = [sign for sign in _signs(run_folder(settings.home)) if _lives(sign["pid"])]
    signs = [sign for sign in living if sign["pool"] in (settings.pool, None)]
    if not signs:
        command = f"xtyl worker --pool {settings.pool}"
        others = f"; its workers here have another pool than {settings.pool}" if living else ""
        return _bad(f"no worker of this home runs on this host{others}", f"Start one with `{command}`.")
    beat, swept = (min(sign[age] for sign in signs) for age in ("beat_age", "swept_age"))
    if beat > settings.lease_seconds:
        return _bad(f"last heartbeat was {beat:.0f} s ago", "Start it again: it hangs or was stopped.")
    if swept > settings.lease_seconds + settings.beat_seconds + settings.sweep_seconds:
        return _bad(f"it has not swept for {swept:.0f} s", "Read its log for the reason.")
    several = f"{len(signs)} processes" if len(signs) > 1 else f"process {signs[0]['pid']}"
    return Check(name="worker", ok=True, detail=f"{several}, last heartbeat {max(0.0, beat):.1f} s ago")


def _bad(detail: str, hint: str) -> Check:
    return Check(name="worker", ok=False, detail=detail, hint=hint)


def _signs(folder: Path) -> list[dict[str, Any]]:
    """The heartbeat files of this host only, with the ages of what they tell: other hosts may share the home, not the pids."""
    found, boot = [], boot_id()
    for path in folder.glob(f"{socket.gethostname()}-*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            read = json.loads(path.read_bytes())
            found.append({"pid": int(read["pid"]), "pool": read.get("pool"), **_ages(read, boot)})
    return found


def _ages(sign: Mapping[str, Any], boot: str) -> dict[str, float]:
    """For how many seconds, without those in which the machine slept. Files of the release before tell the wall clock alone."""
    if boot and sign.get("boot") == boot:
        now, at = time.monotonic(), "_at"
    else:
        now, at = time.time(), ""
    return {f"{name}_age": now - float(sign[f"{name}{at}"]) for name in ("beat", "swept")}
