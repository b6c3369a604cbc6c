"""What functions print on a real worker: all of it, live, each row's apart, whatever becomes of the row."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import xtyl_nb as xt
from servers import wait_until
from xtyl_engine.values.masking import HIDDEN

ROWS = pd.DataFrame({"name": ["ann", "bo"]}, index=["a", "b"])


def call(function: Any, frame: pd.DataFrame = ROWS, **more: Any) -> xt.Run:
    """A run of one function over rows, to its end."""
    flow = xt.Workflow("prints").call("made", function, name="{{ name }}", **more)
    return flow.run(frame).wait(60)


def said(run: xt.Run, row: str = "a") -> list[str]:
    """The lines that a row printed."""
    return str(run.logs("made", row=row)).splitlines()


def talks(name: str) -> int:
    print("printed by", name)
    print("to standard error", file=sys.stderr)
    logging.getLogger("shop").info("logged for %s", name)
    logging.getLogger("shop").debug("not logged")
    warnings.warn(f"{name} is odd", stacklevel=1)
    subprocess.run([sys.executable, "-c", f"print('a child of {name}')"], check=True)
    os.write(1, b"written below Python\n")
    return len(name)


def test_all_that_a_function_says_is_kept_in_its_order(either: str) -> None:
    """Prints, log lines from INFO on, warnings, children and what is written below Python, for each row, on every back end."""
    run = call(talks)
    assert list(run.frame()["error"].dropna()) == []
    for row, name in (("a", "ann"), ("b", "bo")):
        first, second, third, fourth, *rest = said(run, row)
        assert (first, second) == (f"printed by {name}", "to standard error")
        assert third == f"INFO shop: logged for {name}"
        assert f"UserWarning: {name} is odd" in fourth
        assert rest[-2:] == [f"a child of {name}", "written below Python"]


def tries(name: str, marks: str) -> str:
    mark = Path(marks, name)
    mark.touch()
    with mark.open("a") as file:
        file.write("x")
    number = len(mark.read_text())
    print("try", number)
    if number == 1:
        raise ConnectionError("busy")
    if name == "bo":
        raise ValueError("no")
    return name


def test_each_attempt_has_its_own_prints(tmp_path: Path) -> None:
    """A try that failed keeps what it printed, and the next has its own; a job that failed for good too."""
    run = call(tries, marks=str(tmp_path), retry={"attempts": 3, "base_seconds": 0.01})
    for row, outcome in (("a", "completed"), ("b", "failed")):
        logs = run.logs("made", row=row)
        assert [(log.number, log.outcome, log.text) for log in logs] == [
            (1, "retrying", "try 1"),
            (2, outcome, "try 2"),
        ]
        assert [each.printed for each in run.inspect("made", row=row).attempts] == ["try 1", "try 2"]


def waits(name: str, gate: str) -> str:
    print("begun")
    xt.progress(3, 10)
    while not Path(gate).exists():
        threading.Event().wait(0.05)
    xt.progress(10, 10)
    print("over", end="")
    return name


def test_prints_and_progress_are_seen_while_the_job_runs(either: str, tmp_path: Path) -> None:
    """The overview has the last line and how far the jobs are, `logs` and `inspect` the text; in the end they have the end."""
    gate = tmp_path / "gate"
    flow = xt.Workflow("live").call("made", waits, name="{{ name }}", gate=str(gate))
    run = flow.run(ROWS.head(1))
    wait_until(lambda: run.overview().nodes["made"].printed == "begun")
    wait_until(lambda: run.overview().nodes["made"].progress_done == 3)
    assert run.overview().nodes["made"].progress_of == 10
    (log,) = run.logs("made")
    assert (log.text, log.outcome, log.done, log.of) == ("begun", None, 3, 10)
    gate.touch()
    run.wait(60)
    (log,) = run.logs("made")
    assert (log.text, log.outcome, log.done, log.of) == ("begun\nover", "completed", 10, 10)
    assert run.overview().nodes["made"].printed is None


def crashes(name: str) -> str:
    print("before the crash", end="")
    os._exit(3)


def hangs(name: str) -> str:
    print("hanging", end="")
    while True:
        threading.Event().wait(60)


def leaves(name: str) -> str:
    print("leaving", end="")
    sys.exit(2)


@pytest.mark.parametrize(
    ("function", "more", "text"),
    [
        (crashes, {"retry": 1}, "before the crash"),
        (hangs, {"timeout": 1.0, "retry": 1}, "hanging"),
        (leaves, {}, "leaving"),
    ],
)
def test_what_was_printed_before_a_bad_end_is_kept(function: Any, more: dict[str, Any], text: str) -> None:
    """A crash, a timeout and an exit keep all of it, also a line without an end that was never flushed."""
    run = call(function, ROWS.head(1), **more)
    assert run.state == "failed"
    assert said(run) == [text]


def many(name: str) -> str:
    for place in range(2_000):
        print(name, place)
    return name


def test_no_print_of_a_row_ends_in_another_s() -> None:
    """Two hundred rows side by side keep their texts apart."""
    names = [f"row{place:03}" for place in range(200)]
    run = call(many, pd.DataFrame({"name": names}, index=names))
    logs = run.logs("made")
    assert len(logs) == 200
    for log in logs:
        assert {line.split()[0] for line in log.text.splitlines() if "left out" not in line} == {log.label}


def leaves_a_child(name: str) -> int:
    code = "import time\nfor _ in range(60): print('late words', flush=True); time.sleep(0.05)"
    subprocess.Popen([sys.executable, "-c", code])
    print("left a child")
    return os.getpid()


def leaves_a_grandchild(name: str) -> int:
    loop = "(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo late words; sleep 0.2; done) &"
    subprocess.run(["sh", "-c", loop], check=True)
    return os.getpid()


def leaves_a_thread(name: str) -> int:
    def murmur() -> None:
        for _ in range(60):
            print("late words")
            logging.getLogger("late").warning("late words")
            xt.progress(1, 2)
            threading.Event().wait(0.05)

    threading.Thread(target=murmur).start()
    return os.getpid()


def listens(name: str, before: int) -> bool:
    for _ in range(10):
        print("quiet")
        threading.Event().wait(0.1)
    return before == os.getpid()


@pytest.mark.parametrize("leaves", [leaves_a_child, leaves_a_grandchild, leaves_a_thread])
def test_what_a_row_leaves_behind_prints_nothing_into_the_next(leaves: Any) -> None:
    """A process or thread that goes on when its call is over is not heard in the next call of the same runner, nor does it harm
    it."""
    flow = (
        xt.Workflow("left")
        .call("leaves", leaves, name="{{ name }}")
        .call("made", listens, name="{{ name }}", before="{{ leaves }}")
    )
    run = flow.run(ROWS.head(1)).wait(60)
    assert list(run.frame()["made"]) == [True]
    assert said(run) == ["quiet"] * 10
    (log,) = run.logs("made")
    assert log.done is None


def tells_secrets(name: str) -> str:
    print("the key is", os.environ["SHOP_SECRET"], "and token=abcdef123")
    return name


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of the kernel's secret variables are in no prints, nor is what looks like a secret."""
    monkeypatch.setenv("SHOP_SECRET", "open sesame, please")
    assert said(call(tells_secrets)) == [f"the key is {HIDDEN} and token={HIDDEN}"]


def draws_a_bar(name: str) -> str:
    for done in range(51):
        sys.stderr.write(f"\r{name}: {2 * done}%|{'#' * done:50}| {done}/50")
        sys.stderr.flush()
    sys.stderr.write("\n")
    return name


def test_a_bar_is_one_line() -> None:
    """A bar that is drawn over itself, as tqdm does, stands as it stood in the end."""
    (line,) = said(call(draws_a_bar))
    assert line.startswith("ann: 100%")
    assert "50/50" in line


def odd(name: str) -> str:
    print("half \ud800, NUL \0")
    sys.stdout.buffer.write(b"cut \xe2\x82")
    sys.stdout.flush()
    return name


def test_odd_texts_are_no_error() -> None:
    """Half a surrogate pair, NUL and bytes that are no text are printed as well as they can be."""
    run = call(odd)
    assert run.state == "completed"
    assert said(run) == ["half \\ud800, NUL", "cut \ufffd"]


def quiet(name: str) -> str:
    return name


def test_a_silent_function_has_no_logs() -> None:
    """There is no row for it, and `logs` says so."""
    run = call(quiet)
    assert len(run.logs()) == 0
    assert str(run.logs("made")) == "nothing was printed"


def replaces_streams(name: str) -> str:
    if name == "ann":
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        logging.getLogger().handlers[:] = []
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    else:
        print("heard")
        logging.getLogger("shop").warning("logged")
    return name


def test_a_row_that_silences_itself_silences_no_other() -> None:
    """What it does to the streams, to logging and to warnings ends with it."""
    for _ in range(3):
        run = call(replaces_streams)
        assert said(run, "b") == ["heard", "WARNING shop: logged"]


def test_a_configured_log_is_left_as_it_is() -> None:
    """A function that sets up logging itself gets its own form and level."""

    def configured(name: str) -> str:
        import logging

        logging.basicConfig(level=logging.WARNING, format="%(message)s!", force=True)
        logging.getLogger("shop").info("not wanted")
        logging.getLogger("shop").warning("wanted")
        return name

    assert said(call(configured)) == ["wanted!"]
