"""The record of a supervisor, which may be damaged."""

from __future__ import annotations

import pytest

from xtyl_engine.embedded.state_file import Presence, SupervisorState, read_presence, write_presence

PRESENCE = Presence(
    pid=7, state=SupervisorState.READY, started=1.0, socket="/s", database="d", version="1", python="/p", error="é"
)


def test_a_record_is_read_as_written(tmp_path):
    """A record comes back equal, and nothing half-written stays beside it."""
    write_presence(tmp_path, PRESENCE)
    assert read_presence(tmp_path) == PRESENCE
    assert [path.name for path in tmp_path.iterdir()] == ["supervisor.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"pid": 1}', '{"pid": "x", "state": "ready"}', "\udcff", "9" * 5000]
)
def test_a_damaged_record_is_none(tmp_path, text):
    """Reading any content of the file raises nothing."""
    (tmp_path / "supervisor.json").write_text(text, errors="surrogateescape")
    assert read_presence(tmp_path) is None


def test_a_newer_record_is_read(tmp_path):
    """Fields of another release are ignored."""
    write_presence(tmp_path, PRESENCE)
    text = (tmp_path / "supervisor.json").read_text()
    (tmp_path / "supervisor.json").write_text(text.replace("{", '{"new": 1, ', 1))
    assert read_presence(tmp_path) == PRESENCE
