"""Executes the notebooks in place, each in a home of its own, for whoever changed them or what they show:
`python tests/execute_notebooks.py [notebook ...]`. What nbval then compares is what this wrote.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from xtyl_engine.local import down
from xtyl_engine.settings import load_settings

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> None:
    """Run all cells and keep what they show: no widget state, no times, nothing of this machine in the metadata."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="xtyl-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XTYL_")}
        environment["XTYL_HOME"] = home
        client = NotebookClient(notebook, timeout=120, record_timing=False, store_widget_state=False)
        try:
            client.execute(cwd=str(path.parent), env=environment)
        finally:
            down(load_settings({"XTYL_HOME": home}))
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def main() -> None:
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        execute(path)
        sys.stdout.write(f"{path.name} executed\n")


if __name__ == "__main__":
    main()
