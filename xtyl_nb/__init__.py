"""Creative workflows in a notebook: build a graph, see it run, lose nothing, get a DataFrame.

import xtyl_nb as xt

flow = xt.Workflow("launch").generate_copy("headline", prompt="A headline for {{ product }}", n=3)
run = flow.run(xt.load_briefs(2))
run.wait().frame()
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
from xtyl_nb.briefs import load_briefs
from xtyl_nb.build import Workflow
from xtyl_nb.client import connect
from xtyl_nb.launch import attach, runs
from xtyl_nb.run import Run

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
    "runs",
]
