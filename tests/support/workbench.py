"""A back end without a worker: a real database and a real broker, with the jobs executed by the test itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import xtyl_nb as xt
from servers import valkey_server
from xtyl_engine.database.connection import Database
from xtyl_engine.scheduler.commit import Recorder
from xtyl_engine.scheduler.outcomes import Outcome
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.settings import Settings
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.worker.execute import Executor
from xtyl_nb.backends.connect import backend
from xtyl_nb.backends.direct import DirectBackend
from xtyl_nb.runs.run import Run


class Workbench:
    """One home, its back end as a client sees it, and the means to work for it."""

    def __init__(self, backend: DirectBackend):
        self.backend = backend
        self.settings = backend.settings
        plans = PlanCache()
        self.recorder = Recorder(self.backend.database, "hands", 10.0, lambda events: None, plans.load)
        self.executor = Executor(
            self.settings, self.backend.database, plans, self.backend.store, self.recorder.may_start, self.recorder.hold
        )

    def work(self, run: Run, jobs: int = 1_000_000) -> Run:
        """Execute and record ready jobs, one after the other, at most `jobs`."""
        outcomes: list[Outcome] = []
        while claims := self.recorder.record(outcomes, run.id, int(jobs > 0)).claims:
            outcomes = [self.executor.execute(claim) for claim in claims]
            jobs -= len(claims)
        return run

    def done(self, flow: Any, *arguments: Any, **inputs: Any) -> Run:
        """Run a workflow as far as it gets by itself."""
        return self.work(flow.run(*arguments, **inputs))


def direct_backend() -> DirectBackend:
    """The back end in use, which is no remote one."""
    made = backend()
    assert isinstance(made, DirectBackend)
    return made


def used_backend(environ: dict[str, str]) -> DirectBackend:
    """The back end that these variables name, in use from now on."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        xt.connect()
        return direct_backend()


@contextlib.contextmanager
def workbench(
    folder: Path, server: Callable[[], AbstractContextManager[str]] = valkey_server, **variables: str
) -> Iterator[Workbench]:
    """A workbench that `xtyl_nb` uses until the block ends."""
    home = folder / "bench"
    home.mkdir(mode=0o700, parents=True)
    with server() as broker:
        # A back end of other tests may be named in the environment: its database is not this one's.
        own = {"XTYL_HOME": str(home), "XTYL_DATABASE_URL": "", "XTYL_REDIS_URL": broker, "XTYL_ACCEPT_FUNCTIONS": "1"}
        environ = {**own, **variables}
        try:
            yield Workbench(used_backend(environ))
        finally:
            xt.connect()


@contextlib.contextmanager
def before_reads(database: Database, act: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, `act` is called before each read of the database."""

    def watch(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(lambda statement: act() if statement == "BEGIN" else None)

    # SQLite's connections stay out of the pool between transactions, so each new one tells when a read begins.
    name, told = ("connect", watch) if database.is_sqlite else ("checkout", lambda *_: act())
    database.close()
    event.listen(database.engine, name, told)
    try:
        yield
    finally:
        event.remove(database.engine, name, told)
        database.close()


@contextlib.contextmanager
def moving(database: Database, settings: Settings, id: str) -> Iterator[None]:
    """While the block lasts, each read of the database finds one more job done than the read before."""
    own, plans = Database(database.url), PlanCache()
    recorder = Recorder(own, "mover", 10.0, lambda events: None, plans.load)
    executor = Executor(settings, own, plans, ArtifactStore(settings.artifacts_folder), recorder.may_start)

    def move() -> None:
        recorder.record([executor.execute(claim) for claim in recorder.record([], id, 1).claims], id, 0)

    try:
        with before_reads(database, move):
            yield
    finally:
        own.close()
