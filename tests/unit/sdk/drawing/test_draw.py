"""Drawings: the user's words are shown as text, nodes with problems are marked, and a missing `dot` does not matter."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.validate import find_problems
from xtyl_nb.drawing.draw import FAULT, draw, draw_html
from xtyl_nb.workflow.builder import Workflow

NASTY = (
    "<script>alert(1)</script>",
    'a"b',
    "a\\nb\\",
    "&lt;",
    "\U0001f600",
    "a\0b",
    "",
    "n:port",
    "x" * 5000,
    "\ud800",
)


def flow():
    return Workflow("w").generate_copy("a", prompt="x").generate_copy("b", prompt="{{ a.text }}")


@pytest.fixture
def without_dot(monkeypatch, tmp_path):
    """A PATH with no programs on it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_draws_nodes_and_edges():
    """There is a card per node, with its type, and an edge per reference."""
    source = draw(flow()._document).source
    assert "<b>a</b>" in source
    assert "generate_copy" in source
    assert "n0 -> n1" in source


def test_hides_memberships():
    """A branch is drawn to its first steps only."""
    built = flow().conditional(
        "c", when="x", then=lambda w: w.generate_copy("d", prompt="x").generate_copy("e", prompt="y")
    )
    source = draw(built._document).source
    assert "n2 -> n3 [label=<then>]" in source
    assert "n2 -> n4" not in source
    assert "n3 -> n4" in source


def test_marks_culprits():
    """The nodes that problems name are marked, by a sign and a colour."""
    document = flow().generate_copy("c", prompt="{{ a.txt }}")._document
    cards = [line for line in draw(document, find_problems(document)).source.splitlines() if "label=" in line]
    assert [FAULT in card and "✕" in card for card in cards] == [False, False, True]


@pytest.mark.parametrize("name", NASTY)
def test_escapes(name, without_dot):
    """Names are shown as text, whichever characters they hold."""
    document = Document(
        name=name,
        nodes=(Node(id=name, type=name), Node(id="b", type="call")),
        edges=(Edge(source=name, target="b", branch=name),),
    )
    source = draw(document, find_problems(document)).source
    source.encode()
    assert "<script" not in source
    for line in source.splitlines():
        if "label=<" in line:
            ElementTree.fromstring(f"<p>{line[line.index('label=<') + 7 : line.rindex('>')]}</p>")
    assert "<script" not in draw_html(document, find_problems(document))


def test_a_workflow_shows_itself_without_dot(without_dot):
    """The picture is the SDK's own, and so is that of the graph for Graphviz; no program is looked for."""
    assert "generate_copy" in draw_html(flow()._document)
    assert flow()._repr_html_() == draw_html(flow()._document)
    assert flow().draw()._repr_mimebundle_()["text/html"] == draw_html(flow()._document)


def test_a_graph_for_graphviz_is_drawn_by_dot(without_dot):
    """An installed `dot` draws the output of `draw` without further steps."""
    program = without_dot / "dot"
    program.write_text("#!/bin/sh\nprintf '<?xml?><svg>dot drew this</svg>'\n")
    program.chmod(0o755)
    assert "dot drew this" in flow().draw()._repr_mimebundle_()["image/svg+xml"]
    assert "dot drew this" not in flow()._repr_html_()
