"""What the notebooks promise beyond that they run, which nbval holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def shown(path: Path) -> str:
    """All that a notebook's cells show."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return json.dumps([cell.get("outputs", []) for cell in cells])


def test_every_problem_is_shown() -> None:
    """The notebook on mistakes makes each one that the table of problems lists."""
    codes = re.findall(r"^\| `(workflow/[\w-]+)`", (ROOT / "docs" / "problems.md").read_text(encoding="utf-8"), re.M)
    outputs = shown(ROOT / "notebooks" / "02_when_it_is_wrong.ipynb")
    assert len(codes) > 20
    assert [code for code in codes if f"{code}<" not in outputs] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_little_is_left_unchecked(path: Path) -> None:
    """Only cells that show the live picture have outputs that are not compared."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if "nbval-ignore-output" in cell["metadata"].get("tags", []):
            assert "RunWidget" in json.dumps(cell["outputs"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_metadata_is_clean(path: Path) -> None:
    """No widget state, no times, no versions, nothing of the machine that executed it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"])
    assert str(Path.home()) + "/" not in json.dumps(notebook)
