"""The provider for services that speak OpenAI's protocol: a request becomes a body, the reply a result. What the body may hold,
`refusals` finds out; what a reply means, `answers` and `errors` say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from xtyl_engine.errors import NodeTimeout
from xtyl_engine.providers.base import ImageRequest, ImageResult, TextRequest, TextResult
from xtyl_engine.providers.idempotency import as_header
from xtyl_engine.providers.links import fetch_image, origin_of
from xtyl_engine.providers.openai.addresses import Destination, read_place
from xtyl_engine.providers.openai.answers import read_image, read_text
from xtyl_engine.providers.openai.clients import connected, sent
from xtyl_engine.providers.openai.errors import read_no_images, read_status
from xtyl_engine.providers.openai.pictures import editing, picture_parts
from xtyl_engine.providers.openai.refusals import negotiated
from xtyl_engine.providers.openai.replies import Reply, read_reply
from xtyl_engine.providers.registry import CUSTOMARY, default_model
from xtyl_engine.providers.schemas.words import response_format, told_in_words

SCHEMA_IN_PROMPT = "The schema stands in the prompt instead."


class OpenAIProvider:
    """Text by chat completions and images by generations, at `OPENAI_BASE_URL` with `OPENAI_API_KEY`; also with
    `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`, where these are set."""

    name = "openai"
    takes_schemas = True
    takes_images = True

    def __init__(self, environment: Mapping[str, str]):
        self._environment = environment
        # Connect before a job's effect starts; an error is raised by the call itself.
        with suppress(Exception):
            connected(read_place(environment, CUSTOMARY[self.name]))

    def write(self, request: TextRequest) -> TextResult:
        """One chat completion."""
        place = read_place(self._environment, CUSTOMARY[self.name])
        client = connected(place)
        model = request.model or default_model(self.name, draws=False) or ""
        parts = picture_parts(request.images)
        # A seed is sent only where it is asked for: not every model takes one.
        optional = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**31 if request.is_seeded else None,
        }
        offered: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
        in_words = None
        if request.schema is not None:
            offered["response_format"] = response_format(request.schema)
            in_words = {"messages": _messages(request, told_in_words(request.prompt, request.schema), parts)}
        create = client.chat.completions.with_streaming_response.create
        facts = {"model": model, "messages": _messages(request, request.prompt, parts)}
        reply = self._answered(
            create,
            place,
            facts,
            offered,
            {*request.asked, "max_tokens", "temperature"},
            request.key,
            request.timeout_seconds,
            in_words,
        )
        text, finish = read_text(reply)
        return TextResult(text=text, usage=reply.usage, finish=finish)

    def draw(self, request: ImageRequest) -> ImageResult:
        """One generated image, or with images one made from these; as data or behind a link."""
        began = time.monotonic()
        place = read_place(self._environment, CUSTOMARY[self.name])
        client = connected(place)
        model = request.model or default_model(self.name, draws=True) or ""
        offered: dict[str, Any] = {"n": 1, "size": f"{request.width}x{request.height}"}
        # GPT image models always answer with data, and refuse the parameter that asks for it.
        if not model.startswith("gpt-image"):
            offered["response_format"] = "b64_json"
        if "seed" in request.asked:
            offered["seed"] = request.seed % 2**31
        images = client.images.with_streaming_response
        create = editing(images.edit, request) if request.images else images.generate
        facts = {"model": model, "prompt": request.prompt}
        reply = self._answered(
            create,
            place,
            facts,
            offered,
            request.asked,
            request.key,
            request.timeout_seconds,
            kind="edits" if request.images else "images",
        )
        found = read_image(reply)
        if isinstance(found, str):
            left = began + request.timeout_seconds - time.monotonic()
            found = fetch_image(found, origin_of(place.address), max(left, 1.0), reply.usage)
        return ImageResult(data=found, usage=reply.usage)

    def _answered(
        self,
        create: Callable[..., Any],
        place: Destination,
        facts: Mapping[str, Any],
        offered: Mapping[str, Any],
        asked: Collection[str],
        key: str,
        seconds: float,
        in_words: Mapping[str, Any] | None = None,
        *,
        kind: str = "texts",
    ) -> Reply:
        """The reply to a request, with as much of what is offered as the model takes. `in_words` is what is sent to a model that
        takes no schema. Raises what a refusal means."""
        until = time.monotonic() + seconds
        headers = {"Idempotency-Key": as_header(key)} if key else {}

        def send(body: dict[str, Any]) -> Reply:
            left = until - time.monotonic()
            if left <= 0:
                raise NodeTimeout(f"{place.name} did not answer in time", hint="Raise `timeout`, or try later.")
            told = {**facts, **({} if in_words is None or "response_format" in body else in_words)}
            status, answered, document = sent(
                create, left, place, {**told, "extra_body": body, "extra_headers": headers}
            )
            return read_reply(status, answered, document, self.name, facts["model"], place.key)

        reply, notes = negotiated(send, offered, asked, place.address, facts["model"], kind)
        if in_words is not None and any(note.startswith("`response_format` was left out") for note in notes):
            notes = (*notes, SCHEMA_IN_PROMPT)
        reply = replace(reply, usage=replace(reply.usage, notes=notes))
        if reply.reason is None:
            return reply
        if kind != "texts":
            does = "changes" if kind == "edits" else "makes"
            if error := read_no_images(reply.status, reply.reason, place.name, reply.usage, does):
                raise error
        raise read_status(reply.status, reply.reason, reply.headers, reply.usage)


def _messages(request: TextRequest, prompt: str, pictures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": request.system}] if request.system else []
    content = [{"type": "text", "text": prompt}, *pictures] if pictures else prompt
    return [*system, {"role": "user", "content": content}]
