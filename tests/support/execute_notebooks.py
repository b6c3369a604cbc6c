"""Executes the notebooks in place, each in a home of its own, after a change of them or of what they show:
`python tests/support/execute_notebooks.py [--fresh] [notebook ...]`. What nbval then compares is what this wrote. An output that
says what it said before, as nbval sees it, is left as it was: executing again changes nothing. `--fresh` writes every one.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from openai_server import openai_server
from repository import NOTEBOOKS
from xtyl_engine.embedded.client import down
from xtyl_engine.settings import load_settings

SANITIZE = Path(__file__).with_name("notebook_sanitize.cfg")
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}


def execute(path: Path, *, is_fresh: bool) -> None:
    """Run all cells and keep what they show: no widget state, no times, nothing of this machine in the metadata."""
    notebook = nbformat.read(path, as_version=4)
    before = [] if is_fresh else [dict(cell) for cell in nbformat.read(path, as_version=4).cells]
    with tempfile.TemporaryDirectory(prefix="xtyl-") as home, openai_server() as served:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("XTYL_", "OPENAI_"))}
        environment |= {"XTYL_HOME": home, "OPENAI_BASE_URL": served.url, "OPENAI_API_KEY": "sk-notebook"}
        client = NotebookClient(notebook, timeout=120, record_timing=False, store_widget_state=False)
        try:
            client.execute(cwd=str(path.parent), env=environment)
        finally:
            down(load_settings({"XTYL_HOME": home}))
    for cell, old in zip(notebook.cells, before, strict=False):
        if cell.get("outputs") and old.get("outputs") and _says_the_same(cell, old):
            cell.outputs = old["outputs"]
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def _says_the_same(cell: Any, old: Any) -> bool:
    if cell["source"] != old["source"]:
        return False
    if "nbval-ignore-output" in cell["metadata"].get("tags", ()):
        return True
    return _sanitized(cell["outputs"]) == _sanitized(old["outputs"])


def _sanitized(outputs: Any) -> str:
    """The outputs as nbval compares them."""
    rules = ConfigParser(interpolation=None)
    rules.read(SANITIZE)
    text = json.dumps(outputs, sort_keys=True).replace("\\n", "\n")
    for name in rules.sections():
        text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
    return text


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--fresh"]
    for path in [Path(name) for name in names] or sorted(NOTEBOOKS.glob("*.ipynb")):
        execute(path, is_fresh="--fresh" in sys.argv)
        sys.stdout.write(f"{path.name} executed\n")


if __name__ == "__main__":
    main()
