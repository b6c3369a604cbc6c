"""Prometheus: a table of every metric, the objects that count them, and the server that answers collection. The samples of a
worker come from `samples`, the numbers of jobs in SQL from `job_counts`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xtyl_engine.settings import SettingsError
from xtyl_engine.telemetry.samples import Sample

log = logging.getLogger("xtyl")
# Seconds: from a function that only counts up to a slow image.
JOB_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
QUEUE_BUCKETS = (*JOB_BUCKETS, 1800, 7200)
QUICK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
MOST_SERIES = 500
MAX_LABEL = 80
Rows = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A gauge's values are asked for at each collection; the other kinds are counted up."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def series(self) -> tuple[str, ...]:
        """The names of its series in Prometheus."""
        ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(self.name + end for end in ends[self.kind])


STANDING = Metric("xtyl_unfinished_jobs", "gauge", "Jobs of runs that are not over.", ("run_state", "state", "type"))
WORKER = (
    Metric("xtyl_jobs", "counter", "Attempts by outcome.", ("type", "outcome")),
    Metric("xtyl_job_errors", "counter", "Attempts that failed, by class.", ("type", "error_class")),
    Metric("xtyl_job_retries", "counter", "Attempts that failed and are tried again.", ("type",)),
    Metric("xtyl_job_seconds", "histogram", "How long completed jobs ran.", ("type",), JOB_BUCKETS),
    Metric("xtyl_job_queue_seconds", "histogram", "From ready to started, of a sample.", ("type",), QUEUE_BUCKETS),
    Metric(
        "xtyl_lease_losses", "counter", "Jobs put back or given up because their lease ran out.", ("type", "outcome")
    ),
    Metric("xtyl_provider_seconds", "histogram", "Calls to a provider.", ("provider", "outcome"), JOB_BUCKETS),
    Metric("xtyl_tokens", "counter", "Tokens used.", ("provider", "model")),
    Metric("xtyl_tokens_by_kind", "counter", "Tokens of each kind.", ("provider", "model", "kind")),
    Metric("xtyl_cost_dollars", "counter", "Money spent, as far as it is known.", ("provider", "model")),
    Metric("xtyl_unpriced", "counter", "Attempts that cost something unknown.", ("provider", "model")),
    Metric("xtyl_commit_seconds", "histogram", "Commits that record outcomes and claim.", (), QUICK_BUCKETS),
    Metric("xtyl_hints", "counter", "Notifications sent and received by workers.", ("direction",)),
    Metric("xtyl_result_wait_seconds", "counter", "How long results waited to be stored.", ("cause",)),
    Metric("xtyl_samples_lost", "counter", "Samples of a pool's children that were lost."),
    Metric("xtyl_slots_free", "gauge", "Slots with nothing to do."),
    Metric("xtyl_jobs_held", "gauge", "Jobs being executed or recorded."),
    STANDING,
)
API = (
    Metric("xtyl_http_seconds", "histogram", "Requests.", ("method", "route", "status"), QUICK_BUCKETS),
    Metric("xtyl_stream_lag_seconds", "histogram", "From an event's commit to its listeners.", (), QUICK_BUCKETS),
    Metric("xtyl_stream_cut", "counter", "Listeners cut off because they read too slowly."),
    Metric("xtyl_stream_listeners", "gauge", "Listeners on event streams."),
)
BACKUP = (
    Metric("xtyl_backup_timestamp_seconds", "gauge", "When the newest whole backup was begun; 0 if there is none."),
    Metric("xtyl_backup_bytes", "gauge", "The size of what is in it."),
    Metric("xtyl_backup_failures", "counter", "Backups that could not be made."),
)


class Figures:
    """The metrics of one process, counted from its samples. Raises SettingsError where prometheus-client is missing."""

    def __init__(self, metrics: Sequence[Metric]):
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            raise SettingsError(
                "XTYL_METRICS is set, but prometheus-client is not installed here",
                hint="Install it with `pip install 'xtyl-nb[server]'`, or leave XTYL_METRICS out.",
            ) from None
        self.registry = CollectorRegistry()
        self._metrics = {metric.name: metric for metric in metrics}
        self._made = {name: self._make(metric) for name, metric in self._metrics.items() if metric.kind != "gauge"}
        self._seen: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples to the metrics."""
        for name, labels, value in samples:
            made = self._made[name]
            told = made.labels(*self._bounded(name, labels)) if labels else made
            (told.inc if self._metrics[name].kind == "counter" else told.observe)(value)

    def ask(self, name: str, rows: Callable[[], Rows]) -> None:
        """Take a gauge's values from `rows` at each collection."""
        self.registry.register(_Asked(self._metrics[name], rows))

    def page(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def serve(self, address: str) -> bool:
        """Let Prometheus collect at `address` (host:port); False, and a line in the log, if the address is in use."""
        from prometheus_client import start_http_server

        host, _, port = address.rpartition(":")
        try:
            start_http_server(int(port), host, self.registry)
        except OSError as error:
            log.warning("no metrics from this process: %s is in use: %s", address, error)
            return False
        return True

    def _make(self, metric: Metric) -> Any:
        from prometheus_client import Counter, Histogram

        if metric.kind == "counter":
            return Counter(metric.name, metric.says, metric.labels, registry=self.registry)
        return Histogram(metric.name, metric.says, metric.labels, buckets=metric.buckets, registry=self.registry)

    def _bounded(self, name: str, labels: Sequence[str]) -> tuple[str, ...]:
        """Labels with their length and number limited: a model's name comes from a server, which may answer anything."""
        short, seen = tuple(label[:MAX_LABEL] for label in labels), self._seen[name]
        if short not in seen and len(seen) >= MOST_SERIES:
            return ("other",) * len(short)
        seen.add(short)
        return short


class _Asked:
    def __init__(self, metric: Metric, rows: Callable[[], Rows]):
        self._metric, self._rows = metric, rows

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(self._metric.name, self._metric.says, labels=self._metric.labels)
        for labels, value in self._rows():
            family.add_metric(labels, value)
        yield family


class ApiMetrics:
    """The metrics of the process that serves the API: requests by route and status, and event streams. `page` is the answer to
    Prometheus. Routes are patterns such as `/executions/{id}`, never paths: each id would make a series of its own."""

    def __init__(self) -> None:
        self._figures = Figures((*API, STANDING))
        self.page = self._figures.page
        self.serve = self._figures.serve
        self.ask = self._figures.ask

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._figures.take([("xtyl_http_seconds", (method, route, str(status)), seconds)])

    def observe_lag(self, seconds: float) -> None:
        """Count an event that reached its listeners so many seconds after its commit."""
        self._figures.take([("xtyl_stream_lag_seconds", (), max(0.0, seconds))])

    def cut_off(self) -> None:
        """Count a listener that was cut off because it read too slowly."""
        self._figures.take([("xtyl_stream_cut", (), 1)])
