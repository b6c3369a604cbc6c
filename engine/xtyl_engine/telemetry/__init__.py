"""What operators see: log lines without secrets, numbers for Prometheus, spans, errors sent out.

Workers and the API feed it; it changes nothing and decides nothing. Others may use every module.
"""

__all__ = ["job_counts", "log_lines", "otel", "prometheus", "queue_times", "samples", "sentry", "timed_provider"]
