"""What is known of a step's provider and model before anything is asked."""

import sys

import pytest

from documents import copy, document
from xtyl_engine.errors import PermanentError, WorkflowError
from xtyl_engine.providers.base import TextRequest
from xtyl_engine.providers.registry import get_provider
from xtyl_engine.workflow.validate import check_models, find_problems, validate


def image(id, **config):
    return (id, "generate_image", {"prompt": "x", **config})


@pytest.mark.parametrize(
    ("node", "code", "words"),
    [
        (copy("a", provider="openai", model="mistral:7b"), "two-providers", 'write model="openai:mistral:7b"'),
        (copy("a", provider="anthropic", model="gemini:g"), "two-providers", "names another"),
        (copy("a", model="anthropic:"), "bad-parameter", "names a provider and no model"),
        (copy("a", provider="antropic"), "unknown-provider", "Did you mean `anthropic`?"),
        (image("a", provider="anthropic"), "provider-cannot", "makes no images here"),
        (image("a", model="mistral:m"), "provider-cannot", "Use `offline`, `gemini`, or `openai`"),
        (copy("a", provider="groq"), "no-model", 'Write model="groq:...".'),
        (image("a", provider="ollama"), "no-model", "no default model"),
        (copy("a", provider="anthropic", seed=0), "provider-cannot", "takes no seed"),
    ],
)
def test_what_cannot_succeed_is_refused(node, code, words):
    """With what to write in its place."""
    (problem,) = find_problems(document(node))
    assert problem.code == f"workflow/{code}"
    assert words in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    "node",
    [
        copy("a", provider="openai", model="openai:mistral:7b"),
        copy("a", provider="openai", model="llama3:8b"),
        copy("a", model="openai/gpt-oss:20b"),
        copy("a", provider="anthropic", n=3),
        copy("a", model="gemini:g", seed=4),
        image("a", model="gemini:g"),
        copy("a", model="ollama:llama3:8b"),
        image("a", provider="openai", model="dall-e-3"),
    ],
)
def test_what_is_not_known_to_fail_passes(node):
    """Only what a provider is known not to do is refused."""
    assert find_problems(document(node)) == ()


@pytest.mark.parametrize(
    ("provider", "package", "extra"),
    [
        ("anthropic", "any_llm", "anthropic"),
        ("gemini", "google.genai", "gemini"),
        ("mistral", "mistralai", "mistral"),
        ("openai", "openai", "openai"),
    ],
)
def test_a_package_that_is_missing_is_named_before_the_run(monkeypatch, provider, package, extra):
    """With the extra that brings it, where this Python is the one that runs; a shared back end has its own."""
    monkeypatch.setitem(sys.modules, package, None)
    plan = validate(document(copy("line", provider=provider, model="m"), copy("other", provider="offline")))
    check_models(plan, packages=False)
    with pytest.raises(WorkflowError) as caught:
        check_models(plan, packages=True)
    (problem,) = caught.value.problems
    assert (problem.code, problem.node) == ("workflow/missing-package", "line")
    assert package in problem.message
    assert f'pip install "xtyl-nb[{extra}]"' in problem.hint


@pytest.mark.parametrize("name", ["anthropic", "gemini", "mistral"])
def test_a_job_names_a_missing_package_too(monkeypatch, name):
    """The workers of a shared back end find out only then."""
    monkeypatch.setitem(sys.modules, "any_llm", None)
    made = get_provider(name, {f"{name.upper()}_API_KEY": "k", f"{name.upper()}_BASE_URL": "http://127.0.0.1:1"})
    with pytest.raises(PermanentError, match="needs the package any_llm") as caught:
        made.write(TextRequest(prompt="Hi", model="m"))
    assert f"xtyl-nb[{name}]" in str(caught.value)
