"""ASGI middleware for every request: Host and Origin checks, security headers, metrics, crashes as problem+json. The words of
a crash go to the log only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xtyl_engine.api.problems import answer, problem
from xtyl_engine.telemetry.prometheus import ApiMetrics

log = logging.getLogger("xtyl")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_URL = 8_000
ALWAYS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


class Guard:
    """An ASGI app around another. `hosts` are allowed names beside loopback's, `origins` those of pages on other hosts that may
    call it."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str], metrics: ApiMetrics | None):
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._origins = frozenset(origins)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        extra = self._cross_origin(origin)
        began, is_started = time.monotonic(), False

        async def sending(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                sent = MutableHeaders(scope=message)
                for name, value in {**ALWAYS, **extra}.items():
                    sent.setdefault(name, value)
                self._count(scope, message["status"], time.monotonic() - began)
            await send(message)

        refused = self._refusal(scope, headers, origin)
        try:
            if refused is not None:
                await answer(refused)(scope, receive, sending)
            elif scope["method"] == "OPTIONS" and extra:
                extra |= PREFLIGHT
                await sending({"type": "http.response.start", "status": 204, "headers": []})
                await sending({"type": "http.response.body", "body": b""})
            else:
                await self._app(scope, receive, sending)
        except ClientDisconnect:
            log.debug("the client went away")
        except Exception:
            # The error's words may quote the request, so they go to the log only.
            log.exception("a request failed: %s", _route(scope))
            if is_started:
                raise
            await answer(problem(500, "api/error", "the API failed", hint="See the API's log for the cause."))(
                scope, receive, sending
            )

    def _refusal(self, scope: Scope, headers: Headers, origin: str | None) -> dict[str, object] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _hostname(hosts[0]) not in self._hosts:
            hint = "Set XTYL_API_HOSTS to the host names by which it may be called."
            return problem(421, "api/host", "this API does not answer to that host name", hint=hint)
        if origin is not None and origin not in self._origins and not _is_same(scope, origin, hosts[0]):
            hint = "Set XTYL_API_ORIGINS to the origins whose pages may call it."
            return problem(403, "api/origin", "pages of that origin may not call this API", hint=hint)
        query: bytes = scope.get("query_string", b"")
        if "\0" in scope["path"] or b"%00" in query or b"\0" in query or len(query) + len(scope["path"]) > MAX_URL:
            return problem(
                422,
                "api/invalid",
                "the URL holds a NUL character or is too long",
                hint="Shorten it, and leave out the NUL.",
            )
        return None

    def _cross_origin(self, origin: str | None) -> dict[str, str]:
        if origin is None or origin not in self._origins:
            return {}
        exposed = "Location, Retry-After"
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposed, "Vary": "Origin"}

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        if self._metrics is not None:
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.observe_request(method, _route(scope), status, seconds)


def _route(scope: Scope) -> str:
    """The path pattern of the route, not the path: a metric by path would have one series for each id."""
    return str(getattr(scope.get("route"), "path_format", "other"))


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_same(scope: Scope, origin: str, host: str) -> bool:
    return origin == f"{scope.get('scheme', 'http')}://{host}"
