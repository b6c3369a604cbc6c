"""Settings come from variables, survive the way to a child process, and name what is wrong with them."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from xtyl_engine.settings import Settings, SettingsError, load_settings, prepare_home, variable


def test_defaults_are_the_embedded_back_end(tmp_path):
    """With only a home given, the database is a file in it, the broker is embedded, and functions are accepted."""
    settings = load_settings({"XTYL_HOME": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/xtyl.db"
    assert (settings.redis_url, settings.celery_url, settings.accept_functions) == (None, None, True)
    assert (settings.slots, settings.provider, settings.idle_seconds) == (16, "offline", 60)


def test_home_defaults_to_a_hidden_folder():
    """Without XTYL_HOME things are kept in the user's own hidden folder."""
    assert load_settings({}).home == Path("~/.xtyl").expanduser().resolve()


def test_a_shared_back_end_accepts_no_functions_unless_told(tmp_path):
    """A configured broker turns functions from notebooks off; a variable turns them on."""
    environ = {"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "redis://localhost:6379/0"}
    assert not load_settings(environ).accept_functions
    assert load_settings(environ | {"XTYL_ACCEPT_FUNCTIONS": "1"}).accept_functions


def test_what_names_of_functions_are_open(tmp_path):
    """All where workflows bring functions of their own, as on the embedded back end; none on a shared one; else those given."""
    shared = {"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "redis://localhost:6379/0"}
    assert load_settings({"XTYL_HOME": str(tmp_path)}).opened_functions == "*"
    assert load_settings(shared | {"XTYL_ACCEPT_FUNCTIONS": "1"}).opened_functions == "*"
    assert load_settings(shared).opened_functions == ""
    given = load_settings(shared | {"XTYL_FUNCTIONS": "b.c:D.e, a.*:*,a:*"})
    assert given.opened_functions == load_settings(given.to_environ()).opened_functions == "a.*:* a:* b.c:D.e"


@pytest.mark.parametrize("url", ["redis+socket:///run/x/redis.sock", "unix:///run/x/redis.sock"])
def test_a_socket_has_a_url_for_each_library(tmp_path, url):
    """Celery and redis-py name a socket differently; either form may be given."""
    settings = load_settings({"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": url})
    assert settings.celery_url == "redis+socket:///run/x/redis.sock"
    assert settings.event_url == "unix:///run/x/redis.sock"


def test_events_need_a_broker(tmp_path):
    """A worker without a broker is told which variable is missing."""
    with pytest.raises(SettingsError, match="XTYL_REDIS_URL"):
        _ = load_settings({"XTYL_HOME": str(tmp_path)}).event_url


def test_a_child_reads_the_same_settings(tmp_path):
    """Settings written to an environment are read back equal."""
    settings = load_settings(
        {
            "XTYL_HOME": str(tmp_path),
            "XTYL_REDIS_URL": "redis://localhost",
            "XTYL_SLOTS": "3",
            "XTYL_LEASE_SECONDS": "7.5",
            "XTYL_MAX_PARALLEL": "40",
            "XTYL_BUDGET": "12.5",
        }
    )
    assert load_settings(settings.to_environ()) == settings


def test_metrics_are_for_this_machine_unless_told(tmp_path):
    """A port alone is one of this machine's own address."""
    environ = {"XTYL_HOME": str(tmp_path)}
    assert load_settings(environ | {"XTYL_METRICS": "9101"}).metrics == "127.0.0.1:9101"
    assert load_settings(environ | {"XTYL_METRICS": "0.0.0.0:9101"}).metrics == "0.0.0.0:9101"


def test_a_child_inherits_no_other_setting(tmp_path):
    """A variable of the parent that these settings do not have is not passed on; what is not ours is."""
    settings = load_settings({"XTYL_HOME": str(tmp_path)})
    environ = settings.child_environ({"XTYL_REDIS_URL": "redis://elsewhere", "PATH": "/bin"})
    assert "XTYL_REDIS_URL" not in environ
    assert environ["PATH"] == "/bin"
    assert load_settings(environ) == settings


BAD = [
    ("XTYL_SLOTS", "0"),
    ("XTYL_SLOTS", "many"),
    ("XTYL_SLOTS", "9" * 400),
    ("XTYL_SLOTS", "²"),
    ("XTYL_MAX_PARALLEL", "-1"),
    ("XTYL_BUDGET", "0"),
    ("XTYL_BUDGET", "much"),
    ("XTYL_LEASE_SECONDS", "nan"),
    ("XTYL_LEASE_SECONDS", "inf"),
    ("XTYL_LEASE_SECONDS", "4"),
    ("XTYL_IDLE_SECONDS", "soon"),
    ("XTYL_ACCEPT_FUNCTIONS", "maybe"),
    ("XTYL_FUNCTIONS", "package.module"),
    ("XTYL_FUNCTIONS", "* package:name"),
    ("XTYL_FUNCTIONS", "*:name"),
    ("XTYL_FUNCTIONS", "pack*:name"),
    ("XTYL_FUNCTIONS", "package.*:name"),
    ("XTYL_REDIS_URL", "localhost:6379"),
    ("XTYL_REDIS_URL", "redis://localhost:port"),
    ("XTYL_REDIS_URL", "unix:///run/redis.sock?password=x"),
    ("XTYL_DATABASE_URL", "postgresql://me@localhost:port/x"),
    ("XTYL_DATABASE_URL", "mysql://localhost/x"),
    ("XTYL_HOME", "relative/folder"),
    ("XTYL_SENTRY_DSN", "https://host/7"),
    ("XTYL_SENTRY_DSN", "key"),
    ("XTYL_OTLP_ENDPOINT", "collector:4317"),
    ("XTYL_OTLP_ENDPOINT", "http://:4318"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_named(tmp_path, name, text):
    """The error names the variable and says what is allowed."""
    with pytest.raises(SettingsError) as caught:
        load_settings({"XTYL_HOME": str(tmp_path), name: text})
    assert name in str(caught.value)
    assert "Allowed: " in str(caught.value)
    assert caught.value.data["variable"] == name


def test_an_empty_variable_is_not_set(tmp_path):
    """An empty variable means the default."""
    assert load_settings({"XTYL_HOME": str(tmp_path), "XTYL_SLOTS": " "}).slots == 16


def test_secrets_stay_out_of_repr_and_errors(tmp_path):
    """A password in a URL shows neither in the repr nor in an error."""
    url = "postgresql://me:canary@host/db"
    settings = load_settings(
        {"XTYL_HOME": str(tmp_path), "XTYL_DATABASE_URL": url, "XTYL_REDIS_URL": "redis://:canary@h"}
    )
    watched = {"XTYL_SENTRY_DSN": "https://canary@host/7", "XTYL_OTLP_ENDPOINT": "https://me:canary@host"}
    assert "canary" not in repr(settings)
    assert "canary" not in repr(load_settings({"XTYL_HOME": str(tmp_path), **watched}))
    with pytest.raises(SettingsError) as caught:
        load_settings({"XTYL_HOME": str(tmp_path), "XTYL_REDIS_URL": "http://:canary@host"})
    assert "canary" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        load_settings({"XTYL_HOME": str(tmp_path), "XTYL_SENTRY_DSN": "https://canary@host"})
    assert "canary" not in str(caught.value)


def test_databases_are_told_apart_by_digest(tmp_path):
    """Equal databases have equal digests, and no digest holds the URL."""
    settings = load_settings({"XTYL_HOME": str(tmp_path)})
    other = replace(settings, database_url="postgresql://me:canary@host/db")
    assert settings.database_digest != other.database_digest
    assert "canary" not in other.database_digest


def test_every_field_can_be_read():
    """Each field of the settings has a variable that is read, and a good value is taken."""
    for each in fields(Settings):
        assert variable(each.name).startswith("XTYL_")
        if each.name.endswith("_seconds"):
            good = {"XTYL_LEASE_SECONDS": "20", "XTYL_BEAT_SECONDS": "2", variable(each.name): "5"}
            assert getattr(load_settings(good), each.name) == 5


def test_home_and_database_are_private(tmp_path):
    """The home folder and the database file are made for their owner's eyes only."""
    settings = load_settings({"XTYL_HOME": str(tmp_path / "deep" / "home")})
    prepare_home(settings)
    prepare_home(settings)
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert (settings.home / "xtyl.db").stat().st_mode & 0o777 == 0o600


def test_a_home_that_is_a_file_is_refused(tmp_path):
    """A home that cannot be a folder is a named error."""
    (tmp_path / "home").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"):
        prepare_home(load_settings({"XTYL_HOME": str(tmp_path / "home")}))


def test_a_home_anybody_can_write_to_is_refused(tmp_path):
    """A folder that any user can write to is refused: it would hold a key and a database."""
    os.chmod(tmp_path, 0o777)
    with pytest.raises(SettingsError, match="belongs to another user or is writable by all users"):
        prepare_home(load_settings({"XTYL_HOME": str(tmp_path)}))


def test_a_home_of_another_user_is_refused(tmp_path):
    """It is refused before anything is made in it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, 12345, -1)
    else:
        home = Path("/usr")
    before = sorted(home.iterdir())
    with pytest.raises(SettingsError, match="belongs to another user"):
        prepare_home(load_settings({"XTYL_HOME": str(home)}))
    assert sorted(home.iterdir()) == before


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o2775])
def test_a_home_its_group_can_write_to_is_refused(tmp_path, mode):
    """It is refused before anything is made in it, and the error says how to mend it. A list of rights shows in these too."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(SettingsError, match="writable by its group") as caught:
        prepare_home(load_settings({"XTYL_HOME": str(home)}))
    assert f"chmod 700 {home}" in str(caught.value)
    assert list(home.iterdir()) == []


def test_a_home_that_all_may_exchange_is_refused(tmp_path):
    """Above it all users may write, unless that folder keeps each one's files his own, as /tmp does."""
    above = tmp_path / "above"
    (above / "home").mkdir(parents=True, mode=0o700)
    above.chmod(0o777)
    settings = load_settings({"XTYL_HOME": str(above / "home")})
    with pytest.raises(SettingsError, match="put another folder in the place of the home"):
        prepare_home(settings)
    above.chmod(0o1777)
    prepare_home(settings)


def test_folders_above_a_home_are_private(tmp_path):
    """Those that are made on the way to it are its owner's alone, under a umask that forbids nothing."""
    before = os.umask(0)
    try:
        prepare_home(load_settings({"XTYL_HOME": str(tmp_path / "deep" / "er" / "home")}))
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o077) for path in tmp_path.rglob("*")} == {"0o0"}
