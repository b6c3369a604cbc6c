"""The counts for each outcome, their way between processes, and the metrics for Prometheus."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from servers import wait_until
from xtyl_engine.errors import ErrorClass
from xtyl_engine.nodes.base import Usage
from xtyl_engine.providers.offline.provider import OfflineProvider
from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Failure, Retrying
from xtyl_engine.settings import SettingsError
from xtyl_engine.telemetry.prometheus import MAX_LABEL, MOST_SERIES, WORKER, ApiMetrics, Figures
from xtyl_engine.telemetry.samples import Meter, samples_of
from xtyl_engine.telemetry.timed_provider import TimedProvider
from xtyl_engine.worker.prefork import Relay

CLAIM = Claim(job_id=1, execution_id="e", node="a", item="0", number=1, tries=1, epoch=0, template_id="t", owner="me")


def page(figures) -> dict[str, float]:
    lines = figures.page()[0].decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_a_retry_is_counted_as_one_and_as_a_failed_attempt():
    """It is counted by type and by class; its duration does not count for such jobs."""
    failure = Failure(error_class=ErrorClass.TRANSIENT, message="m")
    assert samples_of(Retrying(claim=CLAIM, failure=failure, delay_seconds=1), "call", 0.5) == [
        ("xtyl_jobs", ("call", "retrying"), 1),
        ("xtyl_job_errors", ("call", "transient"), 1),
        ("xtyl_job_retries", ("call",), 1),
    ]


def test_a_cached_result_costs_nothing():
    """It is counted as cached: neither its time nor what it once cost is counted again."""
    usage = Usage(provider="p", model="m", tokens=5, cost=1.0)
    assert samples_of(Completed(claim=CLAIM, output="{}", usage=usage, cached=True), "call", 0.5) == [
        ("xtyl_jobs", ("call", "cached"), 1)
    ]


@pytest.mark.parametrize("told", [-1, float("nan"), float("inf"), "many", None])
def test_what_is_no_amount_counts_as_none(told):
    """A provider that reports a nonsensical usage costs no job its result."""
    usage = Usage(provider="p", model="m", tokens=told, cost=told)
    samples = samples_of(Completed(claim=CLAIM, output="{}", usage=usage), "call", 0.5)
    Figures(WORKER).take(samples)
    told = [(name, value) for name, labels, value in samples if labels == ("p", "m")]
    assert told == [("xtyl_tokens", 0), ("xtyl_cost_dollars", 0), ("xtyl_unpriced", 1)]


def test_each_kind_of_token_is_counted_also_of_an_attempt_that_failed():
    """What was billed was used, whatever became of it; a kind that was not told is not counted."""
    failure = Failure(error_class=ErrorClass.PERMANENT, message="m")
    usage = Usage(provider="p", model="m", tokens=8, input_tokens=5, cached_tokens=2, output_tokens=3, cost=0.5)
    assert samples_of(Failed(claim=CLAIM, failure=failure, usage=usage), "call", 0.5)[2:] == [
        ("xtyl_tokens_by_kind", ("p", "m", "input"), 5),
        ("xtyl_tokens_by_kind", ("p", "m", "cached"), 2),
        ("xtyl_tokens_by_kind", ("p", "m", "output"), 3),
        ("xtyl_tokens", ("p", "m"), 8),
        ("xtyl_cost_dollars", ("p", "m"), 0.5),
    ]


def test_every_sample_has_its_metric():
    """Every sample that a worker's parts can send is in the table, with as many labels."""
    figures, meter = Figures(WORKER), Meter()
    meter.tell = figures.take
    usage = Usage(provider="p", model="m", tokens=5, cost=1.5, input_tokens=5)
    meter.ended(Completed(claim=CLAIM, output="{}", usage=usage), "call", 0.5)
    meter.ended(Completed(claim=CLAIM, output="{}", usage=Usage(provider="p", model="new")), "call", 0.5)
    meter.ended(
        Retrying(claim=CLAIM, failure=Failure(error_class=ErrorClass.TRANSIENT, message="m"), delay_seconds=1),
        "call",
        0.5,
    )
    meter.recorded("e", 3, 0.01)
    meter.called("p", 0.2, False)
    meter.notified("sent")
    meter.lost("call", True)
    meter.held_up("disk", 1.0)
    found = page(figures)
    assert found['xtyl_cost_dollars_total{model="m",provider="p"}'] == 1.5
    assert found['xtyl_provider_seconds_count{outcome="failed",provider="p"}'] == 1
    assert found['xtyl_lease_losses_total{outcome="quarantined",type="call"}'] == 1
    counted = {metric for metric in WORKER if any(name.startswith(metric.series()) for name in found)}
    others = {metric.name for metric in set(WORKER) - counted if metric.kind != "gauge"}
    assert others == {"xtyl_job_queue_seconds"}


def test_labels_that_others_choose_are_bounded():
    """A server that answers with ever new names of models, or with a long one, fills no memory."""
    figures = Figures(WORKER)
    figures.take([("xtyl_tokens", ("p", "m" * 1000), 1)])
    figures.take([("xtyl_tokens", ("p", str(n)), 1) for n in range(2 * MOST_SERIES)])
    found = {name: n for name, n in page(figures).items() if name.startswith("xtyl_tokens_total")}
    assert len(found) == MOST_SERIES + 1
    assert found['xtyl_tokens_total{model="other",provider="other"}'] == MOST_SERIES + 1
    assert f'xtyl_tokens_total{{model="{"m" * MAX_LABEL}",provider="p"}}' in found


def test_a_child_of_a_pool_is_heard():
    """What it counts, and how many of its slots are at work."""
    heard: list[Any] = []
    relay = Relay()
    relay.tell([("xtyl_jobs", ("call", "failed"), 1), ("xtyl_job_seconds", ("call",), 0.25)])
    relay.tell_standing(3, 2)
    relay.listen(heard.extend)
    wait_until(lambda: relay.standing() == (3, 2))
    assert heard == [("xtyl_jobs", ("call", "failed"), 1), ("xtyl_job_seconds", ("call",), 0.25)]


def test_a_full_pipe_holds_nobody_up():
    """Samples that find no room are lost, and their number is reported as soon as there is room."""
    heard: list[Any] = []
    relay, sample = Relay(), ("xtyl_jobs", ("call", "failed"), 1)
    count = 20_000
    for _ in range(count):
        relay.tell([sample])
    relay.listen(heard.extend)

    def lost() -> float:
        return sum(float(value) for name, _, value in list(heard) if name == "xtyl_samples_lost")

    def is_all_told() -> bool:
        nonlocal count
        relay.tell([sample])
        count += 1
        return lost() > 0

    wait_until(is_all_told)
    wait_until(lambda: heard.count(sample) + lost() == count)


def test_a_provider_is_timed_whatever_it_answers():
    """Both calls and their failures are timed; its other attributes are reached through it."""
    told = []
    provider = TimedProvider(OfflineProvider(), lambda *call: told.append((call[0], call[2])))
    with pytest.raises(AttributeError):
        provider.write(None)  # type: ignore[arg-type]
    assert told == [("offline", False)]
    assert provider.__getattr__("name") == "offline"


def test_the_api_counts_requests_and_streams():
    """Requests by route and status, lag, listeners, and those cut off; a lag is never below zero."""
    metrics = ApiMetrics()
    metrics.ask("xtyl_stream_listeners", lambda: [((), 7)])
    metrics.observe_request("GET", "/executions/{id}", 200, 0.02)
    metrics.observe_lag(0.004)
    metrics.observe_lag(-0.1)
    metrics.cut_off()
    metrics.ask("xtyl_unfinished_jobs", lambda: [(("running", "ready", "call"), 2)])
    found = page(metrics)
    assert found['xtyl_http_seconds_count{method="GET",route="/executions/{id}",status="200"}'] == 1
    assert found["xtyl_stream_lag_seconds_count"] == 2
    assert found["xtyl_stream_lag_seconds_sum"] == 0.004
    assert (found["xtyl_stream_listeners"], found["xtyl_stream_cut_total"]) == (7, 1)
    assert found['xtyl_unfinished_jobs{run_state="running",state="ready",type="call"}'] == 2


def test_a_missing_library_is_named(monkeypatch):
    """The setting without its library is an error that says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match=r"pip install 'xtyl-nb\[server\]'"):
        Figures(WORKER)
