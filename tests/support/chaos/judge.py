"""What must hold of a run, judged from the provider's log and from SQL alone, without the engine's code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

# A request that a worker sent may arrive a moment later.
GRACE_SECONDS = 0.1
# The log's lines are in order: where its time falls by more, the clock was set back.
SET_BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of agent_jobs, with how many rows of job_attempts it has, and how many of them were given up."""

    node: str
    item: str
    state: str
    attempt: int
    attempts: int
    given_up: int
    finished: float | None
    output: str | None

    @property
    def text(self) -> str | None:
        return json.loads(self.output).get("text") if self.output else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The record to judge by. `log` holds the provider's lines, `quiet` the times between a pause that returned and the next
    resume, `seen` the events that a watcher saw, look by look; `quotes` says which node's texts each node's prompt repeats,
    `prints` which node's result is a file with another's text, and `files` the content of each artifact, by name. `lost` holds
    the words of each attempt that was lost, `excuses` the words that the faults account for."""

    execution: str
    state: str
    jobs: Sequence[Job]
    events: Sequence[tuple[int, str, str | None, str | None]]
    log: Sequence[Mapping[str, Any]]
    quiet: Sequence[tuple[float, float]]
    quotes: Mapping[str, str]
    seen: Sequence[Sequence[tuple[int, str, str | None, str | None]]] = ()
    prints: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    lost: Sequence[str] = ()
    excuses: Collection[str] = ()

    def key(self, job: Job) -> str:
        return f"{self.execution}/{job.node}/{job.item}/0"

    def lines(self, job: Job, kind: str) -> list[Mapping[str, Any]]:
        return [line for line in self.log if line["kind"] == kind and line["key"] == self.key(job)]


def judge(evidence: Evidence) -> list[str]:
    """Every promise that was broken, in words; nothing when all hold."""
    evidence = replace(evidence, log=_by_one_clock(evidence.log))
    broken = [] if evidence.state == "completed" else [f"the run is {evidence.state}"]
    broken += [*_events(evidence), *_seen(evidence)]
    for job in evidence.jobs:
        broken += [f"{job.node}@{job.item}: {words}" for words in _job(evidence, job)]
    requests = [line for line in evidence.log if line["kind"] == "request"]
    for begin, end in evidence.quiet:
        loud = [line["key"] for line in requests if begin + GRACE_SECONDS < line["time"] < end]
        broken += [f"{key} was requested while the run was paused" for key in loud]
    broken += [
        f"a job was lost with the words {words!r}, which no fault accounts for"
        for words in evidence.lost
        if not any(excuse in words for excuse in evidence.excuses)
    ]
    known = {evidence.key(job) for job in evidence.jobs}
    return broken + [f"{key} is the key of no job" for key in {line["key"] for line in requests} - known]


def _by_one_clock(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The log with the times from before a clock was set back as the later clock would have shown them."""
    told: list[Mapping[str, Any]] = []
    last = 0.0
    for line in log:
        if (step := last - line["time"]) > SET_BACK_SECONDS:
            told = [{**earlier, "time": earlier["time"] - step} for earlier in told]
        last = line["time"]
        told.append(line)
    return told


def _job(evidence: Evidence, job: Job) -> Iterable[str]:
    if job.state != "completed":
        yield f"is {job.state}"
        return
    if job.attempts != job.attempt:
        yield f"it is at attempt {job.attempt} and has {job.attempts} rows of them"
    yield from _file(evidence, job) if job.node in evidence.prints else _asked(evidence, job)


def _file(evidence: Evidence, job: Job) -> Iterable[str]:
    """The artifact that the row names exists, is whole, and is made from the parent's committed result."""
    name = json.loads(job.output or "{}").get("$artifact")
    content = evidence.files.get(name)
    (parent,) = [each for each in evidence.jobs if (each.node, each.item) == (evidence.prints[job.node], job.item)]
    if content is None:
        yield f"its artifact {name} is missing"
    elif sha256(content).hexdigest() != name:
        yield f"its artifact {name} is not what it was"
    elif str(parent.text).encode() not in content:
        yield f"its artifact does not hold {parent.node}@{parent.item} as it was committed"


def _asked(evidence: Evidence, job: Job) -> Iterable[str]:
    """The provider's requests and answers."""
    requests, answers = evidence.lines(job, "request"), evidence.lines(job, "answer")
    if job.text not in {answer["text"] for answer in answers}:
        yield "its text is none that the provider sent for it"
    if len(requests) > job.attempts:
        yield f"{len(requests)} requests, {job.attempts} attempts"
    # A frozen worker that goes on sends its pending request; its attempt is recorded as given up.
    late = [line for line in requests if job.finished and line["time"] > job.finished + GRACE_SECONDS]
    if len(late) > job.given_up:
        yield f"{len(late)} requests after it was complete"
    for line in requests:
        yield from _quotes(evidence, job, str(line["prompt"]))


def _quotes(evidence: Evidence, job: Job, prompt: str) -> Iterable[str]:
    """Each request repeats the committed texts of its parents, and no others."""
    source = evidence.quotes.get(job.node)
    for parent in evidence.jobs if source else ():
        is_ours = parent.item == job.item or parent.item.startswith(f"{job.item}.")
        if parent.node == source and is_ours and str(parent.text) not in prompt:
            yield f"a request does not quote {parent.node}@{parent.item} as it was committed"


def _events(evidence: Evidence) -> Iterable[str]:
    sequences = [sequence for sequence, *_ in evidence.events]
    if sequences != list(range(1, len(sequences) + 1)):
        yield "the events have gaps"
    completions = Counter((node, item) for _, kind, node, item in evidence.events if kind == "job_completed")
    for job in evidence.jobs:
        if completions[job.node, job.item] != 1:
            yield f"{job.node}@{job.item}: {completions[job.node, job.item]} completions"


def _seen(evidence: Evidence) -> Iterable[str]:
    """A watcher sees every event from the first on, in order, and the last look sees the end; after the end a frozen worker's
    late events may follow."""
    written = [tuple(event) for event in evidence.events]
    for look in evidence.seen:
        if list(look) != written[: len(look)]:
            yield "a watcher saw other events than are written"
    if evidence.seen and "completed" not in {kind for _, kind, _, _ in evidence.seen[-1]}:
        yield f"who watched to the end saw {len(evidence.seen[-1])} of {len(written)} events, not the end"


def paid_twice(evidence: Evidence) -> dict[str, int]:
    """Jobs that the provider answered more than once, and how often."""
    answers = {f"{job.node}@{job.item}": len(evidence.lines(job, "answer")) for job in evidence.jobs}
    return {name: count for name, count in answers.items() if count > 1}
