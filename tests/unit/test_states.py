"""The table of moves, and the diagram that is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from repository import ROOT
from xtyl_engine.states import EXECUTION_TRANSITIONS, JOB_TRANSITIONS, OPEN, ExecutionState, JobState, Transition

README = ROOT / "engine" / "README.md"
START, END = "<!-- states -->", "## Guards"


def diagram(title: str, moves: Mapping[str, Transition]) -> str:
    """A table of moves as a Mermaid state diagram."""
    arrows = [
        f"    {source} --> {move.target}: {name}"
        for name, move in moves.items()
        for source in move.sources
        if source != move.target
    ]
    return "\n".join([f"{title}:", "", "```mermaid", "stateDiagram-v2", *arrows, "```"])


def expected() -> str:
    return "\n\n".join(["", diagram("An execution", EXECUTION_TRANSITIONS), diagram("A job", JOB_TRANSITIONS), ""])


def test_the_diagram_in_the_docs_is_the_table() -> None:
    """engine/README.md shows the moves that the code makes, no others."""
    text = README.read_text(encoding="utf-8")
    assert text[text.index(START) + len(START) : text.index(END)].strip() == expected().strip()


def test_no_move_leaves_a_completed_job() -> None:
    """A completed job is never executed again."""
    assert [name for name, move in JOB_TRANSITIONS.items() if JobState.COMPLETED in move.sources] == []
    assert [name for name, move in EXECUTION_TRANSITIONS.items() if ExecutionState.COMPLETED in move.sources] == []


def test_every_state_can_be_reached_and_every_open_one_left() -> None:
    """No state is a dead end that is not an end, and none is never entered."""
    for states, moves, start, opens in (
        (JobState, JOB_TRANSITIONS, JobState.BLOCKED, set(OPEN)),
        (
            ExecutionState,
            EXECUTION_TRANSITIONS,
            ExecutionState.PENDING,
            {s for s in ExecutionState if not s.is_terminal},
        ),
    ):
        assert {move.target for move in moves.values()} | {start} == set(states)
        assert opens <= {source for move in moves.values() for source in move.sources}
