"""Which runs that call nothing at the moment lose what they have in a worker."""

from __future__ import annotations

from xtyl_engine.runners.places import IDLE_BYTES, RunPlace, idle_too_long

HALF = IDLE_BYTES // 2


def test_a_run_that_calls_nothing_goes_after_a_while() -> None:
    """One that was called since then stays, and so does one with a call under way, however long ago it began."""
    places = {"old": RunPlace(used=1.0), "young": RunPlace(used=3.0), "at work": RunPlace(used=1.0, calls=1)}
    assert idle_too_long(places, 2.0) == ["old"]


def test_functions_of_idle_runs_have_a_bound() -> None:
    """Those of the runs used last stay up to it; what a run at work has does not count."""
    places = {f"run {n}": RunPlace(used=10.0 + n, packed_bytes=HALF) for n in range(4)}
    places["at work"] = RunPlace(used=20.0, packed_bytes=IDLE_BYTES, calls=1)
    assert idle_too_long(places, 2.0) == ["run 1", "run 0"]
