"""The words that a release stores and speaks, gathered from the code: what other releases, other programs and dashboards read.
`python tests/support/spoken.py > tests/data/spoken.json` writes them down.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from fastapi import FastAPI
from PIL import Image

import xtyl_nb as xt
from xtyl_engine.api.app import DESCRIPTION, PARTS
from xtyl_engine.api.openapi import describe
from xtyl_engine.broker import celery_app
from xtyl_engine.broker.redis_client import stream_key
from xtyl_engine.database.tables import metadata
from xtyl_engine.embedded.state_file import Presence
from xtyl_engine.events import EventKind
from xtyl_engine.functions.packing import pack
from xtyl_engine.nodes import registry as node_registry
from xtyl_engine.providers import registry as provider_registry
from xtyl_engine.scheduler import routing
from xtyl_engine.settings import Settings, variable
from xtyl_engine.states import ExecutionState, JobState
from xtyl_engine.telemetry.prometheus import API, BACKUP, WORKER
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.workflow.document import parse_document
from xtyl_engine.workflow.plan import Plan
from xtyl_engine.workflow.validate import validate


def spoken() -> dict[str, Any]:
    """Every word, by the part that speaks it; sorted where order has no meaning."""
    flow = every_verb()
    described = description()
    return {
        "document": words(keys(json.loads(flow.to_json()), ends=("config",))),
        "plan": words(keys(json.loads(plan_of(flow).to_json()), ends=("config", "lengths"))),
        "parameters": {
            name: words(node_registry.node_type(name).config.model_fields) for name in node_registry.BUILTIN
        },
        "outputs": {
            name: words(node_registry.node_type(name).fields({"of": "art"}) or ()) for name in node_registry.BUILTIN
        },
        "providers": words(provider_registry.BUILTIN),
        "entry points": words([node_registry.GROUP, provider_registry.GROUP]),
        "stored function": words(pack(len, key=b"0" * 32, execution_id="e1").stored()),
        "stored file": words(stored_file()),
        "execution states": words(ExecutionState),
        "job states": words(JobState),
        "events": words(EventKind),
        "tables": {table.name: words(column.name for column in table.columns) for table in metadata.sorted_tables},
        "metrics": {metric.name: f"{metric.kind}: {words(metric.labels)}" for metric in (*WORKER, *API, *BACKUP)},
        "celery": {
            "app": celery_app.make_app(None).main,
            "task": celery_app.TASK,
            "queues": f"{routing.QUEUE} {routing.HEAVY_QUEUE}",
        },
        "stream": stream_key("<execution>"),
        "settings": words(variable(each.name) for each in fields(Settings)),
        "supervisor": words(each.name for each in fields(Presence)),
        "problem": words(problem_fields(described)),
        "http": dict(sorted(operations(described))),
    }


def words(found: Iterable[str]) -> str:
    return " ".join(sorted(set(found)))


def every_verb() -> xt.Workflow:
    """A workflow with each kind of node, edge and axis."""
    flow = (
        xt.Workflow("words", inputs=["word"])
        .generate_copy("line", prompt="A line for {{ word }}", n=2)
        .generate_image("art", prompt="{{ line.text }}", over="line")
        .review("pick", of="art")
        .call("parts", json.loads, s="{{ word }}")
        .conditional("way", when="{{ word == 'lamp' }}", then=lambda flow: flow.attach("kit", title="{{ word }}"))
    )
    return flow.parallel("both", left=lambda flow: flow.attach("box", title="{{ word }}"))


def plan_of(flow: xt.Workflow) -> Plan:
    return validate(parse_document(flow.to_json()), columns=["word"])


def keys(value: Any, *, ends: tuple[str, ...] = (), path: str = "") -> Iterator[str]:
    """The paths of the keys in JSON, `[]` for each list, without those below the keys in `ends`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"{path}{key}"
            if key not in ends:
                yield from keys(part, ends=ends, path=f"{path}{key}.")
    elif isinstance(value, list):
        for part in value:
            yield from keys(part, ends=ends, path=f"{path.removesuffix('.')}[].")


def stored_file() -> dict[str, Any]:
    """The names in an output that refers to a file."""
    with tempfile.TemporaryDirectory() as folder:
        return ArtifactStore(folder).save_picture(Image.new("RGB", (2, 2)))


def description() -> dict[str, Any]:
    """The OpenAPI document of every part of the API."""
    app = FastAPI(title="xtyl")
    for router in PARTS:
        app.include_router(router)
    described = describe(app)
    described["paths"].setdefault(DESCRIPTION, {})
    return described


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """For each method and path: the allowed input, and the fields of each answer; of a problem only that it may come.
    Names of schemas do not matter to clients."""
    schemas = described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            found = {"parameters": words(f"{each['in']}:{each['name']}" for each in operation.get("parameters", ()))}
            for name, part in {"body": operation.get("requestBody", {}), **operation["responses"]}.items():
                for media, content in part.get("content", {}).items():
                    is_problem = media == "application/problem+json"
                    held = () if is_problem else properties(content.get("schema", {}), schemas)
                    found[f"{name} {media}"] = words(held)
            yield f"{method.upper()} {path}", found


def problem_fields(described: dict[str, Any]) -> Iterator[str]:
    """The fields of every problem that the API answers with."""
    content = described["paths"]["/api/me"]["get"]["responses"]["401"]["content"]
    return properties(content["application/problem+json"]["schema"], described["components"]["schemas"])


def properties(schema: Any, schemas: Mapping[str, Any], path: str = "", seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of the fields in a schema, references followed."""
    if isinstance(schema, list):
        for each in schema:
            yield from properties(each, schemas, path, seen)
    if not isinstance(schema, Mapping):
        return
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        yield from properties(schemas[name], schemas, path, (*seen, name))
    for key, part in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from properties(part, schemas, f"{path}{key}.", seen)
    for key in ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf"):
        yield from properties(schema.get(key), schemas, f"{path}[]." if "tems" in key else path, seen)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(spoken(), indent=1, ensure_ascii=False) + "\n")
