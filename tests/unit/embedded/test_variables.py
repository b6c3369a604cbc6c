"""The variables that kernels lend to runs: kept in memory, bounded, given to this user's processes only."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from servers import wait_until
from xtyl_engine.embedded.variables import LONGEST_MESSAGE, Variables
from xtyl_engine.errors import BackendError, LimitExceeded
from xtyl_engine.functions import variables as way
from xtyl_engine.functions.variables import drop, get, lent, put, socket_beside, variables_of, with_settings


def test_they_come_back_as_lent(place: Path) -> None:
    """Each run has its own, whatever bytes they hold; a run that has none gets none."""
    put(place, "one", {"KEY": "a", "CAFÉ": "\udcff"})
    put(place, "two", {})
    assert [get(place, run) for run in ("one", "two", "three")] == [{"KEY": "a", "CAFÉ": "\udcff"}, {}, None]


def test_only_a_replacement_replaces(place: Path) -> None:
    """What a kernel lends that only looks does not take the place of what is there; a resumed run's does."""
    put(place, "run", {"KEY": "a"}, replace=False)
    put(place, "run", {"KEY": "b"}, replace=False)
    assert get(place, "run") == {"KEY": "a"}
    put(place, "run", {"KEY": "c"})
    assert get(place, "run") == {"KEY": "c"}


def test_what_is_dropped_is_gone(place: Path) -> None:
    """Those of one run are forgotten, and equal ones of another run stay."""
    for run in ("one", "two"):
        put(place, run, {"KEY": "a"})
    assert sorted(lent(place)) == ["one", "two"]
    drop(place, ["one", "none"])
    assert (list(lent(place)), get(place, "one"), get(place, "two")) == (["two"], None, {"KEY": "a"})


def test_they_are_bounded() -> None:
    """Beyond its room it forgets what was used longest ago; equal variables of many runs take no room again."""
    kept = Variables(capacity=100)
    for number in range(20):
        kept.answer({"put": f"equal{number}", "variables": {"KEY": "x" * 40}, "replace": True})
    assert kept.answer({"get": "equal0"}) is not None
    kept.answer({"put": "other", "variables": {"KEY": "y" * 60}, "replace": True})
    assert kept.answer({"get": "equal1"}) is None
    assert kept.answer({"get": "other"}) == {"KEY": "y" * 60}


def test_the_socket_is_this_users_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode keeps others out; one who comes all the same, and one who is asked, is told by the user of its process."""
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    put(place, "run", {"KEY": "a"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(PermissionError, match="belongs to user"):
            way.ask(place, {"get": "run"})
    assert get(place, "run") == {"KEY": "a"}


@pytest.mark.parametrize(
    "sent", [b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\2{]", b"\0\0\0\4null", b'\0\0\0\x0b{"get": [1]}']
)
def test_a_broken_message_harms_nothing(sent: bytes, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Cut off, too long, no JSON or no sense: the next one is answered, and no word of it is logged."""
    assert LONGEST_MESSAGE < 0xFFFFFFFF
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        connection.sendall(sent)
    put(place, "run", {"KEY": "a"})
    assert get(place, "run") == {"KEY": "a"}
    assert "get" not in caplog.text


def test_without_a_keeper_nothing_is_lent(tmp_path: Path) -> None:
    """A kernel is told that its variables are not taken; a worker finds none, and no run that has some."""
    place = tmp_path / "keys.sock"
    with pytest.raises(BackendError, match="does not take this process's environment variables") as caught:
        put(place, "run", {"KEY": "secret"}, patience=0.0)
    assert "secret" not in str(caught.value) + repr(caught.value.data)
    assert (get(place, "run"), lent(place)) == (None, {})


def test_a_keeper_that_moves_takes_its_variables_along(tmp_path: Path) -> None:
    """It listens at one place, the newest, and what it was lent is there."""
    kept = Variables()
    kept.listen(tmp_path / "a.sock")
    put(tmp_path / "a.sock", "run", {"KEY": "a"})
    kept.listen(tmp_path / "b.sock")
    assert get(tmp_path / "b.sock", "run") == {"KEY": "a"}
    wait_until(lambda: get(tmp_path / "a.sock", "run") is None)
    kept.close()


def test_settings_of_ours_are_not_lent() -> None:
    """A worker's own settings stand beside the variables of the kernel."""
    assert variables_of({"KEY": "a", "XTYL_DATABASE_URL": "secret", "XTYL_PRICES": " "}) == {"KEY": "a"}
    assert with_settings({"KEY": "a"}, {"KEY": "b", "XTYL_HOME": "/h"}) == {"KEY": "a", "XTYL_HOME": "/h"}


def test_the_file_of_prices_is_lent_from_the_kernels_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker stands in another folder, and its own file, if it has one, is not the kernel's."""
    monkeypatch.chdir(tmp_path)
    lent_by = [variables_of({"XTYL_PRICES": path}) for path in ("prices.toml", "/etc/prices.toml")]
    assert lent_by == [{"XTYL_PRICES": str(tmp_path / "prices.toml")}, {"XTYL_PRICES": "/etc/prices.toml"}]
    own = {"XTYL_PRICES": "/own.toml", "XTYL_HOME": "/h"}
    assert with_settings({}, own) == {"XTYL_HOME": "/h"}
    assert with_settings(lent_by[1], own) == {"XTYL_PRICES": "/etc/prices.toml", "XTYL_HOME": "/h"}


def test_too_many_variables_are_refused_by_name() -> None:
    """The largest is named, and its value is not."""
    with pytest.raises(LimitExceeded, match="at most 1,048,576") as caught:
        variables_of({"SMALL": "a", "LARGE": "secret" * 200_000})
    assert "LARGE" in str(caught.value.hint)
    assert "secret" not in str(caught.value) + str(caught.value.hint)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/x/redis.sock", Path("/run/x/keys.sock")),
        ("redis+socket:///run/x/redis.sock", Path("/run/x/keys.sock")),
        ("redis://host:6379/0", None),
    ],
)
def test_the_socket_stands_beside_the_servers(url: str, expected: Path | None) -> None:
    """It is found by the address of an embedded server, and there is none beside another."""
    assert socket_beside(url) == expected
