"""The document of a workflow: nodes, edges and inputs as plain values, to and from JSON. A document may be wrong;
`validate` finds the problems. The fluent builder in `xtyl_nb.workflow.builder` writes documents, as may any program.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import Problem, WorkflowError

if TYPE_CHECKING:
    from xtyl_engine.nodes.base import NodeType

FORMAT_VERSION = 1
MARKERS = ("start", "end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step as written: `config` holds the verb's keywords, with Jinja not yet rendered."""

    id: str
    type: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> NodeType:
        """The facts of the node's type."""
        from xtyl_engine.nodes.registry import type_facts

        return type_facts(self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`target` runs after `source`; `branch` names the branch by which the edge leaves `source`, if any."""

    source: str
    target: str
    branch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A workflow as written. With `inputs` None, every name that Jinja reads and that is no node is an input. `starts`
    holds the targets of a written `start` node, None without one. `budget` is what one run may spend, in US dollars."""

    name: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    inputs: tuple[str, ...] | None = None
    starts: tuple[str, ...] | None = None
    budget: float | None = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        """What an earlier release has pickled lacks the fields that came later, which stand at the end."""
        told = dict(zip((each.name for each in fields(self)), state, strict=False))
        for each in fields(self):
            object.__setattr__(self, each.name, told.get(each.name, each.default))

    def to_dict(self) -> dict[str, Any]:
        """The versioned document, which can be written as JSON if every config can."""
        document: dict[str, Any] = {"version": FORMAT_VERSION, "name": self.name}
        if self.inputs is not None:
            document["inputs"] = list(self.inputs)
        if self.budget is not None:
            document["budget"] = self.budget
        document["nodes"] = [{"id": node.id, "type": node.type, "config": dict(node.config)} for node in self.nodes]
        document["edges"] = [
            {"source": edge.source, "target": edge.target} | ({"branch": edge.branch} if edge.branch else {})
            for edge in self.edges
        ]
        return document


def as_stored(document: Document) -> Document:
    """The document with nothing in it that this process alone knows."""
    return replace(
        document, nodes=tuple(replace(node, config=node.kind.stored(node.config)) for node in document.nodes)
    )


def doubts_of(document: Document) -> list[str]:
    """What its nodes' configs probably do not mean, as sentences, whatever the data."""
    return [f"{node.id}: {doubt}" for node in document.nodes for doubt in node.kind.doubts(node.config)]


def parse_document(source: str | Mapping[str, Any]) -> Document:
    """Read a document from JSON text or a mapping. Nodes of type `start` and `end` only mark the ends, and are dropped.

    Raises WorkflowError with code `workflow/document` for anything that is not structured as a document.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except (ValueError, RecursionError) as error:
            raise _malformed(f"this is not JSON: {error}", "Pass a dict, JSON text, or the path of a file.") from error
    if not isinstance(source, Mapping):
        raise _malformed("a document is a JSON object", 'Write {"name": ..., "nodes": [...], "edges": [...]}.')
    version = source.get("version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise _malformed(
            f"version {version!r} is not known here", f"Write version {FORMAT_VERSION}, which this release reads."
        )
    nodes = tuple(_node(entry, place) for place, entry in enumerate(_entries(source, "nodes")))
    edges = tuple(_edge(entry, place) for place, entry in enumerate(_entries(source, "edges")))
    markers = {node.id for node in nodes if node.type in MARKERS}
    starts = {node.id for node in nodes if node.type == "start"}
    inputs = source.get("inputs")
    if inputs is not None and not (isinstance(inputs, (list, tuple)) and all(isinstance(i, str) for i in inputs)):
        raise _malformed("`inputs` is not a list of names", 'Write "inputs": ["product", "tone"].')
    budget = source.get("budget")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int | float)):
        raise _malformed("`budget` is not a number", 'Write "budget": 5.00, in US dollars.')
    name = source.get("name", "workflow")
    if not isinstance(name, str):
        raise _malformed("`name` is not text", 'Write "name": "summer-launch".')
    return Document(
        name=name,
        nodes=tuple(node for node in nodes if node.id not in markers),
        edges=tuple(edge for edge in edges if not markers & {edge.source, edge.target}),
        inputs=None if inputs is None else tuple(inputs),
        starts=tuple(edge.target for edge in edges if edge.source in starts) if starts else None,
        budget=budget,
    )


def _entries(source: Mapping[str, Any], key: str) -> Iterable[Any]:
    entries = source.get(key, [])
    if not isinstance(entries, (list, tuple)):
        raise _malformed(f"`{key}` is not a list", f'Write "{key}": [...].')
    return entries


def _node(entry: Any, place: int) -> Node:
    if not (isinstance(entry, Mapping) and isinstance(entry.get("id"), str) and isinstance(entry.get("type"), str)):
        raise _malformed(
            f"nodes[{place}] has no id and type", 'Write {"id": "headline", "type": "generate_copy", ...}.'
        )
    config = entry.get("config", {})
    if not isinstance(config, Mapping):
        raise _malformed(f"the config of {entry['id']} is not an object", 'Write "config": {"prompt": "..."}.')
    return Node(id=entry["id"], type=entry["type"], config=dict(config))


def _edge(entry: Any, place: int) -> Edge:
    if not (isinstance(entry, Mapping) and all(isinstance(entry.get(end), str) for end in ("source", "target"))):
        raise _malformed(f"edges[{place}] has no source and target", 'Write {"source": "a", "target": "b"}.')
    branch = entry.get("branch")
    if branch is not None and not isinstance(branch, str):
        raise _malformed(f"the branch of edges[{place}] is not text", 'Write "branch": "then".')
    return Edge(source=entry["source"], target=entry["target"], branch=branch)


def _malformed(message: str, hint: str) -> WorkflowError:
    return WorkflowError([Problem(code="workflow/document", node=None, message=message, hint=hint)])
