"""Access: every route without a token, with too small a role, and for another project's things."""

from __future__ import annotations

from typing import Any

import pytest

from bench import FLOW, RUNS, Desk, submit, work_off

OPEN = {("get", "/healthz"), ("get", "/readyz")}
# Routes that require more than reading; a route that is not listed takes `write` if it is a POST.
ROLES = {
    ("post", "/api/workflows/forecast"): "read",
    **{
        ("post", f"{RUNS}/{{id}}/reviews/{{node}}/{{item}}/{verb}"): "review"
        for verb in ("approve", "reject", "another")
    },
}
SMALLER = {"review": "press-read", "write": "press-review"}
BODIES = {"approve": {"choose": [0]}, "reject": {"reason": "no"}, "another": {}}


def routes(desk: Desk) -> list[tuple[str, str]]:
    paths = desk.ask("GET", "/api/openapi.json").json()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def url(path: str, id: str = "run", digest: str = "0" * 64) -> str:
    return path.format(id=id, node="pick", item="0", name=digest if "artifacts" in path else "launch")


def role_of(route: tuple[str, str]) -> str:
    return ROLES.get(route, "read" if route[0] == "get" else "write")


def test_every_route_wants_a_token(lite: Desk) -> None:
    """Without a token, with nonsense and with another scheme it answers 401, whatever else is wrong, and says what to send."""
    assert len(routes(lite)) > 20
    for headers in (
        {},
        {"Authorization": "Bearer xtyl_nonsense"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer " + "x" * 5000},
    ):
        for method, path in routes(lite):
            answer = lite.ask(method, url(path), None, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "api/unauthorized"


def test_every_route_wants_its_role(lite: Desk) -> None:
    """A token with a smaller role gets 403; one with the role reaches the route itself."""
    for route in routes(lite):
        method, path = route
        if (role := role_of(route)) != "read":
            answer = lite.ask(method, url(path), SMALLER[role])
            assert (answer.status_code, answer.json()["code"]) == (403, "api/forbidden"), route
        assert lite.ask(method, url(path), f"press-{role}").status_code not in (401, 403), route


def test_other_projects_are_not_found(lite: Desk) -> None:
    """A thing of another project is 404 on every route, in the words for a missing one; a token for all projects finds it."""
    id = submit(lite, document=FLOW)
    lite.ask("POST", "/api/workflows/templates", json={"workflow": FLOW})
    work_off(lite, id)
    for method, path in routes(lite):
        if "{" not in path:
            continue
        body: dict[str, Any] = {"json": BODIES.get(path.rpartition("/")[2])} if method == "post" else {}
        theirs = lite.ask(method, url(path, id), "shop-write", **body)
        missing = lite.ask(method, url(path, "no-such-run"), "press-write", **body)
        assert theirs.status_code == 404, (method, path, theirs.text)
        if path.startswith(RUNS):
            assert theirs.json()["detail"] == missing.json()["detail"].replace("no-such-run", id)
    assert lite.ask("GET", f"{RUNS}/{id}", "all").json()["project"] == "press"
    assert lite.ask("GET", RUNS, "shop-read").json()["executions"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{RUNS}?project_id=press", None),
        ("GET", "/api/workflows/templates?project_id=press", None),
        ("POST", "/api/workflows/templates", {"project_id": "press", "workflow": FLOW}),
        ("POST", RUNS, {"project_id": "press", "workflow": FLOW}),
        ("POST", "/api/workflows/forecast", {"project_id": "press", "workflow": FLOW}),
        ("POST", "/api/artifacts?project_id=press", {}),
    ],
)
def test_another_project_cannot_be_named(lite: Desk, method: str, path: str, body: Any) -> None:
    """A project other than the token's is not found."""
    answer = lite.ask(method, path, "shop-write", **({"json": body} if body is not None else {}))
    assert answer.status_code == 404


def test_a_token_of_all_projects_names_one(lite: Desk) -> None:
    """It submits to the named project, or to `default`."""
    named = submit(lite, "all", project_id="press")
    unnamed = submit(lite, "all")
    assert lite.ask("GET", f"{RUNS}/{named}", "press-read").status_code == 200
    assert lite.ask("GET", f"{RUNS}/{unnamed}", "all").json()["project"] == "default"
    assert [each["id"] for each in lite.ask("GET", RUNS, "all").json()["executions"]] == [unnamed]


def test_who_a_token_is(lite: Desk) -> None:
    """The answer has the token's name, role and project, and the abilities of the back end."""
    told = lite.ask("GET", "/api/me", "shop-review").json()
    assert (told["name"], told["role"], told["project"], told["functions"]) == ("shop-review", "review", "shop", True)
    assert lite.ask("GET", "/api/me", "all").json()["project"] is None
