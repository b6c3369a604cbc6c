"""The doctor's checks of a back end that is reached over HTTP: the address, the token, the releases on both sides. The checks of
the embedded back end are the engine's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import xtyl_engine
from xtyl_engine.checks import Check, examined
from xtyl_engine.errors import WorkflowException
from xtyl_engine.functions.packed_function import PYTHON
from xtyl_nb.backends.remote.backend import RemoteBackend


def examine(url: str) -> Iterator[Check]:
    """Check the API at `url` with the calls that a notebook makes."""
    try:
        backend = RemoteBackend(url, os.environ.get("XTYL_TOKEN", "").strip())
    except WorkflowException as error:
        yield Check(name="back end", ok=False, detail=error.message, hint=error.hint or "")
        return
    me = backend.me
    where = "every project" if me.project is None else f"the project {me.project}"
    yield Check(name="back end", ok=True, detail=backend.calls.url)
    missing = "" if me.role == "write" else "; running workflows needs the role write"
    yield Check(name="token", ok=True, detail=f"{me.name}: may {me.role} in {where}{missing}")
    yield Check(
        name="release",
        ok=me.version == xtyl_engine.__version__,
        detail=f"{xtyl_engine.__version__} here, {me.version} there",
        hint=f'Run `pip install "xtyl-nb=={me.version}"`.',
    )
    takes = f"those of Python {me.python}, and here is {PYTHON}" if me.functions else "only what its workers can import"
    yield Check(name="functions", ok=True, detail=f"the back end takes {takes}")
    yield examined("database", lambda: _answers(backend))
    backend.close()


def _answers(backend: RemoteBackend) -> Check:
    count = len(backend.queries.executions(100))
    return Check(name="database", ok=True, detail=f"answers; {count}{'+' if count == 100 else ''} runs")
