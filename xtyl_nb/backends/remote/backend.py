"""A back end over HTTP: everything that a Run does goes through the API. A notebook needs an address and a token, and no access
to the database, the broker or the folders.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from xtyl_engine.errors import BackendError, FunctionRejected
from xtyl_engine.functions.code_digest import code_digest
from xtyl_engine.functions.packed_function import PYTHON, Function, Functions, PackedFunction, not_taken
from xtyl_engine.functions.packing import wrap
from xtyl_engine.functions.references import reference
from xtyl_engine.queries.forecast import NodeForecast
from xtyl_engine.queries.pages import Page
from xtyl_engine.queries.views import AttemptLog, Execution, JobDetail, JobPage, Overview, Review
from xtyl_engine.queries.wire import Me, from_json, map_images
from xtyl_engine.settings import load_settings, prepare_home, variable
from xtyl_engine.workflow.document_io import write_document
from xtyl_engine.workflow.model_defaults import ModelDefaults
from xtyl_engine.workflow.plan import Plan
from xtyl_nb.backends.aside import aside
from xtyl_nb.backends.remote.event_streams import Streams
from xtyl_nb.backends.remote.http_client import Calls
from xtyl_nb.backends.remote.queries import EXECUTIONS, RemoteQueries, at
from xtyl_nb.backends.remote.store import RemoteStore
from xtyl_nb.backends.retrying import patiently

if TYPE_CHECKING:
    from xtyl_engine.scheduler.submit import Row
    from xtyl_engine.workflow.document import Document, Node

T = TypeVar("T")
MOST_REVIEWS, MOST_LOGS = 200, 1_000
SUBMIT_SECONDS = 15.0


class RemoteBackend:
    """The API at `url`, for one project: the token's own, or for a token of all projects the named one, by default `default`.
    Raises BackendError if it cannot be reached or refuses the token."""

    def __init__(self, url: str, token: str, project: str | None = None):
        settings = load_settings()
        prepare_home(settings)
        self.calls = Calls(url, token)
        self.me = from_json(Me, self.calls.get("me"))
        self._project = project
        self.queries = RemoteQueries(self.calls, project)
        # A folder for each back end: a file of one need not exist on another.
        self._folder = settings.home / "remote" / hashlib.sha256(self.calls.url.encode()).hexdigest()[:16]
        self.store = RemoteStore(self._folder, self.calls, project=project)
        self._streams = Streams(self.calls)

    def __repr__(self) -> str:
        return f"RemoteBackend({self.calls.url!r})"

    def store_of(self, id: str) -> RemoteStore:
        """The store into which the files of one execution are fetched."""
        return RemoteStore(self._folder, self.calls, id)

    def submit(
        self,
        plan: Plan,
        rows: Sequence[Row],
        *,
        shape: Mapping[str, Any],
        functions: Functions,
        named: Callable[[str | None], object] | None = None,
    ) -> str:
        """Send a workflow and its rows, and return the execution's id. After a lost answer it is sent again, and runs once. The
        API gives the id, so `named` learns it even after an interrupt."""
        body = self._submission(plan, rows, functions) | {"shape": dict(shape)}
        key = uuid4().hex
        tell = named or str

        def send() -> str:
            try:
                made = patiently(lambda: self.calls.post(*EXECUTIONS, body=body, key=key), SUBMIT_SECONDS)
            except Exception as error:
                if not _is_lost(error):
                    tell(None)
                raise
            tell(id := from_json(Execution, made).id)
            return id

        tell("")
        # Not in this thread: what the API has got it carries out, whatever interrupts the reading of its answer.
        return aside(send).result()

    def forecast(self, plan: Plan, rows: Sequence[Row]) -> list[NodeForecast]:
        """The number of jobs that each node would run, and how many of them are cached."""
        wanted = {id: function for id, function in plan.functions.items() if callable(function)}
        found = self.calls.post("workflows", "forecast", body=self._submission(plan, rows, wanted))
        if not isinstance(found, dict) or not isinstance(found.get("nodes"), list):
            raise self.calls.odd("no forecast")
        return [from_json(NodeForecast, each) for each in found["nodes"]]

    def doubts(self, plan: Plan) -> list[str]:
        """Nothing: the workers of others have variables of their own."""
        return []

    def overview(self, id: str) -> Overview:
        """The state of one execution and of each of its nodes; its images are small copies."""
        return self._with_pictures(id, from_json(Overview, self.calls.get(*at(id), "overview")))

    def control(self, id: str, action: str, **said: Any) -> None:
        """`pause`, `resume` with what the run may spend, `stop` or `retry`. Raises ControlRefused."""
        self.calls.post(*at(id), action, body=said)

    def decide(self, id: str, verb: str, node: str, item: str, **said: Any) -> None:
        """`approve`, `reject` or `another` at a review, with its arguments. Raises DecisionRefused."""
        if verb == "approve":
            edits = {str(index): text for index, text in (said["edits"] or {}).items()}
            said |= {"choose": list(said["choose"]), "edits": edits or None}
        self.calls.post(*at(id), "reviews", node, item, verb, body=said)

    def reviews(self, id: str, after: tuple[str, str] | None, count: int) -> tuple[Review, ...]:
        """The open reviews in order: the first `count`, or those after the review of this node and item."""
        place = None if after is None else "/".join(after)
        listed, _ = self.calls.page(*at(id), "reviews", of="reviews", after=place, limit=min(count, MOST_REVIEWS))
        return self._with_pictures(id, tuple(from_json(Review, each) for each in listed))

    def inspect(self, id: str, node: str, item: str) -> JobDetail:
        """One job with all its details. Raises RunNotFound."""
        return self._with_pictures(id, from_json(JobDetail, self.calls.get(*at(id), "jobs", node, item)))

    def job_page(self, id: str, node: str, start: int, *, with_images: bool = False) -> JobPage:
        """Some jobs of a node, or of those that may have images; failed ones come first, then those that wait for a person.
        Raises RunNotFound."""
        images = {"images": "true"} if with_images else {}
        found = self.calls.get(*at(id), "nodes", node, "jobs", start=max(0, start), **images)
        return self._with_pictures(id, from_json(JobPage, found))

    def logs(self, id: str, node: str | None, item: str | None) -> Page[AttemptLog]:
        """The prints of all jobs, of those of a node, and of those at an item or under it: as many as fit into one answer."""
        listed, more = self.calls.page(*at(id), "logs", of="logs", node=node, item=item, limit=MOST_LOGS)
        return Page(items=tuple(from_json(AttemptLog, each) for each in listed), next=more)

    def changed(self, id: str, after: int, timeout: float) -> bool:
        """Block until there is an event newer than number `after`, or for `timeout` seconds; whether there was one."""
        return self._streams.wait(id, after, timeout)

    def lend(self, id: str) -> None:
        """Do nothing: the workers of others have variables of their own."""

    def check(self) -> None:
        """Do nothing: the API is run by others, and the next call reports if it is away."""

    def close(self) -> None:
        """Close every connection; runs go on."""
        self._streams.close()
        self.calls.close()

    def _submission(self, plan: Plan, rows: Sequence[Row], functions: Functions) -> dict[str, Any]:
        own = {node: function for node, function in functions.items() if reference(function) is None}
        # Steps of one function, which is packed once.
        made = {key: self._wrapped(function) for key, function in {id(each): each for each in own.values()}.items()}
        packed = {node: made[id(function)] for node, function in own.items()}
        if packed:
            self._refuse_functions(packed)
        stored = {node: each.stored() for node, each in packed.items()}
        for node in functions.keys() - packed.keys():
            stored[node] = {"reference": reference(functions[node]), "digest": code_digest(functions[node])}
        named = {"project_id": self._project} if self._project else {}
        return {
            **named,
            "workflow": json.loads(write_document(_sendable(plan.document, stored))),
            "rows": [{"label": row.label, "values": dict(row.values)} for row in rows],
            "functions": {
                node: {"name": each.name, "python": each.python, "blob": base64.b64encode(each.blob).decode()}
                for node, each in packed.items()
            },
        }

    def _wrapped(self, function: Function) -> PackedFunction:
        made = wrap(function)
        # An API of an earlier release wants the digest of the bytes.
        return made if self.me.code_digests else replace(made, digest=hashlib.sha256(made.blob).hexdigest())

    def _refuse_functions(self, packed: Mapping[str, PackedFunction]) -> None:
        """Refuse a function before anything is sent if the workers would refuse it in every job."""
        node, function = next(iter(packed.items()))
        if not self.me.functions:
            raise not_taken(self.calls.url, function.name, node=node)
        if self.me.python != PYTHON:
            raise FunctionRejected(
                f"the workers run Python {self.me.python}, and {function.name}() was packed by {PYTHON}",
                hint="Use a kernel of their version, or put the function in a module installed on the workers.",
                node=node,
            )

    def _with_pictures(self, id: str, value: T) -> T:
        """The same with its images replaced by small local copies."""
        store, names = self.store_of(id), set[str]()

        def note(name: str) -> str:
            names.add(name)
            return str(store.small(name))

        value = map_images(value, note)
        store.bring(names)
        return value


def _is_lost(error: BaseException) -> bool:
    """Whether a request got no answer, so that only the API knows what became of it."""
    return isinstance(error, BackendError) and bool(error.data.get("retryable"))


def _sendable(document: Document, functions: Mapping[str, Mapping[str, Any]]) -> Document:
    """The document with each function as it is stored, and with this notebook's provider and models."""
    said = {name: os.environ.get(variable(name), "").strip() for name in ("provider", "text_model", "image_model")}
    models = ModelDefaults(**said)

    def sendable(node: Node) -> Node:
        config = dict(node.config)
        if node.id in functions:
            config["function"] = functions[node.id]
        return replace(node, config=models.serve(node.kind, config))

    return replace(document, nodes=tuple(map(sendable, document.nodes)))
