"""The back ends that a notebook submits runs to and asks about them: reached directly, as on a laptop, or over HTTP.

Other rooms take a back end from `connect` and use it as `protocol` says; `retrying` waits for one that is briefly away. Only the
command line enters `remote`, for its doctor.
"""

__all__ = ["aside", "connect", "protocol", "remote", "retrying"]
