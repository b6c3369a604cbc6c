"""docs/problems.md lists the codes of the API, each with its status, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "xtyl_engine"


def test_every_code_of_the_api_is_documented() -> None:
    """What the source can answer is what the table has."""
    sources = [path.read_text(encoding="utf-8") for path in ENGINE.rglob("*.py")]
    used = {code for source in sources for code in re.findall(r'"((?:api|token)/[a-z-]+)"', source)}
    used -= {f"api/{path.stem}" for path in (ENGINE / "api").glob("*.py")} - {"api/error"}
    told = re.findall(
        r"^\| `((?:api|token)/[a-z-]+)`", (ROOT / "docs" / "problems.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(used) == told
