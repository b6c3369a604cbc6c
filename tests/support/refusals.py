"""The refusals of `xt.connect`, checked to give no secret away."""

from __future__ import annotations

import pytest

import xtyl_nb as xt
from xtyl_engine.errors import WorkflowException

FLOW = xt.Workflow("kept").attach("kit", title="{{ name }}")


SECRET = "canary-4711"


def refused(database: str, redis: str) -> str:
    """The words with which `xt.connect` refuses."""
    with pytest.raises(WorkflowException) as caught:
        xt.connect(database=database, redis=redis)
    assert caught.value.hint
    assert SECRET not in repr(caught.value) + str(caught.value) + str(caught.value.data)
    return str(caught.value)
