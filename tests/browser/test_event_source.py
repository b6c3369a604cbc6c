"""A browser's own EventSource on the stream of a run: after the end it comes back once, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import RUNS, open_desk, serving
from servers import valkey_server
from teller import Teller
from xtyl_engine.events import EventKind

pytestmark = pytest.mark.browser

LISTEN = """path => {
    window.heard = []
    window.source = new EventSource(path)
    source.onopen = () => heard.push('open')
    source.onmessage = event => heard.push(event.lastEventId)
    source.addEventListener('done', event => heard.push(JSON.parse(event.data).state))
    source.onerror = () => heard.push(source.readyState === EventSource.CLOSED ? 'closed' : 'comes back')
}"""


def test_it_comes_back_once_and_stops(page: Any, tmp_path: Path) -> None:
    """It hears every event and the end of a run, and does not ask for ever though its page never closes it."""
    with valkey_server() as broker:
        desk = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker)
        with serving(desk) as port:
            teller = Teller(desk.service.engine.database, lambda events: None)
            id = teller.submit()
            last = teller.tell(id, EventKind.COMPLETED)
            page.set_extra_http_headers({"Authorization": f"Bearer {desk.secrets['all']}"})
            page.goto(f"http://127.0.0.1:{port}/healthz")
            page.evaluate(LISTEN, f"{RUNS}/{id}/stream")
            page.wait_for_function("source.readyState === EventSource.CLOSED")
            numbers = [str(number + 1) for number in range(last)]
            assert page.evaluate("heard") == ["open", *numbers, "completed", "comes back", "closed"]
