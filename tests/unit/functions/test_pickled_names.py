"""The names in a pickle are read, and nothing of it is run."""

from __future__ import annotations

import datetime
import enum
import io
from collections import OrderedDict, defaultdict, deque
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd

from xtyl_engine.functions.pickled_names import pickled_names


class Trap:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_nothing_is_run(tmp_path: Path) -> None:
    """The name of what would be called is told, and it is not called."""
    found = pickled_names(cloudpickle.dumps(Trap(tmp_path / "written")))
    assert found == {("io", "open")}
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_pickle_is_read() -> None:
    """Classes by value, their instances, containers, arrays and frames; one pickle behind another."""

    class Tone(enum.Enum):
        CALM = 1

    class Made:
        def __init__(self) -> None:
            self.parts = [Tone.CALM, {1: {2}}, deque([1]), OrderedDict(a=1), defaultdict(list, b=[2])]

    values = [
        Made(),
        np.arange(3),
        pd.DataFrame({"a": ["x"]}),
        {Tone.CALM, frozenset({1})},
        partial(print, 1),
        b"x" * 99,
    ]
    file = io.BytesIO()
    pickler = cloudpickle.Pickler(file)
    pickler.dump([*values, lambda: values, datetime.date(2026, 1, 1), bytearray(3)])
    pickler.dump({"more": values})
    names = pickled_names(file.getvalue())
    assert {("collections", "deque"), ("functools", "partial"), ("datetime", "date"), ("builtins", "print")} <= names
