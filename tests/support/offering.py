"""A package that offers things by entry points, installed where one process finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def told_where_offered(folder: Path, group: str, offered: dict[str, str], code: str) -> Any:
    """What `code` prints as JSON where a package in `folder` offers these entry points."""
    described = folder / "offering-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    points = "".join(f"{name} = {value}\n" for name, value in offered.items())
    (described / "entry_points.txt").write_text(f"[{group}]\n{points}")
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
