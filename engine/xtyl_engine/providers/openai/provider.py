"""The provider for services that speak OpenAI's protocol: OpenAI, Azure, Ollama, vLLM, llama.cpp. The SDK is an optional
extra, imported at first use; its errors become ours, transient or permanent. Retries are the engine's, not made here.
"""

from __future__ import annotations

import base64
import binascii
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from xtyl_engine.errors import NodeTimeout, PermanentError, TransientError, WorkflowException
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult, Usage
from xtyl_engine.providers.openai.errors import read_status
from xtyl_engine.providers.registry import CUSTOMARY

if TYPE_CHECKING:
    import openai
    from openai import OpenAI

TEXT_MODEL = "gpt-4.1-mini"
IMAGE_MODEL = "gpt-image-1"


class OpenAIProvider:
    """Text by chat completions and images by generations, at `OPENAI_BASE_URL` with `OPENAI_API_KEY`; also with
    `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`, where these are set."""

    name = "openai"

    def __init__(self, environment: Mapping[str, str]):
        self._environment = environment
        # Connect before a job's effect starts; an error is raised by the call itself.
        with suppress(Exception), self._client():
            pass

    def write(self, request: TextRequest) -> TextResult:
        """One chat completion."""
        messages = [{"role": "system", "content": request.system}] if request.system else []
        messages.append({"role": "user", "content": request.prompt})
        model = request.model or TEXT_MODEL
        # A seed is sent only where it is asked for: not every model takes one.
        optional = {"temperature": request.temperature, "seed": request.seed % 2**31 if request.is_seeded else None}
        with self._client() as client:
            answer = _completed(
                client,
                request.max_tokens,
                model=model,
                messages=messages,
                timeout=request.timeout_seconds,
                extra_headers=_headers(request.key),
                **{name: value for name, value in optional.items() if value is not None},
            )
        text, finish = _text(answer)
        return TextResult(text=text, usage=self._usage(answer, model), finish=finish)

    def draw(self, request: ImageRequest) -> ImageResult:
        """One generated image, requested as data: a link is refused, not followed."""
        model = request.model or IMAGE_MODEL
        # GPT image models always answer with data, and refuse the parameter that asks for it.
        wanted: dict[str, Any] = {} if model.startswith("gpt-image") else {"response_format": "b64_json"}
        with self._client() as client:
            answer: Any = client.images.generate(
                model=model,
                prompt=request.prompt,
                n=1,
                size=f"{request.width}x{request.height}",
                timeout=request.timeout_seconds,
                extra_headers=_headers(request.key),
                **wanted,
            )
        return ImageResult(data=_image(answer), usage=self._usage(answer, model))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        key = self._set("OPENAI_API_KEY")
        if key is None:
            raise PermanentError(
                "the openai provider has no key",
                hint="Set OPENAI_API_KEY (any text for a local server) in the notebook, or where the workers of a shared back "
                "end run; then `run.retry()`. Or use provider='offline'.",
            )
        address = self._set("OPENAI_BASE_URL") or CUSTOMARY[self.name]
        try:
            yield _connected(key, address, self._set("OPENAI_ORG_ID"), self._set("OPENAI_PROJECT_ID"))
        except Exception as error:
            # `from None`: the SDK's own error can quote the request with the key in it.
            raise _translated(error, key, _place(address)) from None

    def _set(self, variable: str) -> str | None:
        return self._environment.get(variable, "").strip() or None

    def _usage(self, answer: Any, model: str) -> Usage:
        usage = getattr(answer, "usage", None)
        tokens = getattr(usage, "total_tokens", None)
        answered = getattr(answer, "model", None)
        return Usage(
            provider=self.name,
            model=answered if isinstance(answered, str) else model,
            tokens=tokens if isinstance(tokens, int) else None,
        )


_clients: dict[tuple[str | None, ...], OpenAI] = {}
# The servers and models that ask for `max_completion_tokens`; kept here because each job has a new provider.
_respelt: set[tuple[str, str]] = set()
_lock = threading.Lock()


def _connected(key: str, address: str, organization: str | None, project: str | None) -> OpenAI:
    """One client per server, key and account: making one takes tens of milliseconds, and it pools connections."""
    try:
        from openai import OpenAI
    except ImportError:
        raise PermanentError(
            f"the openai provider needs the openai package, which the Python of this run's worker lacks: {sys.executable}",
            hint='Install it there: pip install "xtyl-nb[openai]". Or end the back end with `xtyl down`, if your notebook\'s own '
            "Python has it: the next run starts it with that.",
        ) from None
    place = (key, address, organization, project)
    with _lock:
        if place not in _clients:
            # The engine retries, visibly and with a bound, so the SDK must not.
            made = OpenAI(api_key=key, base_url=address, max_retries=0)
            # What is not given, the SDK takes from this process's environment, which need not be that of the run's kernel.
            made.organization, made.project = organization, project
            _clients[place] = made
        return _clients[place]


def _completed(client: OpenAI, limit: int | None, *, model: str, **facts: Any) -> Any:
    """The server's answer, with the limit on tokens spelt as this model requires. A request refused for its spelling alone is
    repeated at once: nothing was made, and nothing is billed."""
    import openai

    create: Any = client.chat.completions.create
    if limit is None:
        return create(model=model, **facts)
    place = (str(client.base_url), model)
    if place not in _respelt:
        try:
            return create(model=model, max_tokens=limit, **facts)
        except openai.BadRequestError as error:
            if not _is_misspelt(error):
                raise
    answer = create(model=model, max_completion_tokens=limit, **facts)
    _respelt.add(place)
    return answer


def _is_misspelt(error: openai.BadRequestError) -> bool:
    refused = (error.code, error.param) == ("unsupported_parameter", "max_tokens")
    return refused or "max_completion_tokens" in error.response.text


def _translated(error: Exception, secret: str, address: str) -> WorkflowException:
    """An error of the SDK as one of ours, with the secret removed from its text."""
    if isinstance(error, WorkflowException):
        return error
    import openai

    if isinstance(error, openai.APITimeoutError):
        return NodeTimeout(f"{address} did not answer in time", hint="Raise `timeout`, or try later.")
    if isinstance(error, openai.APIConnectionError):
        cause = type(error.__cause__ or error).__name__
        return TransientError(f"{address} cannot be reached: {cause}", hint="Check the network and OPENAI_BASE_URL.")
    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return read_status(error.status_code, _words(error, secret), str(error.code or ""), headers)
    if isinstance(error, ValueError | openai.APIError):
        return TransientError(
            f"the answer of {address} is malformed: {type(error).__name__}",
            hint="Check OPENAI_BASE_URL if this happens again.",
        )
    return PermanentError(
        f"the openai provider failed: {type(error).__name__}: {str(error).replace(secret, '***')[:300]}"
    )


def _place(address: str) -> str:
    """A server's address without a password in it."""
    try:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "the server of OPENAI_BASE_URL"


def _words(error: Any, secret: str) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    text = said if isinstance(said, str) else error.response.reason_phrase or "no reason given"
    return " ".join(text.replace(secret, "***").split())[:300]


def _headers(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _text(answer: Any) -> tuple[str, str | None]:
    """The text, and why it ends."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise _malformed("it holds no message")
    message, reason = choices[0].message, choices[0].finish_reason
    if reason == "content_filter" or getattr(message, "refusal", None):
        said = getattr(message, "refusal", None) or "its content filter stopped the answer"
        raise PermanentError(f"the model refused to write this: {str(said)[:300]}", hint="Change the prompt.")
    if not isinstance(message.content, str) or not message.content.strip():
        if reason == "length":
            raise PermanentError("the model used up max_tokens before it wrote anything", hint="Raise `max_tokens`.")
        raise _malformed("its message is empty")
    return message.content.strip(), reason if isinstance(reason, str) else None


def _image(answer: Any) -> bytes:
    images = getattr(answer, "data", None)
    if not isinstance(images, list) or not images:
        raise _malformed("it holds no image")
    encoded = getattr(images[0], "b64_json", None)
    if not isinstance(encoded, str):
        if getattr(images[0], "url", None):
            raise PermanentError(
                "the server answered with a link to the image, and links are not followed",
                hint="Set the server or the model to answer with b64_json.",
            )
        raise _malformed("its image is empty")
    if len(encoded) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise PermanentError(f"the image has more than {MAX_IMAGE_BYTES:,} bytes", hint="Ask for a smaller `size`.")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _malformed("its image is not whole base64") from None


def _malformed(why: str) -> TransientError:
    return TransientError(
        f"the server's answer cannot be used: {why}", hint="Check OPENAI_BASE_URL if this happens again."
    )
