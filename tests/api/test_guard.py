"""The rules for every request: host names, origins, methods, headers, and errors that are problems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bench import FLOW, RUNS, Desk, open_desk, submit
from xtyl_engine.api.app import make_app
from xtyl_engine.settings import SettingsError, load_settings
from xtyl_engine.telemetry.prometheus import ApiMetrics


@pytest.fixture
def public(tmp_path: Path, broker: str) -> Iterator[Desk]:
    """An API with a host name of its own, and a page elsewhere that may call it."""
    variables = {"XTYL_API_HOSTS": "xtyl.example.com", "XTYL_API_ORIGINS": "https://desk.example.com"}
    made = open_desk(tmp_path / "home", f"sqlite:///{tmp_path / 'xtyl.db'}", broker, **variables)
    with made.client:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "HEAD"])
@pytest.mark.parametrize(
    "host", ["evil.example.com", "localhost.evil.example.com", "", "127.0.0.1.nip.io", "[::2]:80", "a:b:c", "[::1"]
)
def test_a_name_that_is_not_ours_is_refused(shared: Desk, method: str, host: str) -> None:
    """A page whose name was made to lead here (DNS rebinding) gets nothing, even with a token."""
    assert shared.ask(method, "/api/me", headers={"Host": host}).status_code == 421
    assert shared.ask(method, "/healthz", None, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_loopback_is_ours(shared: Desk, host: str) -> None:
    """Each name of loopback is allowed, with any port."""
    assert shared.ask("GET", "/api/me", headers={"Host": host}).status_code == 200


def test_names_that_are_set(public: Desk) -> None:
    """XTYL_API_HOSTS adds to loopback's names."""
    assert public.ask("GET", "/api/me", headers={"Host": "xtyl.example.com:443"}).status_code == 200
    assert public.ask("GET", "/api/me", headers={"Host": "other.example.com"}).status_code == 421


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://localhost.evil.example.com", "https://localhost"]
)
def test_pages_from_elsewhere_are_refused(shared: Desk, method: str, origin: str) -> None:
    """They are refused with any method, before anything is done, and no header lets a browser read the answer."""
    answer = shared.ask(method, f"{RUNS}/x/stop", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "api/origin")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_that_may(public: Desk) -> None:
    """A page of an allowed origin may send a preflight and read the answer; a page of the API's own origin needs no setting."""
    origin = {"Origin": "https://desk.example.com"}
    asked = public.ask("OPTIONS", RUNS, None, headers={**origin, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    answer = public.ask("GET", "/api/me", headers=origin)
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    assert answer.headers["vary"] == "Origin"
    assert public.ask("GET", "/api/me", headers={"Origin": "http://localhost"}).status_code == 200
    assert public.ask("GET", "/api/me", headers={"Origin": "https://other.example.com"}).status_code == 403


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("XTYL_API_HOSTS", "https://xtyl.example.com"),
        ("XTYL_API_HOSTS", "a:80"),
        ("XTYL_API_ORIGINS", "desk.example.com"),
        ("XTYL_API_ORIGINS", "https://desk.example.com/path"),
        ("XTYL_API_ORIGINS", "*"),
    ],
)
def test_settings_that_would_never_match(name: str, text: str) -> None:
    """A host with a scheme, and an origin without one or with a path, are named as wrong."""
    with pytest.raises(SettingsError, match=name):
        load_settings({name: text})


def test_no_answer_is_kept_or_reread(lite: Desk) -> None:
    """No answer is cached or taken for another type, errors included."""
    for path in ("/healthz", "/api/me", "/nowhere", RUNS):
        answer = lite.ask("GET", path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_is_open_and_tells_nothing(lite: Desk) -> None:
    """It answers without a token, to GET and HEAD."""
    for path in ("/healthz", "/readyz"):
        assert lite.ask("GET", path, None).json() == {"status": "ok"}
        assert lite.ask("HEAD", path, None).content == b""


def test_paths_and_methods_that_are_not_there(lite: Desk) -> None:
    """They are problems too, and a wrong method is answered with the right ones."""
    for method, path, status, code in (
        ("GET", "/", 404, "api/not-found"),
        ("GET", f"{RUNS}/", 404, "api/not-found"),
        ("GET", "/docs", 404, "api/not-found"),
        ("DELETE", RUNS, 405, "api/method"),
        ("TRACE", RUNS, 405, "api/method"),
        ("PUT", f"{RUNS}/x", 405, "api/method"),
    ):
        answer = lite.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    "path", [f"{RUNS}/a%00b", f"{RUNS}?name=%00", "/api/workflows/templates/%00", f"{RUNS}?name={'x' * 9000}"]
)
def test_urls_that_no_database_takes(shared: Desk, path: str) -> None:
    """A URL with NUL, or far too long, is refused before anything reads it."""
    assert shared.ask("GET", path).status_code == 422


def test_an_error_of_our_own_tells_nothing(
    lite: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is 500 with one sentence; the details are in the log."""

    def broken(*given: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(lite.service, "control", broken)
    answer = lite.ask("POST", f"{RUNS}/x/stop")
    assert (answer.status_code, answer.json()["code"]) == (500, "api/error")
    assert "secret words" not in answer.text
    assert "secret words" in caplog.text


def test_requests_are_counted_by_route(lite: Desk) -> None:
    """They are counted by the route's pattern, known method and status; neither ids nor invented methods make series."""
    metrics = ApiMetrics()
    app = make_app(lite.service, lite.tokens, metrics)
    id = submit(lite, document=FLOW)
    client = TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {lite.secrets['all']}"})
    client.get(f"{RUNS}/{id}")
    client.get(f"{RUNS}/nothing")
    client.request("FROB", RUNS)
    client.get("/nowhere/at/all")
    page = metrics.page()[0].decode()
    assert f'xtyl_http_seconds_count{{method="GET",route="{RUNS}/{{id}}",status="200"}} 1.0' in page
    assert f'xtyl_http_seconds_count{{method="GET",route="{RUNS}/{{id}}",status="404"}} 1.0' in page
    assert 'route="other",status="404"' in page
    assert 'method="other"' in page
    assert id not in page
    assert "FROB" not in page
