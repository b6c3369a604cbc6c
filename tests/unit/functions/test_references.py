"""Functions that can be imported are named, and found by that name."""

import json.decoder

import xtyl_nb
from cells import SCORE, in_notebook
from xtyl_engine.functions import loading, references
from xtyl_engine.functions.loading import load_reference
from xtyl_engine.functions.references import reference


def test_importable_functions_have_a_reference():
    """Installed functions are named by module and qualified name, and found again."""
    assert reference(json.dumps) == "json:dumps"
    assert load_reference("json.decoder:JSONDecoder.decode") is json.decoder.JSONDecoder.decode


def test_our_own_functions_are_named_by_the_package():
    """What a workflow or a packed function keeps of them says nothing of the module they are in."""
    assert reference(xtyl_nb.load_briefs) == "xtyl_nb:load_briefs"
    assert load_reference("xtyl_nb:load_briefs") is load_reference("xtyl_nb.briefs:load_briefs") is xtyl_nb.load_briefs
    assert {each.__module__ for each in (xtyl_nb.attach, xtyl_nb.connect, xtyl_nb.runs)} == {"xtyl_nb"}


def test_other_functions_have_none():
    """Lambdas, nested functions, the notebook's own and those of modules beside it have no reference."""
    assert reference(lambda: 0) is None
    assert reference(in_notebook(SCORE, "score")) is None
    assert reference(test_other_functions_have_none) is None


def test_a_reference_finds_what_has_moved(monkeypatch):
    """A function of a module that has moved is found by the import path that an earlier release stored."""
    monkeypatch.setitem(references.MOVED, "old_place", "json")
    assert load_reference("old_place:dumps") is json.dumps


def test_what_caches_and_packed_functions_name_of_ours_keeps_its_name():
    """A cached helper has the key that it had while this module stood elsewhere, and is loaded by that name too."""
    stored = "xtyl_engine.values.loading:cached_again"
    assert reference(loading.cached_again) == stored
    assert load_reference(stored) is loading.cached_again
