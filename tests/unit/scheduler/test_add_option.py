"""One more option for an open review: the new jobs, the kept jobs, and the refusals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

import xtyl_nb as xt
from engine_driver import Driver, completed, failed, waiting
from workbench import Workbench, workbench
from xtyl_engine.database.connection import Database
from xtyl_engine.database.schema import ensure_schema
from xtyl_engine.workflow.document import Document, Edge, Node
from xtyl_engine.workflow.validate import validate

LAUNCH = (
    xt.Workflow("launch")
    .generate_copy("headline", prompt="For {{ product }}", n=3)
    .generate_image("poster", prompt="{{ headline.text }}", over="headline", size="64x64")
    .review("pick", of="poster")
    .attach("kit", title="{{ pick.headline.text }}", image="{{ pick.poster.image }}")
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def waits(bench: Workbench, flow: xt.Workflow = LAUNCH, **inputs: str):
    """A run whose reviews wait."""
    return bench.work(flow.run(**(inputs or {"product": "lamp"})))


def test_another_option_is_made_beside_the_others(bench: Workbench) -> None:
    """One more text and its image; the three before are neither made again nor changed, and any of the four may be chosen."""
    run = waits(bench)
    before = run.jobs()
    options = run.reviews()["image"].tolist()
    bench.work(run.another("pick", comment="brighter"))
    after = run.jobs()
    assert len(after) == len(before) + 2
    assert after[after["node"].isin(["headline", "poster"])]["attempts"].tolist() == [1] * 8
    now = run.reviews()["image"].tolist()
    assert now[:3] == options
    assert len(set(now)) == 4
    bench.work(run.approve("pick", choose=[3]))
    assert run.state == "completed"
    texts = run.outputs("headline")["text"].tolist()
    assert len(set(texts)) == 4
    assert run.outputs("kit")["title"].tolist() == texts[3:]


def test_who_asked_and_why_is_kept(bench: Workbench) -> None:
    """They are an event, before the new jobs; the review's second start has the reason."""
    run = waits(bench)
    bench.work(run.another("pick", comment="brighter"))
    (asked,) = [event for event in run._recent_events() if event.kind == "another_asked"]
    assert (asked.node, asked.item, asked.data["comment"]) == ("pick", "0", "brighter")
    assert asked.data["by"]
    assert [attempt.because for attempt in run.inspect("pick").attempts] == ["first", "another"]


def test_one_may_ask_again_and_again(bench: Workbench) -> None:
    """Each request adds one option; while it is being made, decisions and further requests are refused."""
    run = waits(bench)
    run.another("pick")
    with pytest.raises(xt.DecisionRefused, match="waits for no decision"):
        run.another("pick")
    for count in (4, 5):
        bench.work(run)
        assert len(run.reviews()) == count
        run.another("pick")
    bench.work(run)
    assert len(run.reviews()) == 6


def test_only_the_row_that_asked_gets_another(bench: Workbench) -> None:
    """Other rows keep waiting as they were."""
    flow = LAUNCH
    run = bench.work(flow.run([{"product": "lamp"}, {"product": "mug"}]))
    bench.work(run.another("pick", row=1))
    assert run.reviews().groupby("row").size().tolist() == [3, 4]


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (xt.Workflow("one").generate_copy("line", prompt="x").review("pick", of="line"), "there is no list to extend"),
        (
            xt.Workflow("own").call("line", lambda: ["a", "b"]).generate_copy("more", prompt="{{ line }}", over="line")
            .review("pick", of="more"),
            "the list that line returned",
        ),
    ],
)  # fmt: skip
def test_a_list_that_cannot_get_longer_is_said(bench: Workbench, flow: xt.Workflow, words: str) -> None:
    """The refusal has a remedy; the review waits on."""
    run = bench.work(flow.run())
    with pytest.raises(xt.DecisionRefused, match=words):
        run.another("pick")
    assert run.waiting_for == "a person: 1 decision at pick"


def test_a_review_that_is_decided_gets_no_more(bench: Workbench) -> None:
    """The first decision stands."""
    run = bench.work(waits(bench).approve("pick", choose=[0]))
    with pytest.raises(xt.DecisionRefused, match="waits for no decision"):
        run.another("pick")


def gathered() -> Document:
    """A list of two, a review of it, and two that gather it: one at once, one only after the slow one."""
    nodes = [
        Node(id="draft", type="generate_copy", config={"prompt": "x", "n": 2}),
        Node(id="pick", type="review", config={"of": "draft"}),
        Node(id="slow", type="generate_copy", config={"prompt": "y"}),
        Node(id="quick", type="attach", config={"assets": {"all": "{{ draft }}"}}),
        Node(id="late", type="attach", config={"assets": {"all": "{{ draft }}", "slow": "{{ slow.text }}"}}),
    ]
    return Document(name="gathered", nodes=tuple(nodes), edges=(Edge(source="slow", target="late"),))


def answer(driver: Driver, id: str, *, leave: str = "") -> None:
    """Do all that is ready, but for one node."""
    while claims := driver.claim(id, 20):
        for claim in claims:
            if claim.node != leave:
                driver.record(id, waiting(claim) if claim.node == "pick" else completed(claim))


def test_who_gathers_the_list_and_has_not_begun_waits_for_the_new_item(database: Database) -> None:
    """A job that has read the list already keeps what it read."""
    driver = Driver(database)
    id = driver.submit(validate(gathered(), columns=()))
    answer(driver, id, leave="slow")
    assert driver.states(id)["quick@0"] == "completed"
    driver.controls.another(id, "pick", "0", by="ann")
    slow = next(job for job in driver.jobs(id).values() if job.node == "slow")
    assert slow.state == "running"
    (new,) = driver.claim(id, 20)
    assert (new.node, new.item) == ("draft", "0.2")
    jobs = driver.jobs(id)
    assert {node: jobs[node, "0"].state for node in ("pick", "quick", "late")} == {
        "pick": "blocked",
        "quick": "completed",
        "late": "blocked",
    }
    driver.record(id, completed(new))
    answer(driver, id)
    assert driver.states(id)["pick@0"] == "waiting"


def test_a_failed_option_fails_its_row_and_a_retry_brings_all_back(database: Database) -> None:
    """It is as if one of the first had failed: no finished option is lost."""
    driver = Driver(database)
    id = driver.submit(validate(gathered(), columns=()))
    answer(driver, id)
    driver.controls.another(id, "pick", "0")
    (new,) = driver.claim(id, 20)
    driver.record(id, failed(new))
    assert driver.state(id) == "failed"
    assert driver.states(id)["pick@0"] == "skipped"
    driver.controls.retry(id)
    answer(driver, id)
    states = driver.states(id)
    assert (states["pick@0"], states["draft@0.2"]) == ("waiting", "completed")
    assert driver.jobs(id)["draft", "0.0"].attempts == 1


def test_a_stop_while_another_is_made_loses_nothing(database: Database) -> None:
    """The run goes on with the new item, and all others stay."""
    driver = Driver(database)
    id = driver.submit(validate(gathered(), columns=()))
    answer(driver, id)
    driver.controls.another(id, "pick", "0")
    driver.controls.stop(id)
    driver.controls.resume(id)
    answer(driver, id)
    assert driver.states(id)["pick@0"] == "waiting"
    assert [job.state for job in driver.jobs(id).values() if job.node == "draft"] == ["completed"] * 3


RICH = Document(
    name="rich",
    nodes=(
        Node(id="draft", type="generate_copy", config={"prompt": "x", "n": 2}),
        Node(id="long", type="conditional", config={"when": "{{ draft.text | length > 5 }}", "over": "draft"}),
        Node(id="cut", type="generate_copy", config={"prompt": "{{ draft.text }}", "over": "draft", "n": 2}),
        Node(id="keep", type="attach", config={"assets": {"text": "{{ draft.text }}"}, "over": "draft"}),
        Node(id="pick", type="review", config={"of": "draft"}),
        Node(id="all", type="attach", config={"assets": {"cut": "{{ cut }}", "keep": "{{ keep }}"}}),
        Node(id="end", type="attach", config={"assets": {"pick": "{{ pick.draft.text }}", "all": "{{ all }}"}}),
    ),
    edges=(
        Edge(source="long", target="cut", branch="then"),
        Edge(source="long", target="keep", branch="otherwise"),
    ),
)
COUNTED = text(
    "SELECT total, done, (SELECT count(*) FROM agent_jobs), (SELECT count(*) FROM agent_jobs WHERE state IN "
    "('completed', 'skipped', 'failed')) FROM workflow_executions"
)


@settings(max_examples=60)
@given(st.data())
def test_whatever_the_order_every_job_ends_and_is_counted_once(data: st.DataObject) -> None:
    """Branches by item, lists below the list, two that gather, and up to three more options asked for at any moment."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/xtyl.db")
        ensure_schema(database)
        driver = Driver(database)
        id = driver.submit(validate(RICH, columns=()))
        held: list[Any] = []
        asks = 3
        while True:
            held += driver.claim(id, data.draw(st.integers(1, 3)))
            review = driver.jobs(id)["pick", "0"].state
            if review == "waiting" and asks and data.draw(st.booleans()):
                driver.controls.another(id, "pick", "0")
                asks -= 1
            elif review == "waiting" and (not held or data.draw(st.booleans())):
                driver.controls.approve(id, "pick", "0", choose=[0])
            elif held:
                claim = held.pop(data.draw(st.integers(0, len(held) - 1)))
                branch = data.draw(st.sampled_from(["then", "otherwise"])) if claim.node == "long" else None
                driver.record(id, waiting(claim) if claim.node == "pick" else completed(claim, branch=branch))
            elif not (held := list(driver.claim(id, 1))):
                break
        assert driver.state(id) == "completed"
        with database.engine.connect() as connection:
            total, done, jobs, ended = connection.execute(COUNTED).one()
        assert total == done == jobs == ended
        # Each draft brings its own test, its two cuts and its keep.
        drafts = [job for job in driver.jobs(id).values() if job.node == "draft"]
        assert jobs == 5 * len(drafts) + 3
        assert len(drafts) == 2 + 3 - asks
        database.close()


def asked_of(run: xt.Run, node: str, item: str) -> str:
    """The prompt of a job as it was sent."""
    prompt = run.inspect(node, item=item).asked["prompt"]
    assert isinstance(prompt, str)
    return prompt


def test_what_is_asked_of_another_reaches_the_model(bench: Workbench) -> None:
    """As a paragraph after the prompt of each new job, for the list's own step with the options so far; those that there were
    stay as they are, and a request without a comment says nothing."""
    run = waits(bench)
    bench.work(run.another("pick", comment="quieter"))
    texts = run.outputs("headline")["text"].tolist()
    made = asked_of(run, "headline", "0.3")
    assert made.startswith("For lamp\n\nquieter\n\nMake another than these:\n- ")
    assert all(f"- {text}" in made for text in texts[:3])
    assert asked_of(run, "poster", "0.3") == f"{texts[3]}\n\nquieter"
    assert asked_of(run, "headline", "0.0") == "For lamp"
    bench.work(run.another("pick"))
    assert asked_of(run, "headline", "0.4") == "For lamp"


def test_a_prompt_may_have_a_place_for_what_is_asked(bench: Workbench) -> None:
    """`{{ feedback }}` is empty until it is asked for; then the words stand there, and nowhere else."""
    flow = (
        xt.Workflow("placed")
        .generate_copy("line", prompt="For {{ product }}.{% if feedback %} Please: {{ feedback }}{% endif %}", n=2)
        .review("pick", of="line")
    )
    assert flow.validate().run is not None
    run = waits(bench, flow)
    bench.work(run.another("pick", comment="a shorter one"))
    assert asked_of(run, "line", "0.1") == "For lamp."
    assert asked_of(run, "line", "0.2") == "For lamp. Please: a shorter one"


def test_a_column_called_feedback_wins(bench: Workbench) -> None:
    """The text reads the column, and the words stand after it."""
    flow = xt.Workflow("won").generate_copy("line", prompt="{{ feedback }}", n=2).review("pick", of="line")
    run = waits(bench, flow, feedback="They liked it.")
    bench.work(run.another("pick", comment="shorter"))
    assert asked_of(run, "line", "0.2").startswith("They liked it.\n\nshorter\n\nMake another")


def test_what_is_asked_is_part_of_what_is_cached(bench: Workbench) -> None:
    """Other words are another request: the cache gives no option that was made for others."""
    for words in ("quieter", "louder"):
        run = waits(bench)
        bench.work(run.another("pick", comment=words))
        jobs = run.jobs()
        last = jobs[(jobs["node"] == "headline") & (jobs["item"] == "3")]
        assert last["cached"].tolist() == [False]
