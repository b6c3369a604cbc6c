"""A process that lives for months: what it keeps of each run has a bound, and what it has dropped it makes again."""

from __future__ import annotations

import gc
import linecache
import os
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import xtyl_nb as xt
from own_back_end import own_back_end
from servers import wait_until
from workbench import Workbench, workbench
from xtyl_engine.database.connection import Database
from xtyl_engine.database.tables import executions
from xtyl_engine.embedded.log_files import LARGEST, read_tail
from xtyl_engine.functions.loading import unpack
from xtyl_engine.functions.packing import pack
from xtyl_engine.workflow.templating.render import is_expression, read_names

MEGABYTE = 2**20


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@contextmanager
def grown() -> Iterator[Callable[[], float]]:
    """Gives a function that says by how many megabytes the values of this process have grown since the start of the block."""
    gc.collect()
    tracemalloc.start()
    try:
        began, _ = tracemalloc.get_traced_memory()

        def megabytes() -> float:
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - began) / MEGABYTE

        yield megabytes
    finally:
        tracemalloc.stop()


def heavy(size: int) -> Callable[[int], int]:
    load = os.urandom(size)
    return lambda number: len(load) + number


def test_the_functions_of_past_runs_do_not_fill_a_worker(bench: Workbench) -> None:
    """Sixteen runs bring functions of nine megabytes each: the last stay; an earlier one is read again."""
    first = (
        xt.Workflow("first")
        .call("made", heavy(9 * MEGABYTE), number="{{ number }}")
        .run([{"number": 1}, {"number": 2}])
    )
    bench.work(first, 1)
    with grown() as megabytes:
        for _ in range(16):
            bench.done(xt.Workflow("heavy").call("made", heavy(9 * MEGABYTE), number=1))
        assert megabytes() < 80
    bench.work(first)
    assert first.state == "completed"
    assert sorted(first.frame()["made"]) == [9 * MEGABYTE + 1, 9 * MEGABYTE + 2]


def test_the_sources_of_past_functions_do_not_fill_a_worker() -> None:
    """Each cell of a notebook is a file of its own: tracebacks quote the lines of the last ones."""
    key = b"k" * 32
    for number in range(20):
        name = f"<cell {number}>"
        source = f'def made():\n    """{"x" * MEGABYTE}"""\n    return {number}\n'
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, name, "exec"), scope)
        packed = pack(scope["made"], key=key, execution_id="run")
        del linecache.cache[name]
        assert unpack(packed, key=key, execution_id="run")() == number
    kept = [name for name in linecache.cache if name.startswith("<cell ")]
    assert 0 < len(kept) < 10
    assert linecache.getline("<cell 19>", 3) == "    return 19\n"


def test_the_texts_of_past_runs_do_not_fill_a_process() -> None:
    """Sixty long texts are read for their names: some megabytes stay, and each is read as before."""
    with grown() as megabytes:
        for number in range(60):
            text = "{{ name }}" + str(number) + "x" * (MEGABYTE - 100)
            assert read_names(text).roots == ("name",)
            assert not is_expression(text)
        assert megabytes() < 40


def test_statements_made_for_one_call_do_not_add_up(tmp_path: Path) -> None:
    """A statement that is made anew for each call is forgotten in time."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    first = weakref.ref(statement := select(executions.c.id))
    database.compiled(statement)
    del statement
    for _ in range(2_000):
        database.compiled(select(executions.c.id))
    gc.collect()
    assert first() is None
    database.close()


def test_the_plans_of_past_runs_do_not_fill_a_worker(bench: Workbench) -> None:
    """Large plans of thirty runs pass through a worker: the last ones stay, and an earlier one is loaded again."""
    runs = [bench.done(xt.Workflow("large").generate_copy("line", prompt=f"{n}" + "x" * 1_000_000)) for n in range(30)]
    plans = [bench.backend.queries.execution(run.id).template_id for run in runs]
    known = [bench.executor.plans.known(id) is not None for id in plans]
    assert (known[0], known[-1]) == (False, True)
    with bench.backend.database.read() as transaction:
        assert bench.executor.plans.load(transaction, plans[0]).name == "large"


def test_a_log_stays_small_while_its_worker_runs(tmp_path: Path) -> None:
    """What functions write while they are loaded fills the log of the embedded worker past its limit: it is emptied under the
    worker, and what a later one writes to the file itself is found at its end."""

    class Noisy:
        def __init__(self, text: str, times: int):
            self.words = f"import os\nfor _ in range({times}): os.write(2, {text.encode()!r})"

        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (self.words,)

    def run(noisy: Noisy) -> None:
        xt.Workflow("noisy").call("write", lambda: noisy).run().wait(timeout=60)

    with own_back_end(tmp_path) as settings:
        log = settings.log_folder / "worker.log"
        run(Noisy("x" * 99 + "\n", LARGEST // 100 + 1000))
        wait_until(lambda: log.stat().st_size < LARGEST)
        # What is written while it is copied is copied too.
        assert LARGEST <= log.with_name("worker.log.1").stat().st_size <= 2 * LARGEST
        run(Noisy("the last words\n", 1))
        assert "the last words" in read_tail(log)
        xt.connect()
