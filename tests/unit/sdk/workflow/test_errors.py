"""A wrong workflow in a notebook: a table and a picture, with the plain text kept; without IPython only the text."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from xtyl_engine import errors
from xtyl_nb.workflow.builder import Workflow
from xtyl_nb.workflow.errors import MOST_ROWS, WorkflowError, problems_html

BROKEN = Workflow("<b>w</b>").generate_copy("a", prompt="{{ a.text }}", n=0).generate_copy("<script>", prompt="x")
CELL = """
from xtyl_nb.workflow.builder import Workflow
Workflow("w").generate_copy("headline", prompt="x").generate_copy("b", prompt="{{ headlin.text }}").validate()
"""
FRAME_CELL = """from xtyl_nb.workflow.builder import Workflow; flow = Workflow("w").generate_copy("a", prompt="x")
flow.plan({"status": [1]})"""


def raised():
    with pytest.raises(errors.WorkflowError) as caught:
        BROKEN.validate()
    return caught.value


def test_shows_a_table_and_the_graph():
    """Every problem is a row with its hint, user text is escaped, and the graph is below."""
    error = raised()
    html = error._repr_html_()
    assert isinstance(error, WorkflowError)
    assert html.count("<tr>") == 1 + len(error.problems)
    assert all(problem.code in html for problem in error.problems)
    assert "<script>" not in html
    assert "<b>w</b>" not in html
    assert "image/svg+xml" in html


def test_shows_a_caret_below_its_place():
    """The quoted text is in letters of one width, and escaped."""
    with pytest.raises(errors.WorkflowError) as caught:
        Workflow("w").generate_copy("a", prompt="<b>{{ product name }}").validate()
    quoted = "&lt;b&gt;{{ product name }}\n              ^</pre><small"
    assert f'font-family:monospace">{quoted}' in caught.value._repr_html_()  # type: ignore[attr-defined]


def test_long_lists_are_cut():
    """A table of very many problems is cut, and says so."""
    problems = [errors.Problem(code="workflow/x", node="n", message=str(i), hint="h") for i in range(MOST_ROWS + 7)]
    assert "and 7 more" in problems_html(errors.WorkflowError(problems))


def test_keeps_the_text_in_a_terminal():
    """Without a kernel, IPython shows the plain text."""
    (text,) = raised()._render_traceback_()
    assert text.startswith("WorkflowError: <b>w</b>: ")


def test_in_a_notebook():
    """In a kernel the table is displayed, once, and one line of error follows."""
    jupyter_client = pytest.importorskip("jupyter_client")
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    shown: list[Any] = []
    try:
        client.execute_interactive(CELL, timeout=60, output_hook=shown.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    kinds = {message["msg_type"]: message["content"] for message in shown}
    assert "Did you mean" in kinds["display_data"]["data"]["text/html"]
    assert "Did you mean `headline`?" in kinds["display_data"]["data"]["text/plain"]
    assert [message["msg_type"] for message in shown].count("display_data") == 1
    assert kinds["error"]["traceback"] == ["WorkflowError: w: 1 problem, told above"]
    assert "Did you mean `headline`?" in kinds["error"]["evalue"]


def test_without_ipython():
    """Plain Python prints the problems with the traceback."""
    done = subprocess.run([sys.executable, "-c", CELL], capture_output=True, text=True, check=False)
    assert "Did you mean `headline`?" in done.stderr
    assert "During handling" not in done.stderr


def test_other_errors_in_a_notebook_are_told_without_our_own_lines():
    """The error shows its words, and in a cell of several lines the failing one; not the library's own frames."""
    jupyter_client = pytest.importorskip("jupyter_client")
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    told = []
    try:
        for cell in (FRAME_CELL, FRAME_CELL.replace("\n", ";")):
            reply = client.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
            told.append(reply["content"]["traceback"])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    where, words = told[0]
    assert where == 'line 2: flow.plan({"status": [1]})'
    assert words.startswith("FrameError: the column 'status' would collide")
    assert told[1] == [words]
