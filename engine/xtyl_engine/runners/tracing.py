"""The place of a call in a trace, for libraries that a function uses and that trace themselves. It traces nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


def within(parent: str | None) -> AbstractContextManager[None]:
    """Inside the block, spans are children of this parent, in the words of W3C; without one nothing is imported."""
    return nullcontext() if parent is None else _attached(parent)


@contextmanager
def _attached(parent: str) -> Iterator[None]:
    try:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        yield
        return
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": parent}))
    try:
        yield
    finally:
        context.detach(token)
