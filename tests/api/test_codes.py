"""docs/problems.md and docs/api.md list the codes of the API, each with its status, and no other."""

from __future__ import annotations

import re

from repository import ROOT
from xtyl_engine.api.problems import STATUS

ENGINE = ROOT / "engine" / "xtyl_engine"


def test_every_code_of_the_api_is_documented() -> None:
    """The table has exactly the codes that the source can answer."""
    sources = [path.read_text(encoding="utf-8") for path in ENGINE.rglob("*.py")]
    used = {code for source in sources for code in re.findall(r'"((?:api|token)/[a-z-]+)"', source)}
    used -= {f"api/{path.stem}" for path in (ENGINE / "api").glob("*.py")} - {"api/error"}
    told = re.findall(
        r"^\| `((?:api|token)/[a-z-]+)`", (ROOT / "docs" / "problems.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(used) == told


def test_the_table_of_statuses_has_every_code() -> None:
    """docs/api.md names each code of the API, and of the errors with a status of their own, once and at that status."""
    table = (
        (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("| status | codes |")[2].partition("\n\n")[0]
    )
    rows = re.findall(r"^\| ([0-9, ]+) \| (.*) \|$", table, re.M)
    told = [
        (code, statuses.split(", ")) for statuses, codes in rows for code in re.findall(r"`([a-z]+/[a-z-]+)`", codes)
    ]
    assert len(told) == len(dict(told))
    problems = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    wanted = dict(re.findall(r"^\| `(api/[a-z-]+)` \| ([0-9]+)", problems, re.M))
    wanted |= {kind.code: str(status) for kind, status in STATUS.items()}
    assert {code: status for code, status in wanted.items() if status not in dict(told).get(code, [])} == {}
    assert {code for code, _ in told if code.startswith("api/")} == {code for code in wanted if code.startswith("api/")}


def test_every_setting_of_the_api_is_documented() -> None:
    """The engine's table of settings has those that the API reads."""
    names = re.findall(r'"(api_[a-z]+)": ', (ENGINE / "settings.py").read_text(encoding="utf-8"))
    readme = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")
    assert names
    assert [name for name in names if f"| `XTYL_{name.upper()}` |" not in readme] == []
