"""When a server asks to be called again."""

import pytest

from xtyl_engine.providers.retry_after import retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e9"}, 3600.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"llm_provider-retry-after": "7"}, 7.0),
        ({"llm_provider-retry-after-ms": "70"}, 0.07),
        ({"llm_provider-retry-after": "7", "retry-after": "9"}, 9.0),
        ({"llm_provider-retry-after": "7", "retry-after": "soon"}, 7.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "10"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": ""}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m", "retry-after": "2"}, 2.0),
    ],
)
def test_every_spelling_is_read(headers, seconds):
    """Milliseconds, seconds and dates count, up to an hour, a gateway's own too; what is none of these is no request to wait."""
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("year", [2015, 2115])
def test_a_date_to_come_back_at_is_read_by_the_servers_clock(year):
    """A clock of this machine that is years off changes nothing: the answer says when it was given."""
    headers = {"date": f"21 Oct {year} 07:28:00 GMT", "retry-after": f"21 Oct {year} 07:28:40 GMT"}
    assert retry_after(headers) == 40.0
