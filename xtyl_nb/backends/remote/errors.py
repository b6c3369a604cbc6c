"""Turns a problem document of the API into the error that the back end raised, in its own words. Where the API's hint is for
programs, the hint for a notebook's user is used instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import xtyl_engine.errors
from xtyl_engine.errors import BackendError, LimitExceeded, Problem, WorkflowError, WorkflowException

# Hints for a notebook's user, in place of the API's hints for programs.
HINTS = {
    "api/unauthorized": 'Ask the operator of the back end for a token, then use xt.connect("…", token="…") or set XTYL_TOKEN.',
    "api/forbidden": 'Ask the operator of the back end for a token of that role, then use xt.connect("…", token="…").',
    "api/not-found": "The back end's API is of an older release. Update it; `xtyl doctor` compares both releases.",
    "api/too-large": "Run the table in parts, `flow.run(briefs[:1000])`, or pass long texts and images as files.",
}


def refusal(problem: Mapping[str, Any], *, retryable: bool = False) -> WorkflowException:
    """The error that a problem document describes, of the class that the back end raised."""
    code, detail = problem["code"], str(problem.get("detail") or problem.get("title") or "")
    hint = str(problem["hint"]) if problem.get("hint") else None
    if code == WorkflowError.code and isinstance(problem.get("problems"), list):
        fields = ("code", "node", "message", "hint")
        found = [Problem(**{name: each.get(name) for name in fields}) for each in problem["problems"]]
        return WorkflowError(found, workflow=str(problem.get("workflow") or ""))
    known: dict[str, type[WorkflowException]] = {kind.code: kind for kind in _classes(WorkflowException)}
    known |= {"api/unauthorized": BackendError, "api/forbidden": BackendError, "api/too-large": LimitExceeded}
    data: dict[str, Any] = {"retryable": True} if retryable else {}
    if isinstance(problem.get("state"), str):
        data["state"] = problem["state"]
    made = known.get(code, WorkflowException)(detail, hint=HINTS.get(code, hint), **data)
    made.code = code
    return made


def _classes(kind: type[WorkflowException]) -> Iterator[type[WorkflowException]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith(xtyl_engine.__name__) and each is not WorkflowError:
            yield each
        yield from _classes(each)
