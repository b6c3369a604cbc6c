"""Code as a kernel holds it: cells that were executed in `__main__`, their source known to `linecache` alone. Also a kernel
that packs a function and a runner that calls it, each a process of its own, as they are in life.
"""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xtyl_engine.errors import FunctionRejected
from xtyl_engine.functions.by_name import put_in_place
from xtyl_engine.functions.loading import load
from xtyl_engine.functions.packed_function import PackedFunction, verify

KEY = bytes(range(32))
RUN = "e1"
SCORE = "\ndef helper(x):\n    return x + 1\n\ndef score(x):\n    return helper(x) / (x - 1)\n"


def in_notebook(source: str, name: str, filename: str = "/tmp/ipykernel_1/123.py") -> Callable[..., Any]:
    """A function as a notebook's cell defines it: in `__main__`, its source known to linecache alone."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    _execute(source, namespace, filename)
    made: Callable[..., Any] = namespace[name]
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a function: its result, or the words in which it was refused before it ran, or its traceback."""

    result: Any = None
    refused: str | None = None
    raised: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A function that a kernel packed, or the words in which it refused to."""

    packed: PackedFunction | None = None
    refused: str | None = None

    @property
    def digest(self) -> str:
        """The digest of its code."""
        assert self.packed is not None, self.refused
        return self.packed.digest


def pack_in_kernels(
    notebooks: Sequence[Sequence[str]], name: str = "step", *, folder: Path | None = None, path: Sequence[Path] = ()
) -> list[Sent]:
    """What kernels, one forked for each list of cells, pack as `name`; each in `folder`, with `path` before its own."""
    given = {"notebooks": notebooks, "name": name, "path": list(map(str, path))}
    return [_sent(each) for each in _in_process("kernels", given, folder)]


def call_in_runner(sent: Sent, /, *, folder: Path | None = None, path: Sequence[Path] = (), **arguments: Any) -> Told:
    """Load a packed function in a new process and call it."""
    if sent.packed is None:
        return Told(refused=sent.refused)
    given = {"packed": _written(sent.packed), "arguments": arguments, "path": list(map(str, path))}
    return Told(**_in_process("runner", given, folder))


def _in_process(what: str, given: Mapping[str, Any], folder: Path | None) -> Any:
    # `-c`, so that `__main__` is as empty as a kernel's.
    code = f"import cells; cells.{what}()"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(given), capture_output=True, text=True, cwd=folder, env=environ
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def kernels() -> None:
    """The body of the process that packs: fork for each notebook, execute its cells, pack, print what came of it."""
    given = json.load(sys.stdin)
    sys.path[:0] = given["path"]
    told = []
    for cells in given["notebooks"]:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps(_packed(cells, given["name"])).encode())
            os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as answer:
            told.append(json.load(answer))
        os.wait()
    _answer(told)


def runner() -> None:
    """The body of the process that loads a function and calls it."""
    given = json.load(sys.stdin)
    sys.path[:0] = given["path"]
    try:
        packed = _read(given["packed"])
        verify(packed, key=KEY, execution_id=RUN)
        function = load(packed.blob, name=packed.name, python=packed.python)
        put_in_place(function)
        _answer({"result": function(**given["arguments"])})
    except FunctionRejected as error:
        _answer({"refused": str(error)})
    except Exception:
        _answer({"raised": traceback.format_exc()})


def _answer(told: Any) -> None:
    sys.stdout.write(json.dumps(told, default=repr) + "\n")


def _packed(cells: Sequence[str], name: str) -> Any:
    from xtyl_engine.functions.packing import pack

    main = sys.modules["__main__"].__dict__
    try:
        for number, source in enumerate(cells):
            _execute(source, main, f"/tmp/ipykernel_{os.getpid()}/{number}.py")
        return _written(pack(main[name], key=KEY, execution_id=RUN))
    except FunctionRejected as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"refused": f"the kernel raised {error!r}"}


def _execute(source: str, namespace: dict[str, Any], filename: str) -> None:
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)


def _sent(given: Mapping[str, Any]) -> Sent:
    return Sent(refused=given["refused"]) if "refused" in given else Sent(packed=_read(given))


def _written(packed: PackedFunction) -> dict[str, Any]:
    return asdict(packed) | {"blob": b64encode(packed.blob).decode()}


def _read(given: Mapping[str, Any]) -> PackedFunction:
    return PackedFunction(**{**given, "blob": b64decode(given["blob"])})
