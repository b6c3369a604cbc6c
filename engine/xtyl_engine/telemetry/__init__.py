"""Log lines without secrets, metrics for Prometheus, spans for OpenTelemetry, errors for Sentry.

Workers and the API feed it; it reads SQL, and changes nothing there. Other rooms may use every module.
"""

__all__ = ["job_counts", "log_lines", "otel", "prometheus", "queue_times", "samples", "sentry", "timed_provider"]
