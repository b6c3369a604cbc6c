"""The words of this release that other releases, other programs and dashboards read."""

from __future__ import annotations

import json

from repository import DATA
from spoken import spoken

WRITTEN = DATA / "spoken.json"


def test_stored_and_spoken_words_stay() -> None:
    """Keys of documents and plans, kinds of events, columns, metrics, tasks, settings, paths and fields are as released."""
    assert spoken() == json.loads(WRITTEN.read_text(encoding="utf-8"))
