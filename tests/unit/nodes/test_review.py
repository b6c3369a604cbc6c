"""The review node: the options that a person sees, the decisions that are accepted, and their outputs."""

from typing import Any

import pytest

from xtyl_engine.errors import DecisionRefused, PermanentError
from xtyl_engine.nodes.base import Done, Wait
from xtyl_engine.nodes.review import decide, edits_of, make_options, option_fields, option_text
from xtyl_engine.values.plain import encode
from xtyl_engine.workflow.templating.texts import Output
from xtyl_nb.testing import make_context, run_node

HEADLINES = [{"text": "a"}, {"text": "b"}, {"text": "c"}]
POSTERS = [{"image": {"$artifact": "0"}}, {"image": {"$artifact": "1"}}, {"image": {"$artifact": "2"}}]
UPSTREAM = {"brand": {"text": "Acme"}, "headline": HEADLINES, "poster": POSTERS, "other": [1]}


class Skipped:
    """Stands for the output of a skipped node: no plain value."""


def review(upstream=UPSTREAM, **config):
    return run_node("review", make_context("unused", upstream=upstream), **({"of": "poster"} | config))


def test_options_are_aligned():
    """Each option holds the reviewed item with the values that belong to it; lists of another length are left out."""
    shown = review(instructions="Pick one")
    assert isinstance(shown, Wait)
    assert shown.output["options"][1] == {"brand": {"text": "Acme"}, "headline": {"text": "b"}, "poster": POSTERS[1]}
    assert [len(shown.output["options"]), shown.output["choose"], shown.output["of"]] == [3, 1, "poster"]
    assert encode(shown.output)


def test_a_single_output_is_one_option():
    """Without items there is one option."""
    assert make_options("poster", {"poster": POSTERS[0]}) == [{"poster": POSTERS[0]}]


def test_what_was_skipped_is_no_option():
    """Skipped items are not shown; with none left the review says so."""
    upstream = {"headline": [*HEADLINES[:2], Skipped()], "poster": [POSTERS[0], Skipped(), POSTERS[2]]}
    options = make_options("poster", upstream)
    assert options == [{"headline": HEADLINES[0], "poster": POSTERS[0]}, {"poster": POSTERS[2]}]
    nothing: Any
    for nothing in ([], Skipped(), None):
        with pytest.raises(PermanentError, match="nothing to review"):
            review({"poster": nothing})


def test_auto_takes_the_first():
    """`auto="first"` decides at once, for one and for several."""
    done = review(auto="first")
    assert isinstance(done, Done)
    assert done.output["poster"] == POSTERS[0]
    assert (done.output["choice"], done.output["by"], done.items) == ([0], "auto", None)
    several = review(auto="first", choose=2)
    assert (several.items, several.output["items"][1]["headline"]) == (2, HEADLINES[1])


def test_one_choice_is_the_option_itself():
    """The chosen option's nodes are the output, with the person and the comment."""
    done = decide(review().output, choose=[2], by="ann", comment="calm")
    assert done.output["headline"] == {"text": "c"}
    assert {name: done.output[name] for name in ("choice", "by", "comment")} == {
        "choice": [2],
        "by": "ann",
        "comment": "calm",
    }
    assert done.items is None


def test_several_choices_are_items():
    """With `choose=2` the output is a list of options in the order chosen."""
    done = decide(review(choose=2).output, choose=(2, 0))
    assert done.items == 2
    assert [option["headline"]["text"] for option in done.output["items"]] == ["c", "a"]


def test_fewer_options_than_asked_for():
    """If there are fewer options than must be chosen, all of them may be."""
    shown = review({"poster": POSTERS[:1]}, choose=2).output
    assert decide(shown, choose=[0]).items == 1


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        ([], "0 options are chosen"),
        ([0, 1], "2 options are chosen"),
        ([3], "no option 3"),
        ([-1], "no option -1"),
        ([0, 0], "twice"),
        (["poster"], "not the number"),
        ([True], "not the number"),
        ([1.0], "not the number"),
        ("0", "not a list"),
        (0, "not a list"),
    ],
)
def test_other_choices_are_refused(choose, words):
    """Wrong counts, unknown options, repeats and other types are refused with the allowed choices."""
    with pytest.raises(DecisionRefused, match=words) as caught:
        decide(review().output, choose=choose)
    assert "Choose 1 of 0..2: choose=[n]." in str(caught.value)


def test_a_refusal_names_what_may_be_chosen_as_it_is_written():
    """Several at once are shown by an example; if all must be chosen, by all."""
    with pytest.raises(DecisionRefused, match=r"Choose 2 of 0\.\.2: choose=\[0, 1\]"):
        decide(review(choose=2).output, choose=[0])
    with pytest.raises(DecisionRefused, match=r"Choose all of them: choose=\[0, 1, 2\]"):
        decide(review(choose=3).output, choose=[0])
    with pytest.raises(DecisionRefused, match=r"Edit only what is chosen: choose=\[1\]"):
        decide(review(edit=True).output, choose=[1], edits={0: "x"})


def test_an_edit_changes_the_nearest_text():
    """An edit replaces the text nearest to the reviewed node, keeps the one before, and leaves the options alone."""
    shown = review(edit=True).output
    done = decide(shown, choose=[1], edits={1: "better"})
    assert done.output["headline"] == {"text": "better"}
    assert done.output["original"] == {"headline": "b"}
    assert done.output["brand"] == {"text": "Acme"}
    assert shown["options"][1]["headline"] == {"text": "b"}


def test_an_edit_may_name_its_nodes():
    """Texts may be given by node, and option numbers as JSON writes them."""
    edits: Any = {"0": {"brand": "Other", "headline": "x"}}
    done = decide(review(edit=True).output, choose=[0], edits=edits)
    assert (done.output["brand"]["text"], done.output["headline"]["text"]) == ("Other", "x")


def test_items_of_a_function_are_edited_too():
    """Options that are plain text, or a function's value, take edits as well."""
    shown = review({"poster": ["a", "b"]}, edit=True).output
    assert decide(shown, choose=[1], edits={1: "c"}).output["poster"] == "c"
    shown = review({"poster": {"value": "a"}}, edit=True).output
    assert decide(shown, choose=[0], edits={0: "c"}).output["poster"] == {"value": "c"}


@pytest.mark.parametrize(
    ("edit", "edits", "words"),
    [
        (False, {0: "x"}, "takes no edits"),
        (True, {1: "x"}, "not chosen"),
        (True, {0: {"poster": "x"}}, "no text to edit"),
        (True, {0: {"unknown": "x"}}, "no text to edit"),
        (True, {0: {"headline": 3}}, "no text to edit"),
        (True, {0: 3}, "an edit is an int"),
    ],
)
def test_other_edits_are_refused(edit, edits, words):
    """Edits are refused where none are allowed, and for options that are not chosen or have no text."""
    with pytest.raises(DecisionRefused, match=words):
        decide(review(edit=edit).output, choose=[0], edits=edits)


def test_nothing_textual_takes_no_edit():
    """An option without any text says so."""
    with pytest.raises(DecisionRefused, match="nothing in this option is text"):
        decide(review({"poster": POSTERS}, edit=True).output, choose=[0], edits={0: "x"})
    with pytest.raises(DecisionRefused, match=r"'poster' has no text to edit\n  Choose it without edits\."):
        decide(review({"poster": POSTERS}, edit=True).output, choose=[0], edits={0: {"poster": "x"}})


def test_an_option_is_judged_by_the_text_that_an_edit_replaces():
    """The reviewed node's own text, or the nearest one that an image was made from; a number is no text."""
    image = {"image": {"$artifact": "0" * 64, "media_type": "image/png"}, "width": 1024}
    assert option_text({"tone": {"text": "calm"}, "body": {"text": "Light"}}, "body") == "Light"
    assert option_text({"body": {"text": "Light"}, "tone": {"text": "calm"}}, "body") == "Light"
    assert option_text({"headline": {"text": "Dawn"}, "poster": image}, "poster") == "Dawn"
    assert option_text({"poster": image}, "poster") is None


ADS = [
    Output(
        {"headline": word, "hook": f"{word}?", "score": 3, "provider": "p"}, main="headline", texts=("headline", "hook")
    )
    for word in ("Dawn", "Dusk")
]


def test_an_answer_is_edited_field_by_field():
    """By field, by node and field, or its first text alone; what was before is kept field by field, and shown so."""
    shown = review({"ad": ADS, "poster": POSTERS[:2]}, of="poster", edit=True).output
    assert option_text(shown["options"][1], "poster", shown["texts"]) == "Dusk"
    assert option_fields(shown["options"][1], "poster", shown["texts"]) == (("headline", "Dusk"), ("hook", "Dusk?"))
    for edit in ({"hook": "x"}, {"ad": {"hook": "x"}}):
        done = decide(shown, choose=[1], edits={1: edit})
        assert done.output["ad"] == {**ADS[1], "hook": "x"}
        assert done.output["original"] == {"ad": {"hook": "Dusk?"}}
        assert list(edits_of(done.output)) == [("ad.hook", "Dusk?", "x")]
    assert decide(shown, choose=[0], edits={0: "y"}).output["ad"]["headline"] == "y"
    assert shown["options"][1]["ad"] == ADS[1]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"ad": {"score": "4"}}, "'ad' has no such texts: score\n  Edit one of its texts: headline, hook."),
        ({"ad": {"hook": 4}}, "has no such texts: hook"),
        ({"ad": {}}, "Edit one of its texts"),
        ({"score": "4"}, "'score' has no text to edit"),
        ({"poster": {"hook": "x"}}, "'poster' has no text to edit"),
    ],
)
def test_only_texts_of_an_answer_are_edited(edit, words):
    """A number, a field that is not there and a node without fields are refused, with what may be edited."""
    shown = review({"ad": ADS, "poster": POSTERS[:2]}, of="ad", edit=True).output
    with pytest.raises(DecisionRefused) as caught:
        decide(shown, choose=[0], edits={0: edit})
    assert words in str(caught.value)
