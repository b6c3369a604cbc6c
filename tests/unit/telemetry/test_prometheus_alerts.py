"""The documented metrics exist: the table of operations.md, the rules of alerts.yml and the panels of dashboard.json,
read by real parsers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from repository import DOCS
from xtyl_engine.telemetry.prometheus import API, BACKUP, WORKER

RULES = [
    rule
    for group in yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((DOCS / "dashboard.json").read_text(encoding="utf-8"))["panels"]
LABELS = {
    name: {*metric.labels, "le", "job", "instance"} for metric in (*WORKER, *API, *BACKUP) for name in metric.series()
}


def selectors(node: Any) -> Iterator[Any]:
    """The names of series in an expression, wherever they stand."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for part in ("expr", "lhs", "rhs", "vector_selector"):
        if hasattr(node, part):
            yield from selectors(getattr(node, part))
    for argument in getattr(node, "args", ()):
        yield from selectors(argument)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    """Its expression can be read, and each series and label in it exists."""
    found = list(selectors(promql_parser.parse(rule["expr"])))
    assert found
    for selector in found:
        if selector.name != "up":
            assert {matcher.name for matcher in selector.matchers.matchers} <= LABELS[selector.name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_to_do(rule: dict[str, Any]) -> None:
    """A woken operator learns the fault and the remedy; only labels that the expression keeps are quoted."""
    assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "action"}
    for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
        assert re.search(rf"by \([^)]*\b{label}\b", rule["expr"]) or label == "instance"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_what_there_is(panel: dict[str, Any]) -> None:
    """Each of its expressions can be read, each series exists, and its legend names labels that the expression keeps."""
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", "5m")
        for selector in selectors(promql_parser.parse(expression)):
            assert selector.name in LABELS
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert re.match(rf"(histogram_quantile\([\d.]+, )?sum by \([^)]*\b{label}\b", expression)


def test_the_table_lists_every_metric() -> None:
    """Each metric with its labels, under the name that Prometheus shows, and no other."""
    rows = re.findall(r"^\| (`xtyl_.*?) \| (.*?) \|", (DOCS / "operations.md").read_text(encoding="utf-8"), re.M)
    told = {
        name: tuple(re.findall(r"`(\w+)`", labels)) for names, labels in rows for name in re.findall(r"`(\w+)`", names)
    }
    ends = {"counter": "_total", "gauge": "", "histogram": ""}
    assert told == {metric.name + ends[metric.kind]: metric.labels for metric in (*WORKER, *API, *BACKUP)}
