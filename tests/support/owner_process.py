"""Another process that owns claims, as a worker process does, and does nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers import line_of

CODE = """
import os, sys, time
from pathlib import Path
from xtyl_engine.worker.owners import Owners
owners = Owners(Path(sys.argv[1]))
print(owners.name, flush=True)
lock = Path(sys.argv[1], "owners", owners.name.split(":")[2] + ".lock")
for line in sys.stdin:
    child = 0
    if line.strip() == "fork":
        child = os.fork()
        if not child:
            time.sleep(600)
    elif line.strip() == "read":
        lock.read_bytes()
    elif line.strip() == "remove":
        lock.unlink()
    elif line.strip() == "keep":
        owners.keep()
    print(child, flush=True)
"""


class OwnerProcess:
    """A process with a name among the owners of a home."""

    def __init__(self, home: Path):
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.name: str = line_of(self._process).strip()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self) -> int:
        """Let it fork a child; the pid of that."""
        return self.do("fork")

    def do(self, what: str) -> int:
        """Let it fork, read or remove the file of its lock, or keep its lock as a beat does; wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return int(line_of(self._process))

    def kill(self) -> None:
        """Kill it, as a crash does, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
