"""A third party's package for an earlier release still works: its node type and its provider are found, and run in a worker."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from released import RELEASED, wheel
from servers import embedded_home

MODULES = ("xtyl_engine.errors", "xtyl_engine.nodes.base", "xtyl_engine.providers.base")

# Written for the release of schema 0003; do not change it with our code.
PACKAGE = """
import io

from PIL import Image

from xtyl_engine.errors import PartialFailureError, PermanentError, TransientError
from xtyl_engine.nodes.base import Context, Done, NodeConfig, NodeType, Retry, Usage, Wait
from xtyl_engine.providers.base import ImageRequest, ImageResult, Provider, TextRequest, TextResult

USAGE = Usage(provider="press", model="press-1", tokens=3, cost=0.5)


class Stamp(NodeConfig):
    text: str
    ink: str = "blue"
    retry: Retry = Retry(attempts=2, base_seconds=0.01)


def stamp(config: Stamp, context: Context) -> Done | Wait:
    if config.ink == "gold":
        raise PermanentError("there is no gold", hint="take another ink")
    if context.attempt == 1:
        raise TransientError("the press is cold", retry_after=0.01)
    read = sorted(context.upstream)
    made = context.provider("press").write(TextRequest(prompt=config.text, key=context.key))
    return Done(output={"text": f"{made.text} in {config.ink}", "read": read}, usage=made.usage)


STAMP = NodeType(
    name="stamp",
    config=Stamp,
    run=stamp,
    fields=lambda config: ("text", "read"),
    main="text",
    templates=("text", "ink"),
    bears=False,
    cached=False,
    branches=lambda config: (),
)
assert STAMP.templates == ("text", "ink")


class Press:
    name = "press"

    def __init__(self, environment):
        self.word = environment.get("PRESS_WORD", "pressed")

    def write(self, request: TextRequest) -> TextResult:
        return TextResult(text=f"{self.word} {request.prompt}", usage=USAGE)

    def draw(self, request: ImageRequest) -> ImageResult:
        made = io.BytesIO()
        Image.new("RGB", (request.width, request.height)).save(made, "PNG")
        return ImageResult(data=made.getvalue(), usage=USAGE)


PRESS: type[Provider] = Press
"""

ENTRY_POINTS = """
[xtyl.nodes]
stamp = press:STAMP

[xtyl.providers]
press = press:PRESS
"""

NOTEBOOK = """
import json, xtyl_nb as xt
stamp = {"type": "stamp", "config": {"text": "{{ line.text }}", "ink": "{{ ink }}"}}
flow = xt.Workflow.from_json({
    "name": "pressed",
    "nodes": [
        {"id": "line", "type": "generate_copy", "config": {"prompt": "{{ word }}", "provider": "press"}},
        {"id": "art", "type": "generate_image", "config": {"prompt": "{{ word }}", "provider": "press", "size": "8x6"}},
        {"id": "mark", **stamp},
    ],
})
rows = [{"word": "lamp", "ink": "red"}, {"word": "mug", "ink": "gold"}]
run = flow.run(rows).wait(60)
jobs = run.jobs()
print(json.dumps({
    "marks": list(run.outputs("mark")["text"]),
    "widths": list(map(int, run.outputs("art")["width"])),
    "attempts": list(map(int, jobs[jobs["node"] == "mark"]["attempts"])),
    "classes": list(jobs[jobs["node"] == "mark"]["error_class"].fillna("")),
    "errors": list(run.frame()["error"].fillna("")),
    "costs": list(map(float, jobs["cost"].fillna(0))),
}))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a back end of its own, where notebook and worker find the package."""
    site = tmp_path / "site"
    (site / "press-1.0.dist-info").mkdir(parents=True)
    (site / "press.py").write_text(PACKAGE, encoding="utf-8")
    (site / "press-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (site / "press-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: press\nVersion: 1.0\n")
    with embedded_home(tmp_path) as settings:
        yield settings.child_environ({**os.environ, "PYTHONPATH": str(site), "PRESS_WORD": "printed"})


def test_a_package_of_others_goes_on(installed: dict[str, str], tmp_path: Path) -> None:
    """A node type and a provider written with the names of an earlier release run in a worker, with retries and costs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOTEBOOK],
        env=installed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "marks": ["printed printed lamp in red"],
        "widths": [8, 8],
        "attempts": [2, 1],
        "classes": ["", "permanent"],
        "errors": ["", "mark: there is no gold\n  take another ink"],
        "costs": [0.5] * 5 + [0.0],
    }


def names_of(module: str) -> dict[str, set[str]]:
    """The classes and functions of a module of the kept release, and the fields that each class names."""
    source = zipfile.ZipFile(wheel(RELEASED)).read(module.replace(".", "/") + ".py")
    return {
        node.name: {
            part.target.id
            for part in getattr(node, "body", ())
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and isinstance(node, ast.ClassDef)
        }
        for node in ast.parse(source).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("module", MODULES)
def test_what_packages_import_is_there(module: str) -> None:
    """Every class and function that these modules of the kept release had is found in them, and so is every field."""
    present, found = import_module(module), names_of(module)
    assert found
    assert [name for name in found if not hasattr(present, name)] == []
    for name, fields in found.items():
        cls = getattr(present, name)
        known = {*dir(cls), *getattr(cls, "model_fields", ()), *getattr(cls, "__annotations__", ())}
        assert fields - known == set(), name
