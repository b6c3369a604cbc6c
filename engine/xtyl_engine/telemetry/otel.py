"""OpenTelemetry: one span for each attempt and each commit, sent over HTTP in protobuf. A span names places and counts, never
what a job reads, writes or raises. Off, none of this is imported.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xtyl_engine.scheduler.outcomes import Claim, Completed, Failed, Outcome, Retrying
from xtyl_engine.settings import SettingsError
from xtyl_engine.telemetry.samples import outcome_name

if TYPE_CHECKING:
    from xtyl_engine.settings import Settings

log = logging.getLogger("xtyl")
CLOSE_SECONDS = 2.0
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def watch_traces(
    settings: Settings, type_of: Callable[[Claim], str], environ: Mapping[str, str] = os.environ
) -> Traces | None:
    """What sends spans, if XTYL_OTLP_ENDPOINT or OpenTelemetry's own variables ask for it. Raises SettingsError where the library
    is missing, but not for variables that may have been set for other programs."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if is_off or not (settings.otlp_endpoint or any(environ.get(name) for name in ENDPOINTS)):
        return None
    try:
        return Traces(settings.otlp_endpoint, type_of)
    except SettingsError as error:
        if settings.otlp_endpoint:
            raise
        log.info("no spans from this process: %s", error)
        return None


class Traces:
    """The spans of one process. Each attempt is a trace of its own: a run of 10^5 jobs in one is more than any viewer opens. The
    attribute `xtyl.execution` finds them."""

    def __init__(self, endpoint: str, type_of: Callable[[Claim], str]):
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise SettingsError(
                "traces are asked for, and OpenTelemetry is not installed here",
                hint="Install it with `pip install 'xtyl-nb[observe]'`, or leave XTYL_OTLP_ENDPOINT and OTEL_* out.",
            ) from None
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before.
        given = Resource.create()
        is_named = str(given.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service") is False
        resource = given if is_named else given.merge(Resource({SERVICE_NAME: "xtyl-worker"}))
        # Not the process's own provider: that one is for whoever traces the functions that run here.
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("xtyl", version("xtyl-nb"))
        self._error = trace.Status(trace.StatusCode.ERROR)
        self._type_of = type_of

    def attempt(self, claim: Claim, work: Callable[[Claim], Outcome]) -> Outcome:
        """Do the work inside a span; spans that are made within are its children."""
        place = {"execution": claim.execution_id, "node": claim.node, "item": claim.item, "attempt": claim.number}
        given: dict[str, Any] = {f"xtyl.{name}": value for name, value in place.items()}
        with self._tracer.start_as_current_span("attempt", attributes=given) as span:
            outcome = work(claim)
            # Only now is its plan known for sure.
            span.update_name(self._type_of(claim) or "attempt")
            span.set_attributes(_facts(outcome))
            if isinstance(outcome, Failed | Retrying):
                span.set_status(self._error)
        return outcome

    def committed(self, execution_id: str, count: int, seconds: float) -> None:
        """Tell of a commit that is over."""
        given: dict[str, Any] = {"xtyl.execution": execution_id, "xtyl.outcomes": count}
        end = time.time_ns()
        self._tracer.start_span("commit", start_time=end - int(seconds * 1e9), attributes=given).end(end)

    def close(self) -> None:
        """Send what is left. A collector that does not answer holds no worker up: by itself this could take ten seconds."""
        last = threading.Thread(target=self._provider.shutdown, name="xtyl-spans", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


def _facts(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"outcome": outcome_name(outcome)}
    if isinstance(outcome, Failed | Retrying):
        facts["error_class"] = str(outcome.failure.error_class)
    if isinstance(outcome, Completed) and outcome.usage is not None:
        used = outcome.usage
        facts |= {"provider": used.provider, "model": used.model, "tokens": used.tokens, "cost": used.cost}
    return {f"xtyl.{name}": value for name, value in facts.items() if value is not None}
