"""The one home of HTTP: an API as calls that return JSON, or raise what the back end raised, in its own words. Which calls there
are, `remote` knows.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

import xtyl_engine.errors
from xtyl_engine.errors import BackendError, Problem, WorkflowError, WorkflowException

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
# Somewhat longer than a stream is silent: its keep-alive comes every 15 seconds.
STREAM_TIMEOUT = httpx2.Timeout(40.0, connect=5.0)
PASSING = frozenset({429, 502, 503, 504})
CUT = 300


class Calls:
    """One API and the token for it, which is never shown. Safe to share between threads, and across forks."""

    def __init__(self, url: str, token: str):
        self.url = _checked(url, token)
        self._token = token
        self._is_near = urlsplit(self.url).hostname in LOOPBACK
        self._open()
        os.register_at_fork(after_in_child=self._open)

    def __repr__(self) -> str:
        return f"Calls({self.url!r})"

    def get(self, *path: str, **parameters: Any) -> Any:
        """The JSON that lies at a path."""
        return self._json(self._answer("GET", path, params=_given(parameters)))

    def page(self, *path: str, of: str, **parameters: Any) -> tuple[list[Any], Any]:
        """What is listed at a path under the name `of`, and where the next page begins, None after the last."""
        found = self.get(*path, **parameters)
        if isinstance(found, dict) and isinstance(listed := found.get(of), list):
            return listed, found.get("next")
        raise self.odd(f"no list of {of}")

    def post(self, *path: str, body: Any = None, key: str | None = None) -> Any:
        """What the API says to a body; two with the same `key` count once."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._json(self._answer("POST", path, json={} if body is None else body, headers=headers))

    def upload(self, *path: str, data: bytes, media_type: str) -> Any:
        """Send bytes; what the API says of them."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._json(self._answer("POST", path, content=data, headers=headers, params={"media_type": media_type}))

    def fetch(self, *path: str, **parameters: Any) -> tuple[bytes, str]:
        """The bytes that lie at a path, and their media type."""
        answer = self._answer("GET", path, params=_given(parameters))
        return answer.content, answer.headers.get("content-type", "")

    def lines(self, *path: str, after: int) -> Iterator[str]:
        """The lines of an event stream as they come, from the event that follows number `after`."""
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        with self._translated():
            request = self._client.build_request("GET", _path(path), headers=headers, timeout=STREAM_TIMEOUT)
            answer = self._client.send(request, stream=True)
            try:
                if answer.status_code != 200:
                    answer.read()
                    raise self._refusal(answer)
                yield from answer.iter_lines()
            finally:
                answer.close()

    def odd(self, what: str) -> BackendError:
        """The error of an answer that is not what it should be."""
        hint = "Is it the address of `xtyl api`? If so, it may be of another release: compare `xtyl --version`."
        return BackendError(f"{self.url} gave {what} for an answer", hint=hint)

    def close(self) -> None:
        self._client.close()

    def _open(self) -> None:
        self._client = httpx2.Client(
            base_url=f"{self.url}/api/",
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": "xtyl-nb"},
            timeout=TIMEOUT,
            # A proxy of the environment has no business between this machine and itself.
            trust_env=not self._is_near,
            limits=httpx2.Limits(max_connections=64),
        )

    def _answer(self, method: str, path: tuple[str, ...], **options: Any) -> httpx2.Response:
        with self._translated():
            answer = self._client.request(method, _path(path), **options)
        if not answer.is_success:
            raise self._refusal(answer)
        return answer

    def _json(self, answer: httpx2.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise self.odd("no JSON") from error

    def _translated(self) -> _Translated:
        return _Translated(self.url)

    def _refusal(self, answer: httpx2.Response) -> WorkflowException:
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            try:
                problem = answer.json()
            except ValueError:
                problem = None
            if isinstance(problem, Mapping) and isinstance(problem.get("code"), str):
                return refusal(problem, retryable=answer.status_code in PASSING)
        if answer.is_redirect:
            hint = f"Connect to where it sends you: {str(answer.headers.get('location'))[:CUT]}"
        else:
            hint = "Is it the address of `xtyl api`? A proxy in between may have answered."
        return BackendError(
            f"{self.url} answered {answer.status_code} {answer.reason_phrase}"[:CUT],
            hint=hint,
            retryable=answer.status_code in PASSING,
        )


class _Translated:
    """A block whose transport errors are ours."""

    def __init__(self, url: str):
        self._url = url

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx2.HTTPError):
            words = str(error).rstrip(".") or type(error).__name__
            raise BackendError(
                f"the back end at {self._url} cannot be reached: {words}"[:CUT],
                hint="Is `xtyl api` running there, and the address right? Nothing is lost: runs go on without you.",
                retryable=True,
            ) from error
        if isinstance(error, (httpx2.InvalidURL, httpx2.StreamError, ValueError)) and not isinstance(
            error, WorkflowException
        ):
            raise BackendError(f"{self._url} cannot be asked that: {str(error)[:CUT]}") from error


def refusal(problem: Mapping[str, Any], *, retryable: bool = False) -> WorkflowException:
    """The error that a problem document tells of, of the class that the back end raised."""
    code, detail = problem["code"], str(problem.get("detail") or problem.get("title") or "")
    hint = str(problem["hint"]) if problem.get("hint") else None
    if code == WorkflowError.code and isinstance(problem.get("problems"), list):
        fields = ("code", "node", "message", "hint")
        found = [Problem(**{name: each.get(name) for name in fields}) for each in problem["problems"]]
        return WorkflowError(found, workflow=str(problem.get("workflow") or ""))
    if code in ("api/unauthorized", "api/forbidden"):
        return BackendError(detail, hint=hint)
    known = {kind.code: kind for kind in _classes(WorkflowException)}
    data: dict[str, Any] = {"retryable": True} if retryable else {}
    if isinstance(problem.get("state"), str):
        data["state"] = problem["state"]
    made = known.get(code, WorkflowException)(detail, hint=hint, **data)
    made.code = code
    return made


def _classes(kind: type[WorkflowException]) -> Iterator[type[WorkflowException]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith(xtyl_engine.__name__) and each is not WorkflowError:
            yield each
        yield from _classes(each)


def _checked(url: str, token: str) -> str:
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise BackendError(
            "this is no address of a back end's API", hint='Write it as "https://xtyl.example.org", the token apart.'
        )
    if not token:
        raise BackendError(
            f"there is no token for {parts.hostname}",
            hint='Ask whoever runs it for one (`xtyl token create`); pass token="…" or set XTYL_TOKEN.',
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BackendError(
            "the token holds characters that no token has", hint="Copy it again, whole, without quotes or line ends."
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        warnings.warn(f"The token travels unencrypted to {parts.hostname}; use https://.", UserWarning, stacklevel=5)
    return url.rstrip("/").removesuffix("/api")


def _path(parts: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
