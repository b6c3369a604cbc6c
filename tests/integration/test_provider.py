"""The openai provider through the whole engine: answers, refusals, retries, and where its key may be seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import xtyl_nb as xt
from backend import QUICK
from openai_server import openai_server
from servers import embedded_home, wait_until
from xtyl_engine.embedded.client import ensure

KEY = "sk-canary-4711-0815"
SOON = {"attempts": 2, "base_seconds": 0.05}


@pytest.fixture(scope="module")
def server():
    with openai_server() as served:
        yield served


@pytest.fixture(scope="module")
def home(server, tmp_path_factory):
    """A back end started where another key and another server are set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-former")
        patch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        with embedded_home(tmp_path_factory.mktemp("openai"), **QUICK) as settings:
            ensure(settings)
            yield settings


@pytest.fixture
def openai(server, home, monkeypatch):
    """The server that the runs of this test speak to, as the notebook's variables name it."""
    for name, value in home.to_environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.requests.clear()
    return server


def copy(model, **more):
    return xt.Workflow("asks").generate_copy("line", prompt="Hi {{ name }}", provider="openai", model=model, **more)


def test_texts_and_images_come_with_model_and_usage(openai):
    """Both kinds of answer reach the frames, each request carries the job's idempotency key, and none is sent twice."""
    flow = copy("m", n=2).generate_image(
        "poster", prompt="{{ line.text }}", size="64x64", over="line", provider="openai"
    )
    run = flow.run(name="you").wait(60)
    assert run.state == "completed", run.frame()["error"][0]
    assert run.frame()["line"][0] == ["Hi you by m"] * 2
    assert [Path(path).read_bytes()[:4] for path in run.frame()["poster"][0]] == [b"\x89PNG"] * 2
    jobs = run.jobs().set_index("node")
    assert set(jobs["provider"]) == {"openai"}
    assert list(jobs["tokens"]["line"]) == [11, 11]
    assert set(jobs["model"]["line"]) == {"m-2026"}
    keys = [headers["idempotency-key"] for _, _, headers in openai.requests]
    assert len(set(keys)) == len(keys) == 4


def test_a_cut_text_is_no_success_in_silence(openai):
    """Its output says so, its job has a warning, the card counts it; also where the text is taken from the cache."""
    flow = copy("cut", n=2)
    for run in (flow.run(name="you").wait(60), flow.run(name="you").wait(60)):
        assert run.state == "completed"
        assert list(run.outputs("line")["finish"]) == ["length"] * 2
        assert (
            run.inspect("line", item=1).warning == "The text was cut at max_tokens: raise it, or ask for a shorter one."
        )
        assert list(run.jobs()["warning"]) == [run.inspect("line", item=1).warning] * 2
        assert run.overview().nodes["line"].said == "2 cut at max_tokens · Light that"
    assert list(run.jobs()["cached"]) == [True, True]
    whole = copy("m").run(name="you").wait(60)
    assert list(whole.outputs("line")["finish"]) == ["stop"]
    assert whole.jobs()["warning"].isna().all()
    assert (whole.inspect("line").warning, whole.overview().nodes["line"].cut) == (None, 0)


@pytest.mark.parametrize(
    ("model", "requests", "error_class", "words"),
    [
        ("broken", 2, "transient", "500"),
        ("half-json", 2, "transient", "malformed"),
        ("no-choices", 2, "transient", "holds no message"),
        ("content-policy", 1, "permanent", "content policy"),
        ("no-quota", 1, "permanent", "quota is used up"),
        ("bad-key", 1, "permanent", "Set OPENAI_API_KEY"),
    ],
)
def test_a_refusal_is_tried_again_only_where_that_can_help(openai, model, requests, error_class, words):
    """The server is asked as often as the error's class allows, and the row's error says what to do."""
    run = copy(model, retry=SOON).run(name="you").wait(60)
    assert run.state == "failed"
    assert len(openai.requests) == requests
    assert words in run.frame()["error"][0]
    jobs = run.jobs()
    assert jobs["error_class"][0] == error_class
    assert jobs["attempts"][0] == requests


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(openai):
    """After 429 with Retry-After the run says what it waits for, and sends no request meanwhile."""
    run = copy("rate-limit", retry=SOON).run(name="you")
    wait_until(lambda: (run.waiting_for or "").startswith("the rate limit of openai: next start in"))
    with pytest.raises(xt.WaitTimeout, match="waiting for the rate limit of openai"):
        run.wait(0.8)
    assert len(openai.requests) == 1
    run.stop()


def test_the_key_is_written_nowhere(openai, home):
    """The key is not in the database, a log, an artifact or any other file of the home, even after an error that quotes it."""
    copy("bad-key").run(name="you").wait(60)
    copy("m").run(name="me").wait(60)
    # In another process: a process that closes a database file gives up its own locks on it.
    found = subprocess.run(["grep", "-rlaF", KEY, str(home.home)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
    canary = subprocess.run(["grep", "-rlaF", "Hi me", str(home.home)], capture_output=True, text=True, check=False)
    assert "xtyl.db" in canary.stdout


def test_a_key_that_is_not_set_is_missed_with_words(openai, monkeypatch):
    """A notebook without a key is told so, though the back end was started with one, and with which variable to pass it; a
    retry, also from a kernel that was restarted, finds the key that is set by then."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.warns(UserWarning, match="OPENAI_API_KEY is not set, and steps ask openai"):
        run = copy("m").run(name="late").wait(60)
    error = run.frame()["error"][0]
    assert "the openai provider has no key" in error
    assert "OPENAI_API_KEY" in error
    assert openai.requests == []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert xt.attach(run.id).retry().wait(60).frame()["line"][0] == "Hi late by m"


def test_a_key_set_in_the_notebook_counts_for_the_next_run(openai, monkeypatch):
    """Each run is asked for with the key that its kernel had when it was started."""
    keys = ["sk-one", "sk-two"]
    for key in keys:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        assert copy("m").run(name=key).wait(60).state == "completed"
    assert [headers["authorization"] for _, _, headers in openai.requests] == [f"Bearer {key}" for key in keys]


def test_a_result_of_another_server_is_not_taken_from_the_cache(openai, monkeypatch):
    """The same prompt to another OPENAI_BASE_URL is asked anew; back at the first, its own result is found, and a dry run knows
    both."""
    flow = copy("m")
    with openai_server() as other:
        for url in (openai.url, other.url, openai.url, other.url):
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            assert flow.run(name="twice").wait(60).state == "completed"
            assert list(flow.plan(name="twice")["cached"]) == [1]
        assert (len(openai.requests), len(other.requests)) == (1, 1)
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        assert list(flow.plan(name="twice")["cached"]) == [0]


def test_the_provider_set_in_the_notebook_goes_with_the_run(monkeypatch):
    """XTYL_PROVIDER counts from the moment it is set, also for a worker started before; a node's own `provider=` stands."""
    flow = xt.Workflow("which").generate_copy("line", prompt="x {{ name }}")
    assert flow.run(name="1").wait(60).jobs()["provider"][0] == "offline"
    monkeypatch.setenv("XTYL_PROVIDER", "openai")
    with pytest.warns(UserWarning, match="OPENAI_API_KEY is not set"):
        keyless = flow.run(name="2")
    assert "the openai provider has no key" in keyless.wait(60).frame()["error"][0]
    named = xt.Workflow("named").generate_copy("line", prompt="x {{ name }}", provider="offline")
    assert named.run(name="3").wait(60).state == "completed"
