"""The vendors, as the library knows them."""

import pytest
from any_llm import AnyLLM
from any_llm.providers.openai.base import BaseOpenAIProvider

from openai_server import openai_server
from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.base import TextRequest
from xtyl_engine.providers.registry import get_provider, server_of
from xtyl_engine.providers.vendors.table import VENDORS

LIKE_OPENAI = [vendor for vendor in VENDORS if vendor.wiring is None]
NAMES = [vendor.name for vendor in VENDORS]


@pytest.mark.parametrize("vendor", VENDORS, ids=NAMES)
def test_each_is_as_the_library_has_it(vendor):
    """Its name, its key's variable, and where both speak OpenAI's protocol its address."""
    theirs = AnyLLM.get_provider_class(vendor.name)
    if theirs.ENV_API_KEY_NAME not in (None, "None"):
        assert "/".join(vendor.keys) == theirs.ENV_API_KEY_NAME
    if issubclass(theirs, BaseOpenAIProvider) and theirs.API_BASE is not None:
        assert vendor.address == theirs.API_BASE.rstrip("/").replace("localhost", "127.0.0.1")
    assert vendor.capabilities.sees in (None, theirs.SUPPORTS_COMPLETION_IMAGE)


def test_a_vendor_that_speaks_openais_protocol_is_asked_with_its_own_variables():
    """With its key and its name in the usage, and without OpenAI's account."""
    with openai_server() as server:
        variables = {"OPENAI_API_KEY": "sk-openai-0123456789", "OPENAI_ORG_ID": "org-openai"}
        for vendor in LIKE_OPENAI:
            own = {vendor.keys[0]: f"sk-{vendor.name}-0123456789", vendor.address_variable: server.url}
            usage = get_provider(vendor.name, variables | own).write(TextRequest(prompt="Hi", model="m")).usage
            assert (usage.provider, usage.model) == (vendor.name, "m-2026")
        sent = [headers for _, _, headers in server.requests]
        assert [each["authorization"] for each in sent] == [f"Bearer sk-{each.name}-0123456789" for each in LIKE_OPENAI]
        assert "org-openai" not in str(sent)


def test_their_errors_name_their_own_variables():
    """What to set is never OpenAI's."""
    with openai_server() as server:
        variables = {"GROQ_API_KEY": "sk-groq-0123456789", "GROQ_BASE_URL": server.url}
        asked = [
            (get_provider("groq", variables), TextRequest(prompt="Hi", model="bad-key")),
            (get_provider("groq", variables), TextRequest(prompt="Hi", model="no-model")),
            (get_provider("groq", {}), TextRequest(prompt="Hi", model="m")),
        ]
        for provider, request in asked:
            with pytest.raises(PermanentError) as caught:
                provider.write(request)
            assert "GROQ_" in str(caught.value)
            assert "OPENAI" not in str(caught.value)
        with pytest.raises(PermanentError, match="no default model"):
            asked[0][0].write(TextRequest(prompt="Hi"))


def test_a_server_of_ones_own_needs_no_key():
    """Ollama, vLLM, llama.cpp and LM Studio ask for none."""
    with openai_server() as server:
        made = get_provider("ollama", {"OLLAMA_BASE_URL": server.url})
        assert made.write(TextRequest(prompt="Hi", model="m")).text == "Hi by m"


def test_the_cache_knows_the_server_of_each():
    """Its own is left out of the key, another is part of it."""
    for vendor in VENDORS:
        assert server_of(vendor.name, {vendor.address_variable: f"{vendor.address}/"}) is None
        assert server_of(vendor.name, {vendor.address_variable: "http://127.0.0.1:1"}) == "http://127.0.0.1:1"
