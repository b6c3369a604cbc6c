"""The only module with an HTTP client: calls of an API that return JSON, or raise the error that the back end raised, in its own
words. It knows no path of the API; `backend` and `queries` do.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit
from weakref import WeakSet

import httpx2

from xtyl_engine.checks import IN_PASSWORDS, is_readable
from xtyl_engine.errors import BackendError, WorkflowException
from xtyl_nb.backends.remote.errors import refusal

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
# Longer than a stream is ever silent: its keep-alive comes every 15 seconds.
STREAM_TIMEOUT = httpx2.Timeout(40.0, connect=5.0)
PASSING = frozenset({429, 502, 503, 504})
CUT = 300
AWAY = "Check the address, and that `xtyl api` runs there. Nothing is lost: runs go on without you."
UNSURE = "Look with `xt.runs()` or `run.state` before you repeat it: it may have been done all the same."
_all: WeakSet[Calls] = WeakSet()


class Calls:
    """One API and its token, which is never shown. Safe to share between threads, and across forks."""

    def __init__(self, url: str, token: str):
        self.url = _checked(url, token)
        self._token = token
        self._is_near = urlsplit(self.url).hostname in LOOPBACK
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        _all.add(self)

    def __repr__(self) -> str:
        return f"Calls({self.url!r})"

    def __del__(self) -> None:
        # Missing if the address was refused.
        if hasattr(self, "_lock"):
            self.close()

    def get(self, *path: str, **parameters: Any) -> Any:
        """Get the JSON at a path."""
        return self._json(self._answer("GET", path, params=_given(parameters)))

    def page(self, *path: str, of: str, **parameters: Any) -> tuple[list[Any], Any]:
        """Get a page of the list `of` at a path, and the cursor of the next page; None after the last."""
        found = self.get(*path, **parameters)
        if isinstance(found, dict) and isinstance(listed := found.get(of), list):
            return listed, found.get("next")
        raise self.odd(f"no list of {of}")

    def post(self, *path: str, body: Any = None, key: str | None = None) -> Any:
        """Post a body and return the answer; two posts with the same `key` count once."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._json(self._answer("POST", path, json={} if body is None else body, headers=headers))

    def upload(self, *path: str, data: bytes, **parameters: Any) -> Any:
        """Post bytes and return the answer."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._json(self._answer("POST", path, content=data, headers=headers, params=_given(parameters)))

    def fetch(self, *path: str, **parameters: Any) -> bytes:
        """Get the bytes at a path."""
        return self._answer("GET", path, params=_given(parameters)).content

    def lines(self, *path: str, after: int) -> Iterator[str]:
        """Yield the lines of an event stream as they arrive, from the event that follows number `after`."""
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        with _Translated(self.url, writes=False):
            client = self._connected()
            request = client.build_request("GET", _path(path), headers=headers, timeout=STREAM_TIMEOUT)
            answer = client.send(request, stream=True)
            try:
                if answer.status_code != 200:
                    answer.read()
                    raise self._refusal(answer)
                yield from answer.iter_lines()
            finally:
                answer.close()

    def odd(self, what: str) -> BackendError:
        """The error for an answer of the wrong kind."""
        hint = "Check that it is the address of `xtyl api`, and compare the releases with `xtyl --version`."
        return BackendError(f"{self.url} gave {what} for an answer", hint=hint)

    def close(self) -> None:
        """Close every connection. A later call opens them again: a Run outlives the choice of a back end."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def forget(self) -> None:
        """Drop, in a forked child, the connections of the parent, and a lock that a thread of the parent may hold."""
        self._lock, self._client = threading.Lock(), None

    def _connected(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> httpx2.Client:
        with suppress(httpx2.InvalidURL, ValueError, ImportError):
            return httpx2.Client(
                base_url=f"{self.url}/api/",
                headers={"Authorization": f"Bearer {self._token}", "User-Agent": "xtyl-nb"},
                timeout=TIMEOUT,
                # Calls to this machine do not go through a proxy that the environment names.
                trust_env=not self._is_near,
                limits=httpx2.Limits(max_connections=64),
            )
        # The library's words may quote a part of the proxy's password, and would go along with this error.
        raise BackendError(
            f"{self.url} cannot be asked through the proxy that the environment names",
            hint=f"Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: write http://user:password@host:port, and {IN_PASSWORDS}. "
            "A SOCKS proxy needs the package socksio.",
        )

    def _answer(self, method: str, path: tuple[str, ...], **options: Any) -> httpx2.Response:
        with _Translated(self.url, writes=method != "GET"):
            answer = self._connected().request(method, _path(path), **options)
        if not answer.is_success:
            raise self._refusal(answer)
        return answer

    def _json(self, answer: httpx2.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise self.odd("no JSON") from error

    def _refusal(self, answer: httpx2.Response) -> WorkflowException:
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            try:
                problem = answer.json()
            except ValueError:
                problem = None
            if isinstance(problem, Mapping) and isinstance(problem.get("code"), str):
                return refusal(problem, retryable=answer.status_code in PASSING)
        if answer.is_redirect:
            hint = f"Connect to {str(answer.headers.get('location'))[:CUT]}, to which it redirects."
        else:
            hint = "Check that it is the address of `xtyl api`: a proxy in between may have answered."
        return BackendError(
            f"{self.url} answered {answer.status_code} {answer.reason_phrase}"[:CUT],
            hint=hint,
            retryable=answer.status_code in PASSING,
        )


class _Translated:
    """A block whose transport errors become BackendError. `writes` says that the call may have taken effect all the same."""

    def __init__(self, url: str, *, writes: bool):
        self._url = url
        self._writes = writes

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # A client that another thread closed raises RuntimeError; the next try opens another.
        if isinstance(error, (httpx2.HTTPError, httpx2.StreamError, RuntimeError)):
            words = str(error).rstrip(".") or type(error).__name__
            never_sent = isinstance(error, httpx2.ConnectError)
            raise BackendError(
                f"the back end at {self._url} cannot be reached: {words}"[:CUT],
                hint=UNSURE if self._writes and not never_sent else AWAY,
                retryable=True,
            ) from error
        if isinstance(error, (httpx2.InvalidURL, ValueError)) and not isinstance(error, WorkflowException):
            raise BackendError(f"the request cannot be sent to {self._url}: {str(error)[:CUT]}") from error


def _checked(url: str, token: str) -> str:
    parts = urlsplit(url if isinstance(url, str) and is_readable(url) else "")
    has_more = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or has_more:
        raise BackendError(
            "this is not the address of a back end's API",
            hint='Write it as "https://xtyl.example.org", without the token.',
        )
    if not token:
        raise BackendError(
            f"there is no token for {parts.hostname}",
            hint='Ask its operator for one (`xtyl token create`), then pass token="…" or set XTYL_TOKEN.',
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BackendError(
            "the token holds characters that are not allowed in one",
            hint="Copy all of it again, without quotes or line ends.",
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        warnings.warn(f"The token travels unencrypted to {parts.hostname}; use https://.", UserWarning, stacklevel=6)
    return url.rstrip("/").removesuffix("/api")


def _path(parts: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _forget_connections() -> None:
    for each in list(_all):
        each.forget()


os.register_at_fork(after_in_child=_forget_connections)
