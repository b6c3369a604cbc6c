"""The API does what its description says for any request: valid and invalid requests are made from the description."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance, unsupported_method

from bench import FLOW, PLAIN, Desk, open_desk, submit, work_off

load_all_checks()
# Left out: a body that its schema allows may still be no workflow; two checks send requests of their own, past this app, and what
# they check has tests of its own here.
SETTINGS = settings(max_examples=8, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
LEFT_OUT = [positive_data_acceptance, ignored_auth, unsupported_method]


@pytest.fixture(scope="module")
def open_api(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[tuple[Desk, dict[str, str]]]:
    """An API with a run that was worked off to its review, and a stored template."""
    home = tmp_path_factory.mktemp("conformance")
    desk = open_desk(home / "home", f"sqlite:///{home / 'xtyl.db'}", broker)
    with desk.client:
        id = submit(desk, document=FLOW)
        work_off(desk, id)
        over = submit(desk)
        work_off(desk, over)
        desk.ask("POST", "/api/workflows/templates", json={"workflow": PLAIN})
        yield desk, {"id": id, "waiting": id, "over": over}


def probe(operation: Any, mode: GenerationMode, desk: Desk, known: dict[str, str]) -> bool:
    """Call one route as its description says; whether there is anything to call."""
    asked: list[Any] = []

    @SETTINGS
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        # The stream of a waiting run does not end, and this client waits for the end of an answer.
        known["id"] = known["over" if case.path.endswith("/stream") else "waiting"]
        # The id itself may be the invalid part of a request.
        for name in known.keys() & case.path_parameters.keys() if mode is GenerationMode.POSITIVE else ():
            case.path_parameters[name] = known[name]
        sent = case.as_transport_kwargs(base_url="http://localhost")
        sent["headers"] = {**(sent.get("headers") or {}), "Authorization": f"Bearer {desk.secrets['press-write']}"}
        sent.pop("cookies", None)
        if "data" in sent:
            sent["content"] = sent.pop("data")
        asked.append(case)
        case.validate_response(desk.client.request(**sent), excluded_checks=LEFT_OUT)

    with contextlib.suppress(Unsatisfiable):
        ask()
    return bool(asked)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_answers_are_as_described(open_api: tuple[Desk, dict[str, str]], mode: GenerationMode) -> None:
    """No request, valid or not, is answered with 500, or with a status, a type or a value that the description lacks."""
    desk, known = open_api
    described = schemathesis.openapi.from_dict(desk.ask("GET", "/api/openapi.json").json())
    described.config.generation.update(with_security_parameters=False)
    found: Iterable[Any] = described.get_all_operations()
    operations = [each.ok() for each in found]
    assert sum(probe(operation, mode, desk, known) for operation in operations) > 20


def test_every_example_is_taken(open_api: tuple[Desk, dict[str, str]]) -> None:
    """Each example body of the description works, or is refused because of the state and not of its form."""
    desk, known = open_api
    paths = desk.ask("GET", "/api/openapi.json").json()["paths"]
    seen = 0
    desk.ask("POST", "/api/workflows/templates", json={"workflow": {**PLAIN, "name": "summer-launch"}})
    for path, methods in paths.items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for example in content.get("application/json", {}).get("examples", {}).values():
            seen += 1
            answer = desk.ask("POST", path.format(id=known["waiting"], node="pick", item="0"), json=example["value"])
            assert answer.status_code in (200, 201, 409), (path, answer.text)
    assert seen >= 11


def test_the_description_names_every_problem(open_api: tuple[Desk, dict[str, str]]) -> None:
    """Each route declares its problems, its token, and an answer with a schema."""
    told = open_api[0].ask("GET", "/api/openapi.json").json()
    assert told["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, methods in told["paths"].items():
        for method, route in methods.items():
            assert route["security"], path
            assert {"401", "403", "404", "421", "422", "503"} <= route["responses"].keys(), (method, path)
            assert "application/problem+json" in route["responses"]["422"]["content"]
            assert any(status.startswith("2") for status in route["responses"])
