"""Calls to an API: the requests, and the results of every kind of answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from told import told
from web import Answer, Web, document, problem, web
from xtyl_engine.errors import (
    BackendError,
    ControlRefused,
    DecisionRefused,
    LimitExceeded,
    RunNotFound,
    WorkflowError,
)
from xtyl_nb.backends.remote.http_client import Calls
from xtyl_nb.backends.remote.queries import RemoteQueries, at

TOKEN = "xtyl_secret0123456789"


@pytest.fixture
def server() -> Iterator[Web]:
    """A server that answers {} to everything until told otherwise."""
    with web() as made:
        yield made


def test_a_call_carries_its_token_and_parameters(server: Web) -> None:
    """The token goes in the header, never into the address; parts of a path cannot lead elsewhere."""
    Calls(server.url, TOKEN).get("workflows", "a/../b c?d", limit=3, after=None)
    (asked,) = server.asked
    assert asked.path == "/api/workflows/a%2F..%2Fb%20c%3Fd?limit=3"
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_repeated_submission_can_be_told(server: Web) -> None:
    """The key travels in its header, the body as JSON."""
    Calls(server.url + "/api/", TOKEN).post("workflows", "executions", body={"ä": 1}, key="k-1")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["idempotency-key"]) == ("POST", "/api/workflows/executions", "k-1")
    assert json.loads(asked.body) == {"ä": 1}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (problem(404, "run/not-found", "no run has the id 'x'", hint="List them."), RunNotFound, "no run has the id"),
        (problem(400, "run/refused", "it is over", state="completed"), ControlRefused, "it is over"),
        (problem(409, "review/refused", "already decided: approve by ana"), DecisionRefused, "already decided"),
        (
            problem(401, "api/unauthorized", "this token is not known", hint="Send it."),
            BackendError,
            "Ask the operator",
        ),
        (
            problem(403, "api/forbidden", "this token may only read"),
            BackendError,
            "may only read\n.*token of that role",
        ),
        (problem(413, "api/too-large", "64 MB are the most"), LimitExceeded, "64 MB are the most\n.*in parts"),
        (problem(503, "backend/unreachable", "the database is away"), BackendError, "the database is away"),
        (Answer(status=502, body=b"<html>", media_type="text/html"), BackendError, "answered 502 Bad Gateway"),
        (Answer(body=b"<html>"), BackendError, "gave no JSON"),
        (Answer(status=500, body=b"[", media_type="application/problem+json"), BackendError, "answered 500"),
        (Answer(status=302, headers={"Location": "https://login.example"}), BackendError, "answered 302"),
    ],
)
def test_an_answer_raises_what_the_back_end_raised(
    answer: Answer, kind: type[Exception], words: str, server: Web
) -> None:
    """Each error has its words and its class, and never the token."""
    server.answer = lambda asked: answer
    with pytest.raises(kind) as raised:
        Calls(server.url, TOKEN).get("me")
    assert re.search(words, str(raised.value))
    assert TOKEN not in repr(raised.value) + str(raised.value)


def test_the_problems_of_a_workflow_come_back_as_they_were(server: Web) -> None:
    """All come at once, each with its code, its node and its hint."""
    found = [{"code": "workflow/cycle", "node": "a", "message": "a -> b -> a", "hint": "cut it"}]
    server.answer = lambda asked: problem(422, "workflow/invalid", "1 problem", problems=found)
    with pytest.raises(WorkflowError) as raised:
        Calls(server.url, TOKEN).post("workflows", "executions")
    assert [(each.code, each.node) for each in raised.value.problems] == [("workflow/cycle", "a")]


@pytest.mark.parametrize(("status", "again"), [(503, True), (429, True), (500, False), (404, False)])
def test_only_what_may_pass_is_worth_another_look(status: int, again: bool, server: Web) -> None:
    """A wait goes on over a restart, and not over a mistake."""
    server.answer = lambda asked: problem(status, "backend/unreachable", "no")
    with pytest.raises(BackendError) as raised:
        Calls(server.url, TOKEN).get("me")
    assert bool(raised.value.data.get("retryable")) is again


def test_a_server_that_is_away_is_named() -> None:
    """The error has its address, the things to check, and that nothing is lost."""
    with web() as gone:
        url = gone.url
    with pytest.raises(BackendError, match="cannot be reached") as raised:
        Calls(url, TOKEN).get("me")
    assert url in str(raised.value)
    assert "Nothing is lost" in str(raised.value)
    assert raised.value.data["retryable"] is True


@pytest.mark.parametrize("url", ["", "xtyl.example", "ftp://x", "https://", "https://me:pw@x", "https://x?token=y"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """It is refused before anything is sent, and without repeating it: it may hold a password."""
    with pytest.raises(BackendError, match="not the address") as raised:
        Calls(url, TOKEN)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    "proxy", ["http://me:Kx7pass#9@127.0.0.1:9", "http://me:Kx7pass/9@127.0.0.1:9", "http://me:Kx7pass9@127.0.0.1:9"]
)
def test_no_error_quotes_the_password_of_a_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where nothing answers there nor where the password cannot be read, in no cause and no context."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(BackendError) as caught:
        Calls("https://xtyl.example.invalid", "t").get("me")
    assert "Kx7pass" not in told(caught.value)


@pytest.mark.parametrize("url", ["https://:Kx7pass@host", "https://me:Kx7pass/9@host", "https://host:Kx7pass"])
def test_an_address_with_a_password_is_refused_unquoted(url: str) -> None:
    """A password before the host, or what stands in the place of a port, is in no error."""
    with pytest.raises(BackendError, match="not the address") as caught:
        Calls(url, "t")
    assert "Kx7pass" not in told(caught.value)


@pytest.mark.parametrize("token", ["", "with space", "line\n", "ümlaut", "“quoted”"])
def test_what_is_no_token_is_refused_unquoted(token: str) -> None:
    """A token with a line end or a typographic quote is named as such, and not shown."""
    with pytest.raises(BackendError, match="token") as raised:
        Calls("https://xtyl.example", token)
    assert not token or token not in str(raised.value)


def test_a_token_that_would_travel_in_the_clear_is_told() -> None:
    """Plain HTTP to this machine is fine; to another, a warning names https."""
    with pytest.warns(UserWarning, match="unencrypted"):
        Calls("http://xtyl.example", TOKEN)
    Calls("http://localhost:1", TOKEN)


def test_a_program_can_tell_forbidden_from_down(server: Web) -> None:
    """The code, which is the API's, tells them apart."""
    server.answer = lambda asked: problem(403, "api/forbidden", "this token may only read")
    with pytest.raises(BackendError) as raised:
        Calls(server.url, TOKEN).post("workflows", "executions")
    assert raised.value.code == "api/forbidden"


def test_what_is_asked_after_closing_is_answered(server: Web) -> None:
    """A Run outlives the choice of another back end."""
    calls = Calls(server.url, TOKEN)
    calls.get("me")
    calls.close()
    assert calls.get("me") == {}


def test_a_lost_answer_says_that_it_may_have_been_done(server: Web) -> None:
    """This holds for a change; after a read the hint says that nothing is lost."""
    server.answer = lambda asked: Answer(status=200, headers={"Content-Length": "99"}, chunks=iter([b"{"]))
    calls = Calls(server.url, TOKEN)
    with pytest.raises(BackendError, match="may have been done"):
        calls.post("workflows", "executions")
    with pytest.raises(BackendError, match="Nothing is lost"):
        calls.get("me")


@pytest.mark.parametrize("id", ["", " ", ".", "..", "../../me", "a/b", None, 7])
def test_what_is_no_id_asks_nothing(id: object) -> None:
    """An empty id would request the list of all runs, `..` something else."""
    with pytest.raises(RunNotFound):
        at(id)  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [[], {}, {"rows": 3}, {"rows": [3]}, {"rows": [{"label": 1}]}, {"nodes": []}, "x"])
def test_an_odd_answer_is_an_error_that_says_so(answer: object, server: Web) -> None:
    """It is never a KeyError: the address may be another service's."""
    server.answer = lambda asked: document(answer)
    queries = RemoteQueries(Calls(server.url, TOKEN))
    for ask in (queries.rows, queries.plan, queries.execution, queries.jobs, queries.events):
        with pytest.raises(BackendError):
            ask("run-1")


def test_pages_are_joined_in_order(server: Web) -> None:
    """Each page is requested with the cursor of the one before."""
    pages = {None: (["a", "b"], "2"), "2": (["c"], None)}

    def answer(asked: object) -> Answer:
        after = "2" if "after=2" in server.asked[-1].path else None
        labels, more = pages[after]
        return document({"rows": [{"label": label, "values": {}} for label in labels], "next": more})

    server.answer = answer
    assert [label for label, _ in RemoteQueries(Calls(server.url, TOKEN)).rows("run-1")] == ["a", "b", "c"]
