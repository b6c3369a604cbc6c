"""The SDK's clients, one for each server and account, and what their errors mean. The SDK is an optional extra, imported at
first use; retries are the engine's, not made here.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xtyl_engine.errors import AnswerLost, NodeTimeout, PermanentError, TransientError, WorkflowException
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.openai.addresses import Destination

if TYPE_CHECKING:
    from openai import OpenAI

# An image as base64, and room for what stands around it.
MOST_BYTES = MAX_IMAGE_BYTES * 3 // 2 + 1024 * 1024
AGAIN = "Try again; if it goes on so, look into the server's log."
_clients: dict[Destination, OpenAI] = {}
_lock = threading.Lock()


def connected(place: Destination) -> OpenAI:
    """One client per place: making one takes tens of milliseconds, and it pools connections."""
    with _lock:
        if place not in _clients:
            _clients[place] = _made(place)
        return _clients[place]


def _made(place: Destination) -> OpenAI:
    sdk = _sdk()
    query = dict(place.query)
    try:
        made: OpenAI = sdk.OpenAI(
            api_key=place.key,
            base_url=place.address,
            default_query=query,
            # Azure's addresses with a version take the key under a name of their own.
            default_headers={"api-key": place.key} if "api-version" in query else None,
            # The engine retries, visibly and with a bound, so the SDK must not.
            max_retries=0,
            http_client=sdk.DefaultHttpxClient(proxy=place.proxy) if place.proxy else None,
        )
    except ImportError:
        raise PermanentError(
            f"the proxy {_plain(place.proxy or '')} needs a package that this Python lacks: {sys.executable}",
            hint='Install it there: pip install "httpx2[socks]". Or take a proxy that speaks http.',
        ) from None
    # What is not given, the SDK takes from this process's environment, which need not be that of the run's kernel.
    made.organization, made.project = place.organization, place.project
    return made


def _sdk() -> ModuleType:
    try:
        import openai
    except ImportError:
        raise PermanentError(
            f"the openai provider needs the openai package, which the Python of this run's worker lacks: {sys.executable}",
            hint='Install it there: pip install "xtyl-nb[openai]". Or end the back end with `xtyl down`, if your notebook\'s own '
            "Python has it: the next run starts it with that.",
        ) from None
    return openai


def sent(
    create: Callable[..., Any], seconds: float, place: Destination, facts: Mapping[str, Any]
) -> tuple[int, Mapping[str, str], Any]:
    """The status, the headers and the document that a server answers with. `create` is a streamed verb of a client, so that a
    body has a bound in bytes, and the whole of it one in time. Raises TransientError and PermanentError for no answer."""
    until = time.monotonic() + seconds
    sdk = _sdk()
    try:
        try:
            with create(**facts, timeout=seconds) as response:
                status, headers, body = response.status_code, response.headers, _read(response.iter_bytes(), until)
        except sdk.APIStatusError as refused:
            status, headers, body = refused.status_code, refused.response.headers, refused.response.content
    except Exception as error:
        # `from None`: the SDK's own error can quote the request with the key in it.
        raise _translated(error, place) from None
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = text
    return status, {name.lower(): value for name, value in headers.items()}, document


def _read(parts: Any, until: float) -> bytes:
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > MOST_BYTES:
            raise PermanentError(
                f"the server's answer has more than {MOST_BYTES:,} bytes", hint="Ask for a smaller `size`."
            )
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(body)


def _translated(error: Exception, place: Destination) -> WorkflowException:
    """An error of the SDK, or of what it stands on, as one of ours."""
    if isinstance(error, WorkflowException):
        return error
    causes = list(_causes(error))
    names = {each.__name__ for cause in causes for each in type(cause).__mro__}
    if names & {"APITimeoutError", "TimeoutException", "TimeoutError"}:
        return NodeTimeout(f"{place.name} did not answer in time", hint="Raise `timeout`, or try later.")
    if not names & {"APIConnectionError", "TransportError", "OSError"}:
        # Its text may quote the request.
        return PermanentError(
            f"the openai provider failed: {type(error).__name__}: {str(error).replace(place.key, '***')[:300]}"
        )
    return _unreachable(causes, names, place)


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unreachable(causes: list[BaseException], names: set[str], place: Destination) -> WorkflowException:
    kind = type(causes[0].__cause__ or causes[0]).__name__
    if found := next((each for each in causes if isinstance(each, ssl.SSLCertVerificationError)), None):
        return PermanentError(
            f"the certificate of {place.name} is not trusted: {found.verify_message}",
            hint="Check OPENAI_BASE_URL, or let SSL_CERT_FILE name the certificates that count here.",
        )
    said = " ".join(str(each) for each in causes)
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER_FAILURE" in said:
        return PermanentError(
            f"{place.name} does not speak TLS", hint="Write http:// in OPENAI_BASE_URL, or check its port."
        )
    if place.proxy and names & {"ProxyError", "ConnectError"}:
        why = next((str(each)[:200] for each in causes if type(each).__name__ == "ProxyError"), "nothing answers there")
        return TransientError(
            f"the proxy {_plain(place.proxy)} does not lead to {place.name}: {why}",
            hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; NO_PROXY names hosts that need no proxy.",
            is_refused=True,
        )
    if "gaierror" in names:
        return TransientError(
            f"{place.name} cannot be reached: its host has no address",
            hint="Check OPENAI_BASE_URL and the network.",
            is_refused=True,
        )
    if names & {"ReadError", "WriteError", "RemoteProtocolError"}:
        return AnswerLost(f"{place.name} broke off before its answer was whole: {kind}", hint=AGAIN)
    hint = "Check the network and OPENAI_BASE_URL."
    return TransientError(f"{place.name} cannot be reached: {kind}", hint=hint, is_refused="ConnectError" in names)


def _plain(proxy: str) -> str:
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
