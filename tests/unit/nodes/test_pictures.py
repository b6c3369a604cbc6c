"""Images in: from a column or a step to a provider, and what is wrong with them said before it is asked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import xtyl_nb as xt
from xtyl_engine.errors import LimitExceeded, PermanentError
from xtyl_engine.nodes.base import Context
from xtyl_engine.nodes.registry import configure, node_type
from xtyl_engine.providers.base import ImageRequest, TextRequest, TextResult, Usage
from xtyl_engine.queries.result_cache import cache_key
from xtyl_engine.values.artifacts import KEY
from xtyl_engine.values.pictures import PictureBounds
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate
from xtyl_nb.testing import FakeProvider, make_context, run_node


def stored(context: Context, colour: str = "orange", size: tuple[int, int] = (64, 48)) -> dict[str, Any]:
    return context.artifacts.save_picture(Image.new("RGB", size, colour))


def drawn(context: Context, **config: Any) -> Image.Image:
    output = run_node("generate_image", context, prompt="A calm lamp", size="200x200", **config).output
    return Image.open(io.BytesIO(context.artifacts.read(output["image"]))).convert("RGB")


def test_the_offline_provider_says_what_it_saw(tmp_path: Path) -> None:
    """Its text names the size and the main colour of each image, also in an answer with fields."""
    context = make_context(tmp_path)
    photos = [stored(context), stored(context, "blue", (30, 40))]
    for images, seen in ((photos[0], "orange.)"), (photos, "orange; 30 x 40 pixels, mostly blue.)")):
        text = run_node("generate_copy", context, prompt="A calm lamp", images=images).output["text"]
        assert "(Seen: 64 x 48 pixels, mostly " in text
        assert text.endswith(seen)
    schema = {"type": "object", "properties": {"line": {"type": "string"}}}
    output = run_node("generate_copy", context, prompt="A calm lamp", images=photos, returns=schema).output
    assert output["line"].endswith("mostly blue.)")


def test_the_offline_provider_draws_around_an_image_and_into_its_mask(tmp_path: Path) -> None:
    """Without a mask the image hangs on the poster; with one it stays as it is wherever the mask keeps it."""
    context = make_context(tmp_path)
    photo, mask = stored(context, "#ff00ff", (200, 200)), Image.new("L", (200, 200), 0)
    mask.paste(255, (0, 0, 200, 100))
    hung = drawn(context, images=photo)
    assert (hung.getpixel((100, 130)), hung.getpixel((100, 10)) == (255, 0, 255)) == ((255, 0, 255), False)
    changed = drawn(context, images=photo, mask=context.artifacts.save_picture(mask))
    assert changed.getpixel((100, 150)) == (255, 0, 255)
    assert changed.getpixel((100, 50)) == drawn(context).getpixel((100, 50)) != (255, 0, 255)


def test_a_provider_gets_pictures_within_its_bounds(tmp_path: Path) -> None:
    """A picture that fits is the stored file itself; beside a mask, pictures are PNG."""
    provider = FakeProvider()
    provider.picture_bounds = PictureBounds(most_side=50)  # type: ignore[attr-defined]
    context = make_context(tmp_path, provider=provider)
    photo = stored(context, size=(40, 30))
    run_node("generate_copy", context, prompt="x", images=[photo, stored(context, size=(100, 60))])
    first, second = provider.requests[-1].images
    assert first.read() == context.artifacts.read(photo)
    assert (second.width, second.height) == (50, 30)
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "JPEG")
    jpeg = context.artifacts.save_image(buffer.getvalue())
    run_node("generate_image", context, prompt="x", images=jpeg, mask=photo)
    request = provider.requests[-1]
    assert isinstance(request, ImageRequest)
    assert request.mask is not None
    assert (request.images[0].media_type, request.mask.media_type) == ("image/png", "image/png")


@pytest.mark.parametrize(
    "value",
    [
        {"image": {"photo": 1}, "width": 3},
        {"choice": [1], "of": "poster", "poster": {"image": {"photo": 1}, "width": 3}},
        {"photo": {"photo": 1}, "words": "x"},
        [[{"photo": 1}]],
    ],
    ids=["generated", "chosen", "only-one", "nested"],
)
def test_the_image_of_an_output_stands_for_it(tmp_path: Path, value: Any) -> None:
    """So a step can be named by itself: one that draws, a review of it, one with a single image, a list."""
    context = make_context(tmp_path)
    photo = stored(context)

    def filled(part: Any) -> Any:
        if part == {"photo": 1}:
            return photo
        if isinstance(part, dict):
            return {name: filled(each) for name, each in part.items()}
        return [filled(each) for each in part] if isinstance(part, list) else part

    text = run_node("generate_copy", context, prompt="x", images=filled(value)).output["text"]
    assert "64 x 48" in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("shots/lamp.jpg", "the text 'shots/lamp.jpg' is no image"),
        (None, "the value is empty"),
        ([None], "number 1: the value is empty"),
        (7, "an int is no image"),
        ({"text": "a", "tokens": 3}, "an output with text, tokens is no image: name one field"),
        ({KEY: "0" * 64, "media_type": "text/csv"}, "a stored file of text/csv is no image"),
    ],
    ids=["text", "none", "empty-item", "number", "copy", "table"],
)
def test_what_is_no_image_fails_before_a_provider_is_asked(tmp_path: Path, value: Any, words: str) -> None:
    """The error names the parameter, and says what stands there."""
    with pytest.raises(PermanentError) as caught:
        configure(node_type("generate_copy"), {"prompt": "x", "images": value})
    assert "images: Value error, " in caught.value.message
    assert words in caught.value.message


def test_images_that_cannot_be_sent_are_named_by_their_place(tmp_path: Path) -> None:
    """Too many, one whose file is gone, a mask of another size, a mask alone: nothing is asked of the provider."""
    provider = FakeProvider()
    context = make_context(tmp_path, provider=provider)
    photo = stored(context)
    gone = {KEY: "0" * 64, "media_type": "image/png"}
    for kind, config, words in (
        ("generate_copy", {"images": [photo] * 17}, "17 images stand in `images`, and the provider takes 16"),
        ("generate_copy", {"images": [photo, gone]}, "`images[1]`: the artifact"),
        ("generate_image", {"images": photo, "mask": stored(context, size=(9, 9))}, "`mask`: the mask has 9 x 9"),
    ):
        with pytest.raises(PermanentError) as caught:
            run_node(kind, context, prompt="x", **config)
        assert words in caught.value.message
        assert caught.value.hint
    assert provider.requests == []


def test_a_provider_that_knows_no_images_is_not_asked(tmp_path: Path) -> None:
    """It would leave them out, and be paid for an answer about nothing."""

    class Blind:
        name = "blind"

        def write(self, request: TextRequest) -> TextResult:
            return TextResult(text="paid", usage=Usage(provider="blind", model="b"))

        def draw(self, request: Any) -> Any:
            raise NotImplementedError

    context = make_context(tmp_path, provider=Blind())
    assert run_node("generate_copy", context, prompt="x").output["text"] == "paid"
    with pytest.raises(PermanentError, match="the provider blind is not told of images"):
        run_node("generate_copy", context, prompt="x", images=stored(context))


def test_the_digests_of_images_are_in_the_cache_key(tmp_path: Path) -> None:
    """Another image is another result, whatever facts stand beside its digest; a step without images keeps its key."""
    context = make_context(tmp_path)
    kind, photo = node_type("generate_image"), stored(context)
    plan = planned(xt.Workflow("w").generate_image("made", prompt="x"))

    def key(**config: Any) -> str | None:
        return cache_key(kind, plan.nodes["made"], configure(kind, {"prompt": "x", **config}), "0", "offline", {})

    assert key(images=photo) == key(images={KEY: photo[KEY], "media_type": "image/png", "seen": 1})
    assert len({key(), key(images=photo), key(images=[photo, photo]), key(images=stored(context, "red"))}) == 4
    assert key(images=photo) != key(images=photo, mask=photo)
    # As the release before images computes it.
    assert key() == "b64c911ab379b3e7c9a9abd947fc449e3cc8bbf05b6e145051ab44e6deb5d414"


def planned(flow: xt.Workflow, columns: tuple[str, ...] = ("photo",)) -> Plan:
    return validate(flow._document, columns=columns)


@pytest.mark.parametrize(
    ("verb", "config", "words"),
    [
        ("generate_copy", {"images": "a photo: {{ photo }}"}, "is an image among words"),
        ("generate_copy", {"images": ["{{ photo }}", "lamp.png"]}, "the text 'lamp.png' is no image"),
        ("generate_copy", {"images": "{{ line }}"}, "`images` reads `line`, a generate_copy, and that is no image"),
        ("generate_image", {"images": "{{ poster.prompt }}"}, "`images` reads `poster.prompt`, and that is no image"),
        ("generate_image", {"mask": "{{ photo }}"}, "`mask` has no image that it belongs to"),
        ("generate_image", {"images": "{{ photo }}", "mask": ["{{ photo }}"]}, "a mask is one"),
        ("generate_image", {"images": "{{ photo }}", "model": "mistral:x"}, "`mistral` changes no images"),
    ],
)
def test_validate_knows_what_is_no_image(verb: str, config: dict[str, Any], words: str) -> None:
    """What a step cannot take for an image is a problem before anything runs."""
    flow = xt.Workflow("w").generate_copy("line", prompt="x").generate_image("poster", prompt="x")
    with pytest.raises(xt.WorkflowError) as caught:
        planned(getattr(flow, verb)("made", prompt="x", **config))
    assert words in str(caught.value)


def test_what_is_an_image_is_no_problem() -> None:
    """A column, a step by itself or by its field, a list, a choice between them."""
    flow = xt.Workflow("w").generate_image("poster", prompt="x", n=2).review("pick", of="poster")
    ways: list[Any] = ["{{ photo }}", "{{ poster }}", "{{ poster[0].image }}", ["{{ photo }}", "{{ pick }}"]]
    for place, images in enumerate([*ways, "{{ [photo] if photo else [] }}"]):
        flow = flow.generate_copy(f"seen{place}", prompt="x", images=images)
    assert len(planned(flow).nodes) == 7


def test_too_many_pixels_are_refused_by_name(tmp_path: Path) -> None:
    """An image larger than any that is decoded says so, at its place."""
    context = make_context(tmp_path, provider=FakeProvider())
    buffer = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(buffer, "PNG")
    huge = context.artifacts.save(buffer.getvalue(), "image/png")
    with pytest.raises(LimitExceeded, match="`images`: the image is 10000 x 6000"):
        run_node("generate_copy", context, prompt="x", images=huge)


def test_an_image_in_a_text_is_a_problem_that_names_images() -> None:
    """Of a step by itself, by its field, in a list, behind a review; a text about it is none."""
    flow = xt.Workflow("w").generate_image("poster", prompt="x", n=2).review("pick", of="poster")
    for text, shown in (
        ("Describe {{ poster[0].image }}", "poster[0].image"),
        ("Describe {{ pick }}", "pick"),
        ("{{ pick.poster.image }}", "pick.poster.image"),
        ("{% for one in poster %}{{ one }}{% endfor %}", "poster"),
    ):
        with pytest.raises(xt.WorkflowError) as caught:
            flow.generate_copy("line", prompt=text).validate()
        (problem,) = caught.value.problems
        assert problem.code == "workflow/template"
        assert f"`{shown}` is an image, and no text can hold one" in problem.message
        assert f'images="{{{{ {shown} }}}}"' in problem.hint
    with pytest.raises(xt.WorkflowError, match="Let the parameter be the image alone"):
        flow.attach("kit", file="a file: {{ pick.poster.image }}").validate()
    with pytest.raises(xt.WorkflowError, match=r"`pick\.poster\.image` is an image, and no text"):
        flow.call("told", str, object="a file: {{ pick.poster.image }}").validate()
    flow.call("told", str, object=["{{ pick.poster.image }}", "{{ pick }}"]).validate()
    words = "{{ pick.comment }} {{ pick.poster.prompt }} {{ 'yes' if pick else 'no' }}"
    flow.generate_copy("line", prompt=words).attach("kit", file="{{ pick.poster.image }}").validate()


def test_images_count_in_what_a_job_may_cost() -> None:
    """A budget holds more for each image that is sent; an expression counts as one."""
    kind = node_type("generate_copy")
    ways: list[dict[str, Any]] = [{}, {"images": "{{ photo }}"}, {"images": ["{{ photo }}"] * 3}]
    used = [kind.most(configure(kind, {"prompt": "x", **more})) for more in ways]
    tokens = [each.input_tokens or 0 for each in used if each is not None]
    assert [each - tokens[0] for each in tokens] == [0, 8_000, 24_000]
