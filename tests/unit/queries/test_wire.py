"""Values that are sent as JSON come back unchanged."""

from __future__ import annotations

import json

import pytest

from xtyl_engine.errors import BackendError
from xtyl_engine.queries.views import Attempt, Decision, JobDetail, JobPage, NodeOverview, Option, Overview, Review
from xtyl_engine.queries.wire import from_json, name_images, to_json
from xtyl_engine.states import ExecutionState, JobState

OVERVIEW = Overview(
    id="launch-1", name="launch", state=ExecutionState.RUNNING, sequence=7, total=3, done=1, failed=0, rows=1, started=1.5,
    finished=None, waiting_for="a person",
    nodes={"poster": NodeOverview(counts={JobState.COMPLETED: 2, JobState.READY: 1}, images=("/home/a/ab.png",))},
    reviews=(Review(node="pick", item="0", row=0, label="Lamp", choose=1, options=(Option(index=0, image="/home/a/cd.png"),)),),
)  # fmt: skip
JOB = JobDetail(
    node="pick", item="0.1", label="Lamp", state=JobState.COMPLETED, attempts_made=2, because="first", cost=0.25,
    images=("/home/a/ab.png",), asked={"prompt": "Größe", "n": 3}, attempts=(Attempt(1, "first", 1.0, None, None, None),),
    decision=Decision(action="approve", by="ana", time=2.0, choice=(0, 2), edits=(("headline", "a", "b"),)),
)  # fmt: skip


@pytest.mark.parametrize(
    "value", [OVERVIEW, JOB, JobPage(total=9, start=3, jobs=(JOB,))], ids=lambda v: type(v).__name__
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    """Enums, tuples and nested values included, through JSON text."""
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


def test_images_travel_by_name() -> None:
    """Paths of the machine that stores the files are not sent."""
    named = name_images(OVERVIEW)
    assert named.nodes["poster"].images == ("ab.png",)
    assert named.reviews[0].options[0].image == "cd.png"
    assert name_images(JOB).images == ("ab.png",)
    assert "/home" not in json.dumps([to_json(named), to_json(name_images(JOB))])


def test_what_is_no_such_value_is_named() -> None:
    """An answer of another release is an error of the back end that says which versions to compare."""
    with pytest.raises(BackendError, match=r"not of type Overview: .* at total"):
        from_json(Overview, to_json(OVERVIEW) | {"total": "many"})
