"""Idempotency keys of steps with any name."""

import pytest

from xtyl_engine.providers.idempotency import as_header


@pytest.mark.parametrize(
    ("key", "header"),
    [("run/überschrift/0/0", "run/%C3%BCberschrift/0/0"), ("run/a b-c_d.e/0.1/0", "run/a b-c_d.e/0.1/0"), ("", "")],
)
def test_a_key_goes_into_a_header(key, header):
    """Keys of plain names are sent as they are."""
    assert as_header(key) == header
