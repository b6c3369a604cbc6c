"""One key of a rate by itself: permits are taken, given back and held, at moments that the test names."""

from __future__ import annotations

import pytest

from xtyl_engine.rates import Rate
from xtyl_engine.scheduler.rate_limits.bucket import Bucket

ONE_A_SECOND = Rate(key="offline", count=60, seconds=60.0)
NOW = 1_000_000.0


def later(bucket: Bucket, seconds: float) -> Bucket:
    """The same row, looked at after a while."""
    return Bucket(bucket.key, bucket.rate, NOW + seconds, bucket.tat, bucket.since, bucket.held_until)


def taken(times: int = 1) -> Bucket:
    """A bucket from which that many permits were just taken."""
    bucket = Bucket("offline", ONE_A_SECOND, NOW)
    for _ in range(times):
        bucket.take()
    return bucket


def test_a_permit_comes_back_with_time():
    """One is there, the next after its interval, and a long rest saves up no more than one."""
    assert Bucket("offline", ONE_A_SECOND, NOW).seconds == 0
    assert taken().seconds == pytest.approx(1.0)
    rested = later(taken(), 3600)
    assert rested.seconds == 0
    rested.take()
    assert rested.seconds == pytest.approx(1.0)


def test_what_was_not_needed_is_given_back():
    """It is as if the permit was never taken."""
    bucket = taken()
    bucket.give_back(NOW)
    assert bucket.seconds == 0
    bucket.take()
    assert bucket.seconds == pytest.approx(1.0)


def test_time_and_a_give_back_do_not_make_up_for_the_same_permit_twice():
    """A permit taken long ago was restored by time; giving it back then allows no second start."""
    bucket = later(taken(), 10)
    bucket.take()
    bucket.give_back(NOW)
    assert bucket.seconds == pytest.approx(1.0)
    bucket.give_back(NOW + 10)
    assert bucket.seconds == 0


def test_a_queue_of_permits_gives_back_however_late():
    """While starts are behind, time has restored nothing: the whole interval is given back."""
    behind = Bucket("offline", Rate(key="offline", count=10, seconds=1.0), NOW, tat=NOW + 0.95, since=NOW - 60)
    behind.give_back(NOW - 30)
    assert behind.tat == pytest.approx(NOW + 0.85)


def test_a_slower_rate_of_before_does_not_count():
    """The row of a rate that allowed one start an hour shuts a faster one for no longer than that one would itself."""
    bucket = Bucket("offline", ONE_A_SECOND, NOW, tat=NOW + 3600, since=0.0)
    assert bucket.seconds == pytest.approx(1.0)
    bucket.give_back(NOW - 1)
    assert bucket.seconds == pytest.approx(1.0)


def test_a_hold_shuts_also_what_has_no_rate():
    """Without a rate any number may start, unless the key is held; the longer hold counts."""
    bucket = Bucket("offline", None, NOW)
    bucket.take()
    assert bucket.seconds == 0
    bucket.hold(30)
    bucket.hold(5)
    assert bucket.seconds == 30


def test_a_hold_does_not_outlive_a_clock_that_was_set_back():
    """A hold that was set at a time ahead ends, however short the step back was; one that was set before counts."""
    held = Bucket("offline", None, NOW)
    held.hold(3600.0)
    assert later(held, 0).seconds == pytest.approx(3600.0)
    assert later(held, -8 * 3600).seconds == 0
    assert later(held, -1800).seconds == 0
    assert later(held, 3590).seconds == pytest.approx(10.0)
    brief = Bucket("offline", None, NOW)
    brief.hold(30.0)
    assert later(brief, -0.5).seconds == pytest.approx(30.5)


def test_permits_do_not_outlive_a_clock_that_was_set_back():
    """Permits taken at a time that lies ahead hold back one burst at most."""
    assert later(taken(), -8 * 3600).seconds == pytest.approx(1.0)
