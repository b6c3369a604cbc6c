"""A URL with a password in it is read in one way by all libraries, or is refused without a word of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.connection import parse_url
from sqlalchemy import make_url

from told import told
from xtyl_engine.checks import is_readable
from xtyl_engine.settings import SettingsError, load_settings

# Of a password that libraries cut in pieces at these characters, the pieces are digits or words.
PASSWORDS = st.lists(st.sampled_from([*"@:/#?[]%&=", "Kx7pass", "4711"]), min_size=1, max_size=6).map("".join)


@settings(max_examples=150, deadline=None)
@given(password=PASSWORDS, scheme=st.sampled_from(["postgresql", "redis"]))
def test_a_password_as_it_is_in_a_url_is_read_or_refused(password: str, scheme: str) -> None:
    """Every library finds the host after a password that is not written for URLs, or no error quotes it."""
    name = {"postgresql": "XTYL_DATABASE_URL", "redis": "XTYL_REDIS_URL"}[scheme]
    url = f"{scheme}://me:{password}@db.example/7"
    if not is_readable(url):
        with pytest.raises(SettingsError) as caught:
            load_settings({"XTYL_HOME": "/tmp/none", name: url})
        assert not any(piece in told(caught.value) for piece in ("Kx7pass", "4711"))
        return
    if scheme == "redis":
        assert (parse_url(url)["host"], parse_url(url)["db"]) == ("db.example", 7)
    else:
        found = make_url(url)
        assert (found.host, found.port, found.database) == ("db.example", None, "7")
    assert urlsplit(url).hostname == "db.example"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{quote('a@b:c/d#e?f', safe='')}@host:5432/db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://me:pass@host/db?application_name=a%40b",
        "redis://:pass@host:6379/0",
        "unix://:pass@/run/x.sock",
        "unix:///run/a@b/x.sock",
        "https://key@sentry.example/7",
    ],
)
def test_what_is_written_for_urls_is_taken(url: str) -> None:
    """A password with its signs escaped, a socket whose path has an @, and one in a query are no problem."""
    assert is_readable(url)


@pytest.mark.parametrize("url", ["redis://h:port", "redis://[h", "postgresql://me:a@b@h/db", "redis://:12/a@h/0"])
def test_what_has_several_readings_is_refused(url: Any) -> None:
    """A port that is no number, an open bracket, and a password with an @ or a slash in it."""
    assert not is_readable(url)
