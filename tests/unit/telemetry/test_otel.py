"""The data for OpenTelemetry, taken by a real server over HTTP and read by the protocol's own classes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import xtyl_nb as xt
from collector import Collector, collector
from workbench import Workbench, workbench
from xtyl_engine.errors import TransientError
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.telemetry.otel import Traces, watch_traces

CANARY = "canary-4711"


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as made:
        yield made


@pytest.fixture
def bench(tmp_path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def traces(server, bench) -> Iterator[Traces]:
    made = watch_traces(load_settings({"XTYL_OTLP_ENDPOINT": server.url}), bench.executor.type_of, {})
    assert made is not None
    bench.executor.trace = made.attempt
    yield made
    made.close()


def stumble(word: str) -> str:
    raise TransientError(f"{word} in a message")


def test_each_attempt_is_a_span(bench, traces, server):
    """It is named by its type, with its place, its usage and its end; a failure is an error."""
    flow = xt.Workflow("w").generate_copy("line", prompt="About {{ word }}")
    run = bench.done(flow.call("loud", stumble, word="{{ line.text }}", retry=1), word=CANARY)
    traces.close()
    (copy, span), (call, failed) = server.spans()
    place = {"xtyl.execution": run.id, "xtyl.item": "0", "xtyl.attempt": 1}
    assert copy == place | {
        "xtyl.node": "line",
        "xtyl.outcome": "completed",
        "xtyl.provider": "offline",
        "xtyl.model": "offline/copy-1",
        "xtyl.tokens": run.inspect("line", row=0).tokens,
        "xtyl.cost": 0.0,
    }
    assert call == place | {"xtyl.node": "loud", "xtyl.outcome": "failed", "xtyl.error_class": "transient"}
    assert [(each.name, each.status.code) for each in (span, failed)] == [("generate_copy", 0), ("call", 2)]


def test_nothing_that_a_job_reads_or_raises_is_sent(bench, traces, server):
    """No prompt, no value, no message of an exception."""
    bench.done(xt.Workflow("w").call("loud", stumble, word="{{ word }}", retry=1), word=CANARY)
    traces.close()
    bodies = server.bodies("/v1/traces")
    assert bodies
    assert not [body for body in bodies if CANARY.encode() in body or b"in a message" in body]


def test_spans_of_a_users_function_lie_within(bench, traces, server):
    """A library that is traced inside of a function sees the attempt as its parent."""

    def inner() -> str:
        from opentelemetry import trace

        return format(trace.get_current_span().get_span_context().span_id, "016x")

    run = bench.done(xt.Workflow("w").call("seen", inner, timeout=30))
    traces.close()
    ((_, span),) = server.spans()
    assert run.frame()["seen"].tolist() == [span.span_id.hex()]


def test_a_commit_is_a_span(traces, server):
    """It has the duration of the commit and the number of results."""
    traces.committed("e-1", 3, 0.25)
    traces.close()
    ((told, span),) = server.spans()
    assert told == {"xtyl.execution": "e-1", "xtyl.outcomes": 3}
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000


@pytest.mark.parametrize(
    ("ours", "standard", "is_on"),
    [
        ({}, {}, False),
        ({"XTYL_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {}, True),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"XTYL_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {"OTEL_SDK_DISABLED": "true"}, False),
        ({"XTYL_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_sent_where_a_variable_says(ours, standard, is_on):
    """The project's variable or OpenTelemetry's own turns it on; its own turns it off."""
    made = watch_traces(load_settings(ours), lambda claim: "", standard)
    assert (made is not None) is is_on
    if made is not None:
        made.close()


def test_off_loads_nothing():
    """A worker without the settings imports neither OpenTelemetry nor Sentry nor Prometheus."""
    libraries = {"opentelemetry", "sentry_sdk", "prometheus_client"}
    code = f"import sys, xtyl_engine.worker.instrument; print({libraries!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_missing_extra_is_named(monkeypatch):
    """The project's setting without its library is an error that says what to install; a variable for other programs is not."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"pip install 'xtyl-nb\[observe\]'"):
        watch_traces(load_settings({"XTYL_OTLP_ENDPOINT": "http://127.0.0.1:9"}), lambda claim: "", {})
    others = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert watch_traces(load_settings({}), lambda claim: "", others) is None
