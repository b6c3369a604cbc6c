"""The data for Sentry, taken by a real server as the SDK sends it: the failure and its place, and none of a user's words."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import xtyl_nb as xt
from collector import Collector, collector
from workbench import Workbench, workbench
from xtyl_engine.errors import BackendError
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.telemetry.log_lines import about
from xtyl_engine.telemetry.sentry import Errors, watch_errors

CANARY = "canary-4711"


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as made:
        yield made


@pytest.fixture
def errors(server) -> Iterator[Errors]:
    made = watch_errors(load_settings({"XTYL_SENTRY_DSN": server.dsn}))
    assert made is not None
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path, errors) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        made.executor.on_failure = errors.failed
        yield made


def burst(word: str) -> str:
    local = f"{word} in a variable"
    try:
        nothing: dict[str, str] = {}
        return nothing[local]
    except KeyError as error:
        logging.getLogger("xtyl").error("a node's own line with %s", word)
        raise ValueError(f"{word} in a message") from error


def sent(errors: Errors, server: Collector) -> list[dict[str, Any]]:
    errors.close()
    return server.events()


def test_a_failed_job_is_told_with_its_place(bench, errors, server):
    """It has the job, its type, the exception and its place, and the cause."""
    run = bench.done(xt.Workflow("w").call("loud", burst, word="{{ word }}"), word="x")
    (event,) = sent(errors, server)
    tags = {"execution": run.id, "node": "loud", "item": "0", "attempt": "1"}
    assert event["tags"] == tags | {"type": "call", "error_class": "permanent", "times": "1"}
    assert event["level"] == "error"
    cause, raised, ours = event["exception"]["values"]
    assert [each["type"] for each in (cause, raised, ours)] == ["KeyError", "ValueError", "PermanentError"]
    assert ours["value"] == "node/permanent"
    last = raised["stacktrace"]["frames"][-1]
    assert (last["function"], last["filename"], last["in_app"]) == ("burst", "test_sentry.py", True)


def test_nothing_that_a_user_wrote_is_sent(bench, errors, server):
    """No prompt, value, message, variable, source line, folder or key; of the machine its name alone."""
    bench.done(xt.Workflow("w").call("loud", burst, word="{{ word }}"), word=CANARY)
    bench.done(xt.Workflow("w").generate_copy("bad", prompt="{{ word }}", model=CANARY), word=CANARY)
    events = sent(errors, server)
    assert {event["tags"]["node"] for event in events} == {"loud", "bad"}
    told = json.dumps(events)
    assert CANARY not in told
    assert "canary-dsn-key" not in told
    assert "in a message" not in told
    assert str(bench.settings.home) not in told
    about = {
        "level",
        "logger",
        "tags",
        "exception",
        "event_id",
        "timestamp",
        "release",
        "environment",
        "platform",
        "sdk",
    }
    assert {name for event in events for name in event} == about | {"server_name"}


def test_one_failure_of_many_jobs_is_sent_once(bench, errors, server):
    """A thousand rows that fail alike are one event a minute, not a thousand."""
    bench.done(xt.Workflow("w").call("loud", burst, word="{{ word }}"), [{"word": str(n)} for n in range(5)])
    assert len(sent(errors, server)) == 1


def test_what_the_engine_could_not_do_is_told(bench, errors, server):
    """Its own error lines go there with their job; a server's words go without their password, those of other programs
    not at all."""
    log = logging.getLogger("xtyl")
    run = xt.Workflow("w").call("loud", burst, word="{{ word }}").run(word="x")
    (claim,) = bench.recorder.record([], run.id, 1).claims
    line = "log.error('%d results wait: %s, %s', 3, error, word)"
    with about(claim):
        error = BackendError("the database at postgresql://me:hunter2@db is away")
        exec(compile(line, f"{sys.modules['xtyl_engine'].__path__[0]}/slots.py", "exec"), locals() | {"word": CANARY})
    log.warning("no error")
    (event,) = sent(errors, server)
    words = "3 results wait: the database at postgresql://me:[hidden]@db is away, …"
    assert event["logentry"]["formatted"] == words
    assert (event["tags"]["execution"], event["tags"]["node"]) == (run.id, "loud")


def test_an_exception_that_cannot_be_read_harms_nothing(bench, errors):
    """A job whose exception is hostile fails as any other."""

    def spiteful() -> None:
        raise type("Spiteful", (ValueError,), {"__module__": None})

    run = bench.done(xt.Workflow("w").call("a", spiteful))
    assert run.jobs()["status"].tolist() == ["failed"]


def test_without_a_dsn_nothing_watches():
    """Errors go nowhere unless the setting says where."""
    assert watch_errors(load_settings({})) is None


def test_a_missing_extra_is_named(monkeypatch):
    """The setting without its library is an error that says what to install."""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(SettingsError, match=r"pip install 'xtyl-nb\[observe\]'"):
        watch_errors(load_settings({"XTYL_SENTRY_DSN": "https://key@host/1"}))
