"""How the kinds of servers that speak OpenAI's protocol refuse what they do not take, each in the words of public reports. A
model's name begins with its kind, as in `gemini/flash`. What a kind does not know and passes over, it takes.
"""

import json
from dataclasses import dataclass, field
from typing import Any


def _openai(message: str, param: str | None, code: str | int | None, kind: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _unrecognized(name: str) -> str:
    return _openai(f"Unrecognized request argument supplied: {name}", None, None)


def _no_field(name: str) -> str:
    words = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    found = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": words}]}
    return json.dumps([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT", "details": [found]}}])


def _forbidden(name: str) -> str:
    words = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}]"
    return json.dumps({"object": "error", "message": words, "type": "BadRequestError", "param": None, "code": 400})


def _mistral(name: str) -> str:
    found = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}]
    return json.dumps({"object": "error", "message": {"detail": found}, "type": "invalid_request_error", "code": None})


TERSE = "Unsupported parameter: '{}' is not supported with this model."


@dataclass(frozen=True)
class Kind:
    """What one kind refuses, by parameter, and how it answers where it makes no images."""

    refuses: dict[str, str] = field(default_factory=dict)
    status: int = 400
    no_images: tuple[int, str] | None = None


KINDS = {
    "openai": Kind(
        {
            "response_format": _openai("Unknown parameter: 'response_format'.", "response_format", "unknown_parameter"),
            "size": _openai(
                "Invalid value: '1024x1024'. Supported values are: '1024x1536', and 'auto'.", "size", "invalid_value"
            ),
        }
    ),
    "reasoning": Kind(
        {
            "max_tokens": _openai(
                f"{TERSE.format('max_tokens')} Use 'max_completion_tokens' instead.",
                "max_tokens",
                "unsupported_parameter",
            ),
            "temperature": _openai(
                "Unsupported value: 'temperature' does not support 0.2 with this model. "
                "Only the default (1) value is supported.",
                "temperature",
                "unsupported_value",
            ),
            "seed": _openai(TERSE.format("seed"), "seed", "unsupported_parameter"),
        }
    ),
    "azure": Kind({name: _unrecognized(name) for name in ("seed", "max_completion_tokens", "response_format")}),
    "ollama": Kind(no_images=(404, "404 page not found")),
    "vllm": Kind(
        {"seed": _forbidden("seed"), "n": _forbidden("n"), "response_format": _forbidden("response_format")},
        no_images=(404, '{"detail":"Not Found"}'),
    ),
    "vllm-images": Kind({"n": _forbidden("n"), "response_format": _forbidden("response_format")}),
    "llama.cpp": Kind(
        no_images=(404, '{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'),
    ),
    "anthropic": Kind(
        {
            "temperature": _openai(
                "`temperature` is deprecated for this model.", None, "invalid_request_error", "invalid_request_error"
            )
        },
        no_images=(404, '{"error":{"type":"not_found_error","message":"Not found"}}'),
    ),
    "gemini": Kind({name: _no_field(name) for name in ("seed", "size")}),
    "mistral": Kind({"seed": _mistral("seed")}, status=422, no_images=(404, '{"message":"no Route matched"}')),
    "gateway": Kind(
        {
            "seed": json.dumps(
                {"error": {"message": "litellm.UnsupportedParamsError: x does not support parameters: ['seed']"}}
            )
        }
    ),
}


def refusal_of(model: str, path: str, body: dict[str, Any]) -> tuple[int, str] | None:
    """How the kind that a model's name begins with refuses a request; None where it takes it, or is none of these."""
    kind = KINDS.get(model.partition("/")[0])
    if kind is None or "/" not in model:
        return None
    if kind.no_images is not None and path.partition("?")[0].endswith("/images/generations"):
        return kind.no_images
    return next(((kind.status, words) for name, words in kind.refuses.items() if name in body), None)
