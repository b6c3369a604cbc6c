"""A node type of another package whose handler runs in the worker and may end it, as no function can."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from offering import node_types_of

POISON = """
import ctypes
import os
import time
from xtyl_engine.nodes.base import Done, NodeConfig, NodeType

class Poison(NodeConfig):
    notes: str
    word: str
    row: int | str
    bad: list[int]
    how: str
    seconds: float = 0.05

def run(config, context):
    handle = os.open(config.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{config.word} {config.row}\\n".encode())
    os.close(handle)
    time.sleep(config.seconds)
    if config.row in config.bad:
        end(config.how)
    return Done(output={"value": config.row})

def end(how):
    if how == "leave":
        os._exit(0)
    elif how == "crash":
        ctypes.string_at(0)
    else:
        os.kill(os.getpid(), int(how))

NODE_TYPE = NodeType(name="poison", config=Poison, run=run, fields=lambda config: ("value",), rendered=("row",))
"""


@contextlib.contextmanager
def poison_offered(folder: Path) -> Iterator[None]:
    """While the block lasts, this process and those that it starts find the node type `poison`."""
    with (
        pytest.MonkeyPatch.context() as patch,
        node_types_of(folder, {"poison": "poisonous:NODE_TYPE"}, poisonous=POISON),
    ):
        patch.setenv("PYTHONPATH", str(folder))
        yield
