"""One rendering has one budget for all that it looks at and makes, whatever filter, test, method or operator it uses."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from xtyl_engine.errors import LimitExceeded, RenderError
from xtyl_engine.nodes.registry import node_type
from xtyl_engine.workflow.templating.effort import MAX_STEPS, EffortMeter
from xtyl_engine.workflow.templating.render import KEPT_BYTES, is_expression, read_names, render, rendered
from xtyl_engine.workflow.templating.sandbox import FILTERS, MAX_TOKENS, METHODS, TESTS

HOSTILE = Path(__file__).parents[3] / "support" / "hostile_jinja.py"
NAMES: dict[str, Any] = {
    "big": "a" * 1_000_000,
    "wide": "\u4e00" * 900_000,
    "many": list(range(5000)),
    "digits": "f" * 900_000,
    "records": [{"t": "x" * 100_000}] * 5000,
}


def looped(expression: str) -> str:
    return f"{{% for a in many %}}{{% for b in many %}}{{% set x = {expression} %}}{{% endfor %}}{{% endfor %}}"


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ [1]|batch(1000000000, 0) }}",
        "{{ many|slice(1000000000) }}",
        "{{ big|join(big) }}",
        "{{ records|join(',', attribute='t') }}",
        "{{ big|replace(new=big, old='a') }}",
        "{{ big.strip(big) }}",
        "{{ big|trim('b' ~ big[2:]) }}",
        "{{ digits|int(0, 16) }}",
        "{{ 0x" + "f" * 3000 + " // 3 }}",
        "{{ 0x" + "f" * 3000 + " is divisibleby(3) }}",
        "{{ ([7 ** 1400] * 900000)|join }}",
        "{{ many|map(attribute='a.' * 300000)|list }}",
        "{{ records|sort(attribute='t') }}",
        "{{ records|map(attribute='t')|unique|list }}",
        "{% set x = [big, big] %}{{ x }}",
        "{% for a in many %}" + "{% set x = 1 %}" * 3000 + "{% endfor %}",
        *map(looped, ("big[1:]", "wide|upper", "big is upper", "[a]|string", "a + 1")),
        *map(
            looped, ("many == many[1:]", "big in big", "big.find('ab')", "(a ~ 'a b')|title", "[a, b]|select('gt', 3)")
        ),
    ],
)
def test_one_operation_and_many_are_refused(jinja: str) -> None:
    """What takes long once, and what takes long because a loop repeats it, ends with the budget's error."""
    with pytest.raises(LimitExceeded):
        render(jinja, NAMES)


@pytest.mark.parametrize("jinja", ["{{ 5|round(-12000000) }}", "{{ 5|round(12000000, 'ceil') }}"])
def test_rounding_to_millions_of_digits(jinja: str) -> None:
    """A precision beyond every number is refused before any power of ten is computed."""
    with pytest.raises(RenderError, match="400 digits"):
        render(jinja, {})


def test_a_nodes_config_has_one_budget() -> None:
    """All texts of one job's config share a budget: many that are small enough each are refused together."""
    names, kind = {"text": "x" * 600_000, "few": list(range(32))}, node_type("generate_copy")
    jinja = "{% for each in few %}{% if text|upper == each %}{% endif %}{% endfor %}."
    assert rendered(kind, {"prompt": jinja}, names) == {"prompt": "."}
    with pytest.raises(LimitExceeded):
        rendered(kind, {"prompt": jinja, "system": jinja}, names)


def test_the_budget_counts_bytes() -> None:
    """A text of wide letters costs as many steps as it takes memory."""
    narrow, wide = EffortMeter(), EffortMeter()
    narrow.look("a" * 64_000)
    wide.look("\U0001f600" * 64_000)
    assert MAX_STEPS - narrow.left == pytest.approx((MAX_STEPS - wide.left) / 4, rel=0.01)


def test_a_text_of_very_many_words_of_jinja() -> None:
    """Parsing and compiling are bounded by the number of tokens, whatever the text's length."""
    assert read_names("a long text " * 50_000 + "{{ a }}").roots == ("a",)
    with pytest.raises(RenderError, match=f"{MAX_TOKENS:,}"):
        read_names("{{a}}" * MAX_TOKENS)


def test_every_operation_ends_on_hostile_values() -> None:
    """Each filter, test, method and operator over hostile values and arguments gives a value or a named refusal, alone and in
    loops, and all together stay below the processor time and the memory that the system grants one process."""
    done = subprocess.run([sys.executable, HOSTILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    tried = " ".join(found)
    for name in (*FILTERS, *(each for each in TESTS if each.isalpha()), *METHODS[str], *METHODS[dict]):
        assert name in tried
    unrefused = [jinja for jinja, ends in found.items() if "{% for" in jinja and not ends.get("budget")]
    assert unrefused == []


@pytest.mark.parametrize(
    "filler", ["x" * 2**20, "\U0001f600" * 2**20 + "{{ a }}", "{{ 5|round(-12000000) " + " " * 900_000]
)
def test_large_texts_are_not_kept(filler: str) -> None:
    """However many large texts come, refused ones among them, no more than the bound of one cache is kept."""
    tracemalloc.start()
    try:
        for number in range(24):
            text = f"{number}{filler}"
            with suppress(RenderError, LimitExceeded):
                read_names(text)
            is_expression(text)
        del text
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < KEPT_BYTES + 2**20
    finally:
        tracemalloc.stop()
