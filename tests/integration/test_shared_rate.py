"""Rates with real workers: when jobs start, and that no slot is held by a job that has to wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import xtyl_nb as xt
from backend import QUICK
from fleet import fleet
from servers import valkey_server, wait_until
from xtyl_engine.settings import Settings, load_settings, prepare_home

STARTS = text(
    "SELECT a.started FROM job_attempts a JOIN agent_jobs j ON j.id = a.job_id"
    " WHERE j.execution_id = :id AND j.node = 'draft' ORDER BY a.started"
)
# So many that they are far from done when the machine is slow to do the plain function beside them.
COUNT, PER_SECOND = 400, 4


@pytest.fixture
def limited(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Two workers that may start four texts a second together."""
    with valkey_server() as broker:
        given = {"XTYL_HOME": str(tmp_path / "shared"), "XTYL_DATABASE_URL": database_url, "XTYL_REDIS_URL": broker}
        settings = load_settings({**QUICK, **given, "XTYL_RATES": f"offline={PER_SECOND}/s", "XTYL_SLOTS": "3"})
        prepare_home(settings)
        for name, value in settings.to_environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XTYL_ACCEPT_FUNCTIONS", "1")
        with fleet(settings), fleet(settings):
            yield settings


def starts_of(settings: Settings, id: str) -> list[float]:
    """The times when its texts were started, by the database's clock."""
    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        starts = [row[0] for row in connection.execute(STARTS, {"id": id})]
    engine.dispose()
    return starts


def test_a_rate_is_kept_over_all_workers_while_other_work_goes_on(limited: Settings) -> None:
    """In no stretch of time do more texts start than the rate and its burst allow; plain functions do not wait behind them."""
    texts = xt.Workflow("texts").generate_copy("draft", prompt="About {{ product }}", cache=False)
    run = texts.run([{"product": f"thing {place}"} for place in range(COUNT)])
    wait_until(lambda: "the rate limit of offline" in (run.waiting_for or ""))
    quick = xt.Workflow("quick").call("shout", lambda product: product.upper(), product="{{ product }}")
    assert quick.run(product="hat").wait(30).state == "completed"
    assert run.state == "running"
    wait_until(lambda: len(starts_of(limited, run.id)) >= 3 * PER_SECOND)
    run.stop()
    starts = starts_of(limited, run.id)
    for place, first in enumerate(starts):
        for later in range(place, len(starts)):
            assert later - place + 1 <= PER_SECOND * (1 + starts[later] - first) + 0.01
