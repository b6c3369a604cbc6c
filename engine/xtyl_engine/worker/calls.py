"""Has the functions of runs called: finds what a run's functions need, and hands each call to the runners. It alone in a worker
checks the signatures of functions, before they are handed on or loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from xtyl_engine.database import statements as sql
from xtyl_engine.database.connection import Transaction
from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.allow_list import check_found, check_opened, is_opened, named
from xtyl_engine.functions.loading import load_reference, unpack
from xtyl_engine.functions.packed_function import PackedFunction, load_key, not_taken, verify
from xtyl_engine.functions.surroundings import Surroundings
from xtyl_engine.nodes.base import Done
from xtyl_engine.runners.launchers import Preparation
from xtyl_engine.runners.orders import Order
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.pool import Runners
from xtyl_engine.scheduler.outcomes import Claim
from xtyl_engine.scheduler.plan_cache import PlanCache
from xtyl_engine.settings import Settings
from xtyl_engine.telemetry.otel import current_parent
from xtyl_engine.values.artifacts import ArtifactStore
from xtyl_engine.values.masking import Mask
from xtyl_engine.values.plain import Encoded
from xtyl_engine.values.prints import Prints
from xtyl_engine.values.recent import Recent
from xtyl_engine.worker.kernels import Kernels
from xtyl_engine.worker.live_prints import LivePrints

REMEMBERED_MASKS = 1_024
# Packed bytes of the functions that stay unpacked; a small function takes more memory than its bytes.
FUNCTIONS_BYTES, LEAST_BYTES = 64 * 1024 * 1024, 16 * 1024
Reference = Mapping[str, Any] | str


class NotStarted(Exception):
    """A claim was no longer valid when its function was about to be called."""


@dataclass(eq=False)
class FunctionCalls:
    """The functions of the runs of one worker process. `reading` opens the database, `may_start` is asked at the last moment, and
    `cancelled` from then on."""

    settings: Settings
    plans: PlanCache
    store: ArtifactStore
    runners: Runners
    prints: LivePrints
    kernels: Kernels | None
    reading: Callable[[], AbstractContextManager[Transaction]]
    may_start: Callable[[Claim], bool]
    cancelled: Callable[[Claim], bool]
    # Of each run that has a launcher here, what hides the secrets of its kernel.
    _masks: Recent[str, Mask] = field(default_factory=lambda: Recent(REMEMBERED_MASKS))
    _functions: Recent[tuple[str, str], Callable[..., Any]] = field(default_factory=lambda: Recent(FUNCTIONS_BYTES))

    def call(self, claim: Claim, seconds: float | None, reference: Reference, arguments: Mapping[str, Any]) -> Done:
        """Have a function called in a runner, for so many seconds at most. Raises its error, and as `Runners.call` does."""
        key = self._key(reference)

        request: dict[str, Any] = {"function": key, "arguments": arguments}
        if _is_importable(reference):
            request["opened"] = self.settings.opened_functions
        if (parent := current_parent()) is not None:
            request["parent"] = parent

        def start() -> None:
            if not self.may_start(claim):
                raise NotStarted

        prints: Prints | None = None

        def taken() -> Prints:
            nonlocal prints
            prints = prints or Prints(self._masks.get(claim.execution_id))
            self.prints.take(claim, prints)
            return prints

        order = Order(
            run=self._place(claim.execution_id),
            key=key,
            request=request,
            prepare=lambda: self._prepared(claim),
            patience=Patience(seconds, lambda: self.cancelled(claim)),
            may_start=start,
            sink=lambda data: taken().feed(data),
            progress=lambda message: taken().tell(*message["progress"]),
            waited=self.store.on_full,
        )
        output, items = self.runners.call(order)
        return Done(output=Encoded(output.decode()), items=items)

    def function(self, execution_id: str, reference: Reference) -> Callable[..., Any]:
        """A function itself, for a node type of another package that calls it in the worker."""
        key = self._key(reference)
        if _is_importable(reference):
            function = load_reference(key)
            check_found(function, key, self.settings.opened_functions)
            return function
        known = self._functions.get((execution_id, key))
        if known is None:
            (packed,) = self._packed(execution_id, [key]) or (None,)
            if packed is None:
                raise _not_submitted()
            known = unpack(packed, key=load_key(self.settings.key_file), execution_id=execution_id)
            self._functions.put((execution_id, key), known, max(len(packed.blob), LEAST_BYTES))
        return known

    def _place(self, execution_id: str) -> str:
        """Where the calls of a run are made: at another place as soon as its kernel lends it other variables."""
        if self.kernels is None:
            return execution_id
        with nullcontext() if self.kernels.knows(execution_id) else self.reading():
            return f"{execution_id} {self.kernels.digest(execution_id)}"

    def _key(self, reference: Reference) -> str:
        if isinstance(reference, str) or "reference" in reference:
            name = reference if isinstance(reference, str) else str(reference["reference"])
            check_opened(name, self.settings.opened_functions)
            return name
        if not self.settings.accept_functions:
            raise not_taken("this worker", str(reference.get("name")))
        return str(reference["digest"])

    def _prepared(self, claim: Claim) -> Preparation:
        """What the launcher of a run begins with. A function whose signature is wrong is refused when it is called."""
        plan = self.plans.known(claim.template_id)
        wanted: list[Reference] = list(plan.functions.values()) if plan is not None else []
        names = dict.fromkeys(map(named, wanted))
        references = [name for name in names if name and is_opened(name, self.settings.opened_functions)]
        digests = {each["digest"]: None for each in wanted if isinstance(each, Mapping) and not _is_importable(each)}
        packed: list[PackedFunction] = []
        refused = {digest: _not_submitted() for digest in digests}
        for each in self._packed(claim.execution_id, list(digests)) if self.settings.accept_functions else ():
            try:
                verify(each, key=load_key(self.settings.key_file), execution_id=claim.execution_id)
            except FunctionRejected as error:
                refused[each.digest] = error
            else:
                packed.append(each)
                del refused[each.digest]
        surroundings, variables = self._kernel(claim.execution_id)
        self._masks.put(claim.execution_id, Mask(variables))
        return Preparation(
            python=surroundings.python if surroundings else sys.executable,
            folder=surroundings.folder if surroundings else None,
            path=surroundings.path if surroundings else None,
            umask=surroundings.umask if surroundings else None,
            variables=variables,
            artifacts=str(self.store.folder),
            patience=self.store.patience_seconds,
            packed=tuple(packed),
            references=tuple(references),
            refused=refused,
        )

    def _kernel(self, execution_id: str) -> tuple[Surroundings | None, Mapping[str, str]]:
        """The surroundings and variables of a run's kernel. Raises FunctionRejected where they are not there any more."""
        if self.kernels is None:
            return None, os.environ
        with self.reading():
            surroundings = self.kernels.surroundings(execution_id)
            variables = self.kernels.variables(execution_id)
        if surroundings is not None:
            surroundings.check()
        return surroundings, variables

    def _packed(self, execution_id: str, digests: list[str]) -> list[PackedFunction]:
        with self.reading() as transaction:
            found = transaction.rows(sql.FUNCTIONS, {"execution_id": execution_id})
        return [
            PackedFunction(digest=digest, name=name, python=python, blob=bytes(blob), signature=signature)
            for digest, name, python, blob, signature in found
            if digest in digests
        ]


def _is_importable(reference: Reference) -> bool:
    return isinstance(reference, str) or "reference" in reference


def _not_submitted() -> FunctionRejected:
    return FunctionRejected("the function was not submitted with this run", hint="Submit the workflow again.")
