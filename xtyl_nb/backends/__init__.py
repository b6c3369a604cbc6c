"""The back ends that a notebook submits runs to and asks about them: reached directly, as on a laptop, or over HTTP.

Other rooms take a back end from `connect` and use it as `protocol` says; `retrying` waits for one that is briefly away.
"""

__all__ = ["connect", "direct", "fork", "protocol", "remote", "retrying"]
