"""The judge finds each promise that a doctored record breaks, and nothing in a sound record."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from chaos.judge import Evidence, Job, judge, paid_twice


def job(node: str, item: str, text: str, finished: float) -> Job:
    output = f'{{"text":"{text}"}}'
    return Job(
        node=node, item=item, state="completed", attempt=1, attempts=1, given_up=0, finished=finished, output=output
    )


def line(kind: str, key: str, time: float, **facts: str) -> dict[str, object]:
    return {"kind": kind, "key": f"run/{key}/0", "time": time, **facts}


CONTENT = b"a book of b"
NAME = sha256(CONTENT).hexdigest()
EVENTS = [
    (1, "submitted", None, None),
    (2, "job_completed", "first", "0.0"),
    (3, "job_completed", "second", "0"),
    (4, "job_completed", "book", "0"),
    (5, "completed", None, None),
]
SOUND = Evidence(
    execution="run",
    state="completed",
    jobs=[
        job("first", "0.0", "a", 3.0),
        job("second", "0", "b", 6.0),
        replace(job("book", "0", "", 7.0), output=f'{{"$artifact":"{NAME}"}}'),
    ],
    events=EVENTS,
    log=[
        line("request", "first/0.0", 1.0, prompt="x"),
        line("answer", "first/0.0", 2.0, text="a"),
        line("request", "second/0", 4.0, prompt="quotes a"),
        line("answer", "second/0", 5.0, text="b"),
    ],
    quiet=[(3.0, 3.5)],
    seen=[[(1, "submitted", None, None)], EVENTS],
    quotes={"second": "first"},
    prints={"book": "second"},
    files={NAME: CONTENT},
)
FIRST, SECOND, BOOK = SOUND.jobs


def test_a_sound_account_is_sound() -> None:
    """The judge finds nothing in a sound record."""
    assert judge(SOUND) == []
    assert judge(replace(SOUND, lost=["its worker process ended"], excuses={"ended"})) == []
    assert paid_twice(SOUND) == {}


@pytest.mark.parametrize(
    ("doctored", "words"),
    [
        (replace(SOUND, state="running"), "the run is running"),
        (replace(SOUND, jobs=[replace(FIRST, state="running"), SECOND, BOOK]), "is running"),
        (replace(SOUND, jobs=[replace(FIRST, output='{"text":"z"}'), SECOND, BOOK]), "none that the provider sent"),
        (replace(SOUND, jobs=[replace(FIRST, attempts=2), SECOND, BOOK]), "rows of them"),
        (replace(SOUND, log=[*SOUND.log, line("request", "first/0.0", 2.5, prompt="x")]), "2 requests, 1 attempts"),
        (replace(SOUND, jobs=[replace(FIRST, finished=0.5), SECOND, BOOK]), "after it was complete"),
        (replace(SOUND, log=[*SOUND.log[:2], {**SOUND.log[2], "prompt": "quotes c"}, SOUND.log[3]]), "does not quote"),
        (replace(SOUND, jobs=[*SOUND.jobs[:2], replace(BOOK, output='{"$artifact":"gone"}')]), "gone is missing"),
        (replace(SOUND, files={NAME: b"a book of"}), "is not what it was"),
        (replace(SOUND, jobs=[FIRST, replace(SECOND, output='{"text":"zz"}'), BOOK]), "does not hold second@0"),
        (replace(SOUND, quiet=[(3.0, 4.5)]), "while the run was paused"),
        (replace(SOUND, log=[*SOUND.log, line("request", "third/0", 2.5, prompt="x")]), "the key of no job"),
        (replace(SOUND, lost=["its lease ran out"], excuses={"ended"}), "which no fault accounts for"),
        (replace(SOUND, events=[SOUND.events[0], *SOUND.events[2:]]), "gaps"),
        (replace(SOUND, seen=[EVENTS[:1], EVENTS[1:]]), "saw other events"),
        (replace(SOUND, seen=[EVENTS, EVENTS[:4]]), "saw 4 of 5 events"),
        (replace(SOUND, events=[*SOUND.events, (6, "job_completed", "first", "0.0")]), "2 completions"),
    ],
)
def test_a_broken_promise_is_found(doctored: Evidence, words: str) -> None:
    """Each broken promise is reported in its own words."""
    assert any(words in found for found in judge(doctored))


def test_what_was_answered_twice_was_paid_twice() -> None:
    """Answers beyond the first are counted by job."""
    again = replace(SOUND, log=[*SOUND.log, line("answer", "first/0.0", 2.5, text="other")])
    assert paid_twice(again) == {"first@0.0": 2}
