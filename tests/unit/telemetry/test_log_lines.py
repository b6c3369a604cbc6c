"""Log lines of processes, read back as a log collector does."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import xtyl_nb as xt
from offering import node_types_of
from workbench import Workbench, workbench
from xtyl_engine.settings import load_settings
from xtyl_engine.telemetry.log_lines import about_execution, keep_journal
from xtyl_engine.values.masking import HIDDEN


@pytest.fixture
def bench(tmp_path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Restore the handlers of the test session."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


SHOUT = """
import logging
from xtyl_engine.nodes.base import NodeConfig, NodeType

class Shout(NodeConfig):
    word: str

def run(config, context):
    logging.getLogger("mine").warning("shouting %s", config.word)
    raise ValueError("too loud")

NODE_TYPE = NodeType(name="shout", config=Shout, run=run, rendered=("word",))
"""


@pytest.fixture
def shouting(tmp_path) -> Iterator[None]:
    with node_types_of(tmp_path / "package", {"shout": "loudly:NODE_TYPE"}, loudly=SHOUT):
        yield


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_each_line_says_which_job_it_is_about(bench, shouting, own_logging, capsys, timeout):
    """This holds for the line of a node type of another package, even from the thread of a step with a time limit, and for the
    engine's about its failure."""
    run = xt.Workflow("w").node("shout", "loud", word="{{ word }}", timeout=timeout).run(word="boom")
    (claim,) = bench.recorder.record([], run.id, 1).claims
    keep_journal(load_settings({"XTYL_LOG_FORMAT": "json"}))
    bench.executor.execute(claim)
    lines = written(capsys)
    assert [(line["event"], line["level"]) for line in lines] == [
        ("shouting boom", "warning"),
        ("failed: ValueError: too loud", "warning"),
    ]
    for line in lines:
        assert (line["execution"], line["node"], line["item"], line["attempt"]) == (run.id, "loud", "0", 1)
        assert line["timestamp"].endswith("Z")


def test_nothing_is_bound_outside_a_job(own_logging, capsys):
    """A line of the process itself is about no job, and one with an exception stays one line."""
    keep_journal(load_settings({"XTYL_LOG_FORMAT": "json"}))
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("xtyl").exception("failed and goes on")
    (line,) = written(capsys)
    assert "execution" not in line
    assert "KeyError: 'k'" in line["exception"]


def test_text_is_for_people(own_logging, capsys):
    """On the embedded back end a line is text, with the bound values at its end; the level setting holds."""
    keep_journal(load_settings({"XTYL_LOG_LEVEL": "warning"}))
    logging.getLogger("xtyl").info("unheard")
    logging.getLogger("xtyl").error("the disk is full")
    assert capsys.readouterr().err.endswith(" ERROR xtyl] the disk is full\n")


def test_a_line_of_a_request_says_which_execution_it_is_about(own_logging, capsys):
    """The process that serves requests binds an execution and names of its own, as long as it works on one."""
    keep_journal(load_settings({"XTYL_LOG_FORMAT": "json"}))
    with about_execution("e-1", request="r-1"):
        logging.getLogger("xtyl").info("paused")
    logging.getLogger("xtyl").info("idle")
    inside, outside = written(capsys)
    assert (inside["execution"], inside["request"]) == ("e-1", "r-1")
    assert not {"execution", "request"} & set(outside)


def test_secrets_are_hidden_in_what_is_bound(own_logging, capsys):
    """They are hidden at any depth: under a telling name, in a text, in the words of an object."""
    keep_journal(load_settings({"XTYL_LOG_FORMAT": "json"}))
    headers: Any = {
        "authorization": "xtyl-hunter2",
        "accept": ["Bearer hunter2"],
        "error": ValueError("password=hunter2"),
    }
    with about_execution("e-1", headers=headers):
        logging.getLogger("x").warning("refused")
    (line,) = written(capsys)
    hidden = {"authorization": HIDDEN, "accept": [f"Bearer {HIDDEN}"], "error": f"ValueError('password={HIDDEN}')"}
    assert line["headers"] == hidden


def test_secrets_are_hidden_wherever_they_stand(own_logging, capsys):
    """They are hidden in the line, in bound values and in a traceback, from any thread."""
    keep_journal(load_settings({"XTYL_LOG_FORMAT": "json"}))

    def work() -> None:
        try:
            raise ValueError("redis://:hunter2@cache")
        except ValueError:
            logging.getLogger("x").exception("password=hunter2")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert said.count(HIDDEN) == 3


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_acts_on_a_terminal(own_logging, capsys, form):
    """What a text from outside would do is in sight, wherever in the line it stands."""
    keep_journal(load_settings({"XTYL_LOG_FORMAT": form}))
    with about_execution("e-1", name="\x9b31m", words="\u202e", **{"\x1b[2J": "x"}):
        try:
            raise ValueError("\x1b]0;owned\a")
        except ValueError:
            logging.getLogger("x").exception("\x1b]0;owned\a")
    said = capsys.readouterr().err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert r"\x1b]0;owned\x07" in said.replace("\\\\", "\\")
