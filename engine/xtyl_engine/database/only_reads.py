"""Connections on which the database refuses every write, for processes that only compute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

SQLITE, SERVER = "PRAGMA query_only=on", "SET default_transaction_read_only = on"


def refuse_writes(engine: Engine) -> None:
    """Let the database refuse writes on the connections that are opened from now on."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.execute(SQLITE if engine.dialect.name == "sqlite" else SERVER)
        connection.commit()
