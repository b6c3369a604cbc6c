"""The user's own functions on a real worker: what they may return, how they may fail, which variables they capture."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import neighbour
import xtyl_nb as xt
from neighbour import shout
from servers import wait_until

BRIEFS = pd.DataFrame({"name": ["ann", "bo"]}, index=["a", "b"])
FACTOR = 3


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, "PNG")
    return buffer.getvalue()


async def later(name):
    await asyncio.sleep(0)
    return f"later {name}"


def closed_over(word):
    def inner(name):
        return f"{word} {name} {FACTOR}"

    return inner


class Caller:
    def __call__(self, name):
        return f"called {name}"

    def method(self, name):
        return f"method {name}"


PLAIN = {
    "text": (lambda name: name.title(), ["Ann", "Bo"]),
    "async": (later, ["later ann", "later bo"]),
    "closure": (closed_over("hi"), ["hi ann 3", "hi bo 3"]),
    "none": (lambda name: None, [None, None]),
    "number": (lambda name: len(name) / 2, [1.5, 1.0]),
    "numpy": (lambda name: np.int64(len(name)), [3, 2]),
    "boolean": (lambda name: np.bool_(len(name) > 2), [True, False]),
    "dict": (lambda name: {"a": {"b": name}}, ['{"a": {"b": "ann"}}', '{"a": {"b": "bo"}}']),
    "tuple": (lambda name: (name, 1), [["ann", 1], ["bo", 1]]),
    "empty list": (lambda name: [], [[], []]),
    "beside": (lambda name: shout(name), ["ANN!", "BO!"]),
    "module beside": (lambda name: neighbour.shout(name), ["ANN!", "BO!"]),
    "of the module beside": (shout, ["ANN!", "BO!"]),
    "callable": (Caller(), ["called ann", "called bo"]),
    "method": (Caller().method, ["method ann", "method bo"]),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_function_of_the_notebook_gives_its_value(kind):
    """For every way to write a function and every plain value it returns, the frame's column holds that value per row."""
    function, expected = PLAIN[kind]
    argument: dict[str, Any] = {"text": "{{ name }}"} if kind == "of the module beside" else {"name": "{{ name }}"}
    frame = xt.Workflow("own").call("made", function, **argument).run(BRIEFS).wait(60).frame()
    assert list(frame["error"].dropna()) == []
    assert list(frame["made"]) == expected


def test_pictures_bytes_and_tables_become_files():
    """A PIL image and image bytes are image files, other bytes a file, a DataFrame items; each row has its own."""
    flow = (
        xt.Workflow("files")
        .call("drawn", lambda: Image.new("RGB", (8, 6), "blue"))
        .call("encoded", picture, after=[])
        .call("raw", lambda: b"\x00\x01", after=[])
        .call("inside", lambda: {"image": Image.new("L", (2, 2)), "n": 1}, after=[])
        .call("table", lambda name: pd.DataFrame({"x": [1, 2], "who": [name, name]}), after=[], name="{{ name }}")
        .call("size", lambda picture: list(Image.open(picture.path).size), picture="{{ drawn }}")
        .call("sum", lambda rows: sum(row["x"] for row in rows), rows="{{ table }}")
    )
    run = flow.run(BRIEFS).wait(60)
    frame = run.frame()
    assert list(frame["error"].dropna()) == []
    assert [Path(path).suffix for path in frame["drawn"]] == [".png", ".png"]
    assert Path(frame["encoded"]["a"]).read_bytes() == picture()
    assert Path(frame["raw"]["a"]).read_bytes() == b"\x00\x01"
    assert Path(run.outputs("inside")["value.image"]["a"]).exists()
    assert list(frame["size"]) == [[8, 6]] * 2
    assert list(frame["sum"]) == [3, 3]
    table = run.outputs("table")
    assert list(table.index) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert list(table["who"]) == ["ann", "ann", "bo", "bo"]


def test_a_list_makes_items_that_later_steps_run_over():
    """A list of another length in each row is run over item by item, aligned, gathered again, and reviewed."""
    flow = (
        xt.Workflow("items")
        .call("letters", lambda name: list(name), name="{{ name }}")
        .call("upper", lambda one: one.upper(), one="{{ letters }}", over="letters")
        .call("pair", lambda one, other: one + other, one="{{ letters }}", other="{{ upper }}", over="letters")
        .call("word", lambda parts: "".join(parts), parts="{{ pair }}")
        .review("pick", of="upper", choose=1, auto="first")
    )
    run = flow.run(BRIEFS).wait(60)
    frame = run.frame()
    assert list(frame["error"].dropna()) == []
    assert list(frame["upper"]) == [["A", "N", "N"], ["B", "O"]]
    assert list(frame["word"]) == ["aAnNnN", "bBoO"]
    assert list(frame["pick"]) == ["A", "B"]
    assert list(run.outputs("pair").index) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]


def test_lists_within_lists_are_gathered_in_order():
    """Items of a later list that came first stand behind items of an earlier list that came last."""

    def parts(number):
        time.sleep(0.1 * (number == 0))
        return [f"{number}{letter}" for letter in "abc"]

    flow = (
        xt.Workflow("nested")
        .call("numbers", lambda: list(range(12)))
        .call("parts", parts, number="{{ numbers }}", over="numbers")
        .call("part", lambda part: part, part="{{ parts }}", over="parts")
        .call("all", lambda parts: "".join(parts), parts="{{ part }}")
    )
    run = flow.run().wait(60)
    expected = [f"{number}{letter}" for number in range(12) for letter in "abc"]
    assert run.frame()["part"][0] == expected
    assert run.frame()["all"][0] == "".join(expected)
    assert list(run.outputs("part")["value"]) == expected


def test_a_review_over_items_that_are_not_born_yet_can_be_approved_ahead():
    """A run waits for a decision on each item of a list that is known only at run time."""
    flow = (
        xt.Workflow("ahead")
        .call("letters", lambda name: list(name), name="{{ name }}")
        .generate_copy("line", prompt="{{ letters }}", n=2, over="letters")
        .review("pick", of="line", over="letters")
    )
    run = flow.run(BRIEFS)
    run.approve("pick", choose=[1], timeout=60).wait(60)
    assert list(run.frame()["error"].dropna()) == []
    assert [len(each) for each in run.frame()["pick"]] == [3, 2]


def raising(error):
    def fail(name):
        if name == "ann":
            raise error
        return name

    return fail


def recursing(name):
    return recursing(name) if name == "ann" else name


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


def hostile(name):
    if name == "ann":
        raise Wordless
    return name


def exiting(name):
    if name == "ann":
        sys.exit(3)
    return name


def interrupting(name):
    if name == "ann":
        raise KeyboardInterrupt
    return name


FAILING = {
    "error": (raising(ValueError("no <b>ann</b>")), "ValueError: no <b>ann</b>"),
    "exit": (exiting, "SystemExit: 3"),
    "interrupt": (interrupting, "KeyboardInterrupt"),
    "recursion": (recursing, "RecursionError"),
    "wordless": (hostile, "text raised ValueError"),
    "permanent": (raising(xt.PermanentError("never")), "never"),
    "generator": (lambda name: (c for c in name) if name == "ann" else name, "generator"),
    "lock": (lambda name: threading.Lock() if name == "ann" else name, "cannot be stored"),
    "set": (lambda name: {name, 1} if name == "ann" else name, "sorted"),
    "nan": (lambda name: float("nan") if name == "ann" else name, "NaN"),
    "huge": (lambda name: 10**400 if name == "ann" else name, "64 bits"),
    "keys": (lambda name: {1: 2} if name == "ann" else name, "keys are text"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_function_that_fails_ends_its_row_alone(kind):
    """The failed row's error says what happened; the other row completes, and nothing is tried again."""
    function, words = FAILING[kind]
    run = xt.Workflow("failing").call("made", function, name="{{ name }}").attach("kit", title="{{ made }}").run(BRIEFS)
    frame = run.wait(60).frame()
    assert run.state == "failed"
    assert frame["status"]["a"] == "failed"
    assert words in frame["error"]["a"]
    assert frame["error"]["a"].startswith("made: ")
    assert frame["status"]["b"] == "completed"
    assert frame["kit"]["b"] == "bo"
    jobs = run.jobs()
    assert (jobs[jobs["node"] == "made"]["attempts"] == 1).all()
    assert jobs["error_class"].dropna().unique().tolist() == ["permanent"]


def test_what_cannot_be_packed_is_refused_before_anything_runs():
    """The error names the captured variable; no run is made."""
    lock = threading.Lock()
    before = len(xt.runs(1000))
    with pytest.raises(xt.PermanentError, match="`lock`, a lock"):
        xt.Workflow("no").call("made", lambda: lock.locked()).run()
    assert len(xt.runs(1000)) == before


def test_a_transient_error_is_tried_again_as_often_as_asked(effects):
    """A function that fails twice succeeds at its third start, and each start is an attempt."""

    def flaky(name):
        if effects.note(name) < 3:
            raise xt.TransientError("not yet")
        return name

    retry = {"attempts": 3, "base_seconds": 0.05}
    run = xt.Workflow("flaky").call("made", flaky, name="{{ name }}", retry=retry).run(BRIEFS).wait(60)
    assert list(run.frame()["made"]) == ["ann", "bo"]
    assert sorted(effects.lines()) == ["ann"] * 3 + ["bo"] * 3
    assert list(run.jobs()["attempts"]) == [3, 3]
    assert run.jobs()["error"].isna().all()
    assert list(run.events()["kind"]).count("job_retrying") == 4


def test_a_transient_error_that_stays_fails_and_retry_tries_it_again(effects):
    """A job fails when its tries are spent; `retry()` runs it and the jobs that depend on it again, completed jobs not."""

    def stubborn(name):
        if name == "ann" and effects.note(name) < 3:
            raise ConnectionError("gone")
        return name

    def after(name):
        effects.note(f"after {name}")
        return name

    flow = (
        xt.Workflow("stubborn")
        .call("made", stubborn, name="{{ name }}", retry={"attempts": 2, "base_seconds": 0.05})
        .call("then", after, name="{{ made }}")
    )
    run = flow.run(BRIEFS).wait(60)
    assert dict(run.frame()["status"]) == {"a": "failed", "b": "completed"}
    assert "ConnectionError: gone" in run.frame()["error"]["a"]
    assert run.jobs()["error_class"].dropna().unique().tolist() == ["transient"]
    run.retry().wait(60)
    assert run.state == "completed"
    assert list(run.frame()["then"]) == ["ann", "bo"]
    assert sorted(effects.lines()) == ["after ann", "after bo", "ann", "ann", "ann"]


def test_a_partial_failure_pauses_the_run_until_it_is_resumed(effects):
    """The run says that it is paused, and why; resuming starts that job again and no other."""

    def partial(name):
        if effects.note(name) < 2 and name == "ann":
            raise xt.PartialFailureError("look at this")
        return name

    run = xt.Workflow("partial").call("made", partial, name="{{ name }}").run(BRIEFS)
    wait_until(lambda: run.state == "paused")
    wait_until(lambda: "bo" in effects.lines())
    assert "resume" in str(run.waiting_for)
    assert "look at this" in str(run.overview().error) or "look at this" in " ".join(run.jobs()["error"].dropna())
    run.resume().wait(60)
    assert list(run.frame()["made"]) == ["ann", "bo"]
    assert effects.lines().count("bo") == 1


def test_a_function_that_takes_too_long_is_left_behind(effects):
    """`timeout=` ends the job with a named error; a function that comes back later changes nothing."""

    def slow(name):
        effects.note(name)
        if name == "ann":
            time.sleep(1.2)
        return name

    flow = xt.Workflow("slow").call("made", slow, name="{{ name }}", timeout=0.4, retry=1)
    run = flow.run(BRIEFS).wait(60)
    assert dict(run.frame()["status"]) == {"a": "failed", "b": "completed"}
    assert "no result after 0.4 s" in run.frame()["error"]["a"]
    assert sorted(effects.lines()) == ["ann", "bo"]
