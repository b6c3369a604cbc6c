"""OpenTelemetry: one span for each attempt and each commit, sent over HTTP in protobuf. A span holds names and counts, never what
a job reads, writes or raises. While tracing is off, no library is imported.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xtyl_engine.scheduler.outcomes import Claim, Failed, Outcome, Retrying
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
    """The Traces of this process if XTYL_OTLP_ENDPOINT or OpenTelemetry's own variables ask for them, else None. Without the
    library XTYL_OTLP_ENDPOINT raises SettingsError; OpenTelemetry's variables, often set for other programs, only log a line."""
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
    """The spans of one process. Each attempt is its own trace, because no viewer opens one trace of 10^5 jobs; search for the
    attribute `xtyl.execution` to find those of one execution."""

    def __init__(self, endpoint: str, type_of: Callable[[Claim], str]):
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise SettingsError(
                "traces are asked for, but OpenTelemetry is not installed here",
                hint="Install it with `pip install 'xtyl-nb[observe]'`, or leave XTYL_OTLP_ENDPOINT and OTEL_* out.",
            ) from None
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
        given = Resource.create()
        is_named = str(given.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service") is False
        resource = given if is_named else given.merge(Resource({SERVICE_NAME: "xtyl-worker"}))
        # Not the process-wide provider: that one belongs to users' functions, which may trace themselves.
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("xtyl", version("xtyl-nb"))
        self._error = trace.Status(trace.StatusCode.ERROR)
        self._type_of = type_of

    def attempt(self, claim: Claim, work: Callable[[Claim], Outcome]) -> Outcome:
        """Do the work inside a span; spans opened within it are its children."""
        place = {"execution": claim.execution_id, "node": claim.node, "item": claim.item, "attempt": claim.number}
        given: dict[str, Any] = {f"xtyl.{name}": value for name, value in place.items()}
        with self._tracer.start_as_current_span("attempt", attributes=given) as span:
            outcome = work(claim)
            # Only after the work is the claim's plan sure to be loaded.
            span.update_name(self._type_of(claim) or "attempt")
            span.set_attributes(_facts(outcome))
            if isinstance(outcome, Failed | Retrying):
                span.set_status(self._error)
        return outcome

    def committed(self, execution_id: str, count: int, seconds: float) -> None:
        """Add a span for a commit that has just ended."""
        given: dict[str, Any] = {"xtyl.execution": execution_id, "xtyl.outcomes": count}
        end = time.time_ns()
        self._tracer.start_span("commit", start_time=end - int(seconds * 1e9), attributes=given).end(end)

    def close(self) -> None:
        """Send the remaining spans, for 2 seconds at most: the library alone waits up to 10 for a collector that is silent."""
        last = threading.Thread(target=self._provider.shutdown, name="xtyl-spans", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


def current_parent() -> str | None:
    """The span in which this thread is, as W3C writes it; None outside of any."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    found = trace and trace.get_current_span().get_span_context()
    return (
        f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}" if found and found.is_valid else None
    )


def _facts(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"outcome": outcome_name(outcome)}
    if isinstance(outcome, Failed | Retrying):
        facts["error_class"] = str(outcome.failure.error_class)
    if (used := outcome.usage) is not None:
        facts |= {"provider": used.provider, "model": used.model, "tokens": used.tokens, "cost": used.cost}
    return {f"xtyl.{name}": value for name, value in facts.items() if value is not None}
