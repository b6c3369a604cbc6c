"""One module for each part of the HTTP interface; `app` joins them."""

__all__ = ["executions", "files", "health", "reads", "reviews", "stream", "templates"]
