"""Two lists born in one batch."""

from __future__ import annotations

from typing import Any

import pytest

from engine_driver import Driver, completed
from plans import plan_of
from xtyl_engine.database.connection import Database


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_lists_born_together_keep_the_order_of_their_jobs(database: Database, order: str) -> None:
    """A job born of one list waits for those born of the other, whichever outcome comes first in the batch."""
    driver = Driver(database)
    nodes = {"a": {}, "b": {}, "of_a": {"over": "a"}, "of_b": {"over": "b"}}
    id = driver.submit(plan_of(nodes, [("of_a", "of_b")], expanders=["a", "b"]))
    claims = {claim.node: claim for claim in driver.claim(id, 2)}
    driver.record(id, *[completed(claims[node], items=1) for node in order])
    assert driver.drain(id, batch=1) == [("of_a", "0.0"), ("of_b", "0.0")]


@pytest.mark.parametrize("length", [1, 2])
def test_a_newborn_job_skipped_at_birth_is_counted_once(database: Database, length: int) -> None:
    """What waits for it, born in the same batch, neither starts early nor waits for ever."""
    driver = Driver(database)
    nodes = {"way": {}, "slow": {}, "a": {}, "b": {}, "of_a": {"over": "a"}, "of_b": {"over": "b"}}
    edges: list[Any] = [("way", "of_a", "then"), ("of_a", "of_b"), ("slow", "of_b")]
    id = driver.submit(plan_of(nodes, edges, expanders=["a", "b"]))
    claims = {claim.node: claim for claim in driver.claim(id, 4)}
    driver.record(id, completed(claims["way"], branch="otherwise"))
    driver.record(id, completed(claims["a"], items=length), completed(claims["b"], items=1))
    assert driver.states(id)["of_b@0.0"] == "blocked"
    driver.record(id, completed(claims["slow"]))
    assert driver.drain(id) == [("of_b", "0.0")]
    assert driver.state(id) == "completed"
