"""A kernel in a separate process, which can be made to die: it submits a workflow that passes every failpoint of a worker
(a list known only at run time, a large value, a job longer than a beat).
"""

from __future__ import annotations

import os
import sys
import time

import pandas as pd

import xtyl_nb as xt

ROWS = 3


def workflow(path: str) -> xt.Workflow:
    """Each job adds one durable line to the file at `path` when it starts; those of the first step last
    as long as there is a file `path` + ".held"."""

    def note(name: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{name}\n".encode())
        os.fsync(handle)
        os.close(handle)

    def ideas(n: int) -> list[str]:
        note(f"ideas {n}")
        time.sleep(0.4)
        while os.path.exists(f"{path}.held"):
            time.sleep(0.01)
        return [f"{n}a", f"{n}b"]

    def large(idea: str) -> str:
        note(f"large {idea}")
        return idea * 200_000

    def count(n: int, texts: list[str]) -> int:
        note(f"count {n}")
        return sum(map(len, texts))

    return (
        xt.Workflow("points")
        .call("ideas", ideas, n="{{ n }}")
        .call("large", large, over="ideas", idea="{{ ideas }}")
        .call("count", count, n="{{ n }}", texts="{{ large }}")
    )


if __name__ == "__main__":
    workflow(sys.argv[1]).run(pd.DataFrame({"n": range(ROWS)}))
