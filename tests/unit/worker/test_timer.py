"""The alarm: names ring at their times, whatever a ring does."""

from __future__ import annotations

import logging

import pytest

from servers import wait_until
from xtyl_engine.worker.timer import Alarm


def test_a_ring_that_fails_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, and a name set later still rings."""
    rung: list[str] = []

    def ring(name: str) -> None:
        rung.append(name)
        if name == "bad":
            raise RuntimeError("no bell")

    alarm = Alarm(ring)
    with caplog.at_level(logging.ERROR, "xtyl"):
        alarm.set("bad", 0.0)
        wait_until(lambda: "no bell" in caplog.text)
        alarm.set("good", 0.0)
        wait_until(lambda: rung == ["bad", "good"])
