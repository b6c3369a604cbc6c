"""What a provider draws is paid for before it is looked at, and what the user set is told to it."""

import pytest

from xtyl_engine.errors import TransientError
from xtyl_nb.testing import FakeProvider, make_context, run_node


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\nhalf", b"<html>"])
def test_an_image_that_is_none_is_tried_again_and_counted(tmp_path, data):
    """The error says so, and bears what the image took."""
    context = make_context(tmp_path, provider=FakeProvider(data))
    with pytest.raises(TransientError, match="the provider's image cannot be used") as caught:
        run_node("generate_image", context, prompt="A calm lamp")
    assert caught.value.usage.tokens == 3


@pytest.mark.parametrize("kind", ["generate_image", "generate_copy"])
def test_a_provider_knows_what_the_user_set(tmp_path, kind):
    """A default is none of it: what a model refuses of that may be left out."""
    provider = FakeProvider()
    run_node(kind, make_context(tmp_path, provider=provider), prompt="A calm lamp")
    run_node(kind, make_context(tmp_path, provider=provider), prompt="A calm lamp", seed=0, n=2)
    assert ["seed" in request.asked for request in provider.requests] == [False, True]
    assert not any({"size", "temperature"} & request.asked for request in provider.requests)
