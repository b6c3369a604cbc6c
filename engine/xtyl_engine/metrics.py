"""What a worker process counts of its work, for Prometheus to collect: jobs by outcome, how long they took, what they cost. How
things stand is not here but in SQL; this is how fast they change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from xtyl_engine.outcomes import Completed, Failed, Outcome, Retrying

log = logging.getLogger("xtyl")
# Seconds: from a function that only counts to an image that is waited for.
BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

Observe = Callable[[Outcome, str, float], None]
"""Takes an outcome, the type of its node, and how many seconds it took."""


def ignore(outcome: Outcome, type: str, seconds: float) -> None:
    """Count nothing."""


def serve_metrics(address: str, free_slots: Callable[[], int], held_jobs: Callable[[], int]) -> Observe:
    """Let Prometheus collect at `address` (host:port); what to tell it by. A port that is taken, as it is for all but the first
    process of a pool, leaves this process out."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

    registry = CollectorRegistry()
    jobs = Counter("xtyl_jobs", "Attempts by what became of them.", ["type", "outcome"], registry=registry)
    errors = Counter("xtyl_job_errors", "Attempts that failed, by class.", ["type", "error_class"], registry=registry)
    seconds_of = Histogram("xtyl_job_seconds", "How long jobs ran.", ["type"], buckets=BUCKETS, registry=registry)
    provider_seconds = Histogram(
        "xtyl_provider_seconds", "Jobs that asked a provider.", ["provider"], buckets=BUCKETS, registry=registry
    )
    tokens = Counter("xtyl_tokens", "Tokens used.", ["provider", "model"], registry=registry)
    cost = Counter("xtyl_cost_dollars", "Money spent, as providers say.", ["provider", "model"], registry=registry)
    Gauge("xtyl_slots_free", "Slots with nothing to do.", registry=registry).set_function(free_slots)
    Gauge("xtyl_jobs_held", "Jobs being executed or recorded.", registry=registry).set_function(held_jobs)

    def observe(outcome: Outcome, type: str, seconds: float) -> None:
        jobs.labels(type, outcome_name(outcome)).inc()
        if isinstance(outcome, (Failed, Retrying)):
            errors.labels(type, str(outcome.failure.error_class)).inc()
        if not isinstance(outcome, Completed) or outcome.cached:
            return
        seconds_of.labels(type).observe(seconds)
        if outcome.usage is not None and outcome.usage.provider:
            provider_seconds.labels(outcome.usage.provider).observe(seconds)
            labels = outcome.usage.provider, outcome.usage.model or ""
            tokens.labels(*labels).inc(outcome.usage.tokens or 0)
            cost.labels(*labels).inc(outcome.usage.cost or 0.0)

    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host, registry)
    except OSError as error:
        log.warning("no metrics from this process: %s is not free: %s", address, error)
        return ignore
    return observe


def outcome_name(outcome: Outcome) -> str:
    """completed, cached, waiting, retrying, failed or released."""
    if isinstance(outcome, Completed) and outcome.cached:
        return "cached"
    return type(outcome).__name__.lower()
