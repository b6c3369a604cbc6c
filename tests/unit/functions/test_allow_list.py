"""Functions that a document names: which ones a list opens, and what no list of modules opens."""

from __future__ import annotations

import subprocess
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.allow_list import check_found, check_opened, is_opened, named


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("shop.tags:price", "shop.tags:price"),
        ("shop.tags:price", "other:x shop.tags:*"),
        ("shop.tags:price", "shop.*:*"),
        ("shop:price", "shop.*:*"),
        ("shop.tags:Tag.price", "shop.tags:Tag.price"),
        ("shop._old:_price", "shop._old:_price"),
        ("subprocess:getoutput", "*"),
    ],
)
def test_what_a_list_opens(name: str, opened: str) -> None:
    """A function, a module's, a package's, all."""
    check_opened(name, opened)


@pytest.mark.parametrize(
    "name",
    [
        "subprocess:getoutput",
        "shop.tags:os.system",
        "shop.tags:Tag.__init__.__globals__",
        "shop.tags:_price",
        "shop._tags:price",
        "shop.__main__:main",
        "shop.tags.deep.er:price.x",
        "shopping:price",
        "shop:price:x",
        "shop.tags:",
        ":price",
        "shop.tags:*",
        "shop..tags:price",
        ".shop:price",
        "shop.tags:price\n",
        "shop.tags :price",
        "shop/tags:price",
        "*",
        "",
    ],
)
def test_what_no_list_of_modules_opens(name: str) -> None:
    """Neither dots through a module, nor private names, nor what looks like a name; the error says what the operator sets."""
    for opened in ("", "shop.*:*", "shop.tags:*", "shop:* shop.*:* other:x"):
        with pytest.raises(FunctionRejected, match="does not take the function") as caught:
            check_opened(name, opened)
        assert "XTYL_FUNCTIONS" in str(caught.value)


@settings(max_examples=50)
@given(st.text(max_size=12), st.text(max_size=12))
def test_an_empty_list_opens_nothing(module: str, function: str) -> None:
    """Whatever is named."""
    assert not is_opened(f"{module}:{function}", "")


@pytest.mark.parametrize("found", [subprocess.getoutput, subprocess.Popen, partial(print), SimpleNamespace(__call__=1)])
def test_what_a_module_imports_is_not_opened_with_it(found: object) -> None:
    """A module that is open holds functions of others, and objects; by its own name each can be opened."""
    with pytest.raises(FunctionRejected, match="it comes from"):
        check_found(found, "shop.tags:taken", "shop.tags:* shop.other:*")  # type: ignore[arg-type]
    check_found(found, "shop.tags:taken", "shop.tags:taken")  # type: ignore[arg-type]


def test_a_package_opens_what_its_modules_share() -> None:
    """A function that one module of a package has from another is the package's."""
    check_found(is_opened, "xtyl_engine.functions:is_opened", "xtyl_engine.functions.*:*")
    with pytest.raises(FunctionRejected):
        check_found(is_opened, "xtyl_engine.functions:is_opened", "xtyl_engine.functions:*")


def test_a_name_stands_in_a_text_or_a_reference() -> None:
    """A function that is packed, or is there itself, has none."""
    assert named("a:b") == named({"reference": "a:b", "digest": "d"}) == "a:b"
    assert [named(each) for each in ({"digest": "d"}, {"reference": 5}, print, None, ["a:b"])] == [None] * 5
