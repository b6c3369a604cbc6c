"""Creative workflows in a notebook: build a graph, see it run, lose nothing, get a DataFrame.

Example:
    >>> import xtyl_nb as xt
    >>> flow = xt.Workflow("launch").generate_copy("slogan", prompt="A slogan for {{ product }}")
    >>> run = flow.run(xt.load_briefs(2))
    >>> run.wait().frame()[["product", "status"]]
           product     status
    0  Aurora lamp  completed
    1    Tidal mug  completed
"""

from xtyl_engine.errors import (
    BackendError,
    ControlRefused,
    DecisionRefused,
    FrameError,
    PartialFailureError,
    PermanentError,
    Problem,
    RunNotFound,
    TransientError,
    WaitTimeout,
    WorkflowError,
    WorkflowException,
)
from xtyl_engine.states import ExecutionState
from xtyl_engine.values.progress import progress
from xtyl_nb.backends.connect import connect
from xtyl_nb.data.briefs import load_briefs
from xtyl_nb.runs.launch import attach, runs
from xtyl_nb.runs.run import Run
from xtyl_nb.workflow.builder import Workflow

__all__ = [
    "BackendError",
    "ControlRefused",
    "DecisionRefused",
    "ExecutionState",
    "FrameError",
    "PartialFailureError",
    "PermanentError",
    "Problem",
    "Run",
    "RunNotFound",
    "TransientError",
    "WaitTimeout",
    "Workflow",
    "WorkflowError",
    "WorkflowException",
    "attach",
    "connect",
    "load_briefs",
    "progress",
    "runs",
]

# Stored and pickled values name a function this way, and find it whichever module it is in.
for _function in (attach, connect, load_briefs, progress, runs):
    _function.__module__ = __name__


def __dir__() -> list[str]:
    """The public names only: tab completion does not offer the package's modules."""
    return list(__all__)
