"""The doctor finds faults, and raises nothing."""

from __future__ import annotations

import sys

import pytest

import xtyl_engine
from servers import embedded_home, fake_server, valkey_server, wait_until
from xtyl_engine.embedded.client import ensure
from xtyl_engine.embedded.doctor import doctor
from xtyl_engine.embedded.drives import drive_kind
from xtyl_engine.embedded.status import status
from xtyl_engine.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    """Settings of an embedded back end for this test."""
    with embedded_home(tmp_path) as settings:
        yield settings


def by_name(settings):
    return {check.name: check for check in doctor(settings)}


def test_a_fresh_home_is_healthy(settings):
    """Everything is in order before the first run, and nothing is started."""
    checks = by_name(settings)
    assert [check for check in checks.values() if not check.ok] == []
    assert list(checks) == ["python", "home", "disk", "sqlite", "server", "socket", "back end", "database", "dot"]
    assert status(settings).pid is None


def test_a_running_back_end_is_healthy(settings):
    """A back end whose worker takes notifications is in order; it says which release and which interpreter serve."""
    ensure(settings)
    wait_until(lambda: status(settings).worker == "ready")
    found = by_name(settings)["back end"]
    assert found.ok
    assert f"xtyl {xtyl_engine.__version__} by {sys.executable}" in found.detail


def test_the_file_of_prices_is_looked_at(settings, tmp_path, monkeypatch):
    """A wrong one is a finding with its line, before anything is paid."""
    path = tmp_path / "prices.toml"
    monkeypatch.setenv("XTYL_PRICES", str(path))
    path.write_text('date = 2026-11-30\n[[price]]\nmodel = "m"\nrequest = 1\n')
    assert by_name(settings)["prices"].detail == "XTYL_PRICES prices.toml, 2026-11-30"
    path.write_text('\n[[price]]\nmodel = "m"\nrequest = "one"\n')
    found = by_name(settings)["prices"]
    assert not found.ok
    assert "line 2: `request` is 'one'" in found.detail + found.hint


def test_a_bad_home_is_found():
    """A home that cannot be made is a finding with a hint, not an error."""
    found = by_name(load_settings({"XTYL_HOME": "/proc/no/home"}))["home"]
    assert not found.ok
    assert "XTYL_HOME" in found.hint


def test_a_failed_start_is_found(settings, tmp_path, monkeypatch):
    """After a failed start the doctor says why."""
    fake_server(tmp_path / "bin", "valkey-server", "9.0.0")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path / "bin"), prepend=":")
        with pytest.raises(ConnectionError):
            ensure(settings)
    found = by_name(settings)["back end"]
    assert not found.ok
    assert "the server ended" in found.detail


def test_a_configured_broker_is_asked(tmp_path):
    """A configured broker is checked instead of the embedded one."""
    environ = {"XTYL_HOME": str(tmp_path / "home")}
    with valkey_server() as url:
        assert by_name(load_settings(environ | {"XTYL_REDIS_URL": url}))["broker"].ok
    gone = by_name(load_settings(environ | {"XTYL_REDIS_URL": url}))
    assert not gone["broker"].ok
    assert "server" not in gone


def test_the_kind_of_drive_is_read(tmp_path):
    """The nearest mount point decides; without a list there is no answer."""
    mounts = tmp_path / "mounts"
    mounts.write_text("d / ext4 rw 0 0\nh:/x /home nfs4 rw 0 0\nh:/y /a\\040b cifs rw 0 0\nbad\n")
    assert drive_kind(tmp_path / "x", mounts) == "ext4"
    assert drive_kind(tmp_path.__class__("/home/me/.xtyl"), mounts) == "nfs4"
    assert drive_kind(tmp_path.__class__("/a b/c"), mounts) == "cifs"
    assert drive_kind(tmp_path, tmp_path / "none") == ""
