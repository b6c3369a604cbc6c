"""The OpenAPI description of the app: FastAPI's own, with the bodies added that the routes read themselves. Descriptions of
single parameters are in `parameters`.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

import xtyl_engine
from xtyl_engine.api.problems import ProblemBody
from xtyl_engine.api.request_models import BODIES

WORDS = """Submit workflows, watch and control their executions, decide reviews. Every path below `/api` takes
`Authorization: Bearer <token>`; errors are `application/problem+json` with a `code` for programs and a `hint` for people."""


def describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of an app's routes."""
    made = get_openapi(title=app.title, version=xtyl_engine.__version__, description=WORDS, routes=app.routes)
    _, sent = models_json_schema([(ProblemBody, "serialization")], ref_template="#/components/schemas/{model}")
    _, taken = models_json_schema(
        [(body, "validation") for body in BODIES], ref_template="#/components/schemas/{model}"
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in {**sent["$defs"], **taken["$defs"]}.items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return made
