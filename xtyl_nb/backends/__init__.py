"""Where runs are submitted to and asked about: directly, as on a laptop, or over HTTP.

Others take a back end from `connect` and see only `protocol`; `retrying` rides over a back end that is away for a moment.
"""

__all__ = ["connect", "direct", "fork", "protocol", "remote", "retrying"]
