"""What a function says it depends on, by distribution or module, has a version."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from xtyl_engine.functions.packed_function import PYTHON
from xtyl_engine.functions.versions import versions


def test_distributions_and_modules_have_versions() -> None:
    """A distribution by its name in any spelling, a module by its distribution, one of Python by Python's."""
    found = versions(["pandas", "PIL", "Pydantic_Core", "json", "concurrent.futures"])
    assert found == {
        "pandas": version("pandas"),
        "PIL": f"pillow {version('pillow')}",
        "Pydantic_Core": version("pydantic-core"),
        "json": f"Python {PYTHON}",
        "concurrent.futures": f"Python {PYTHON}",
    }


def test_a_local_module_has_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the notebook has no version: its code, without comments, stands for one."""
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for text in ("RATE = 2", "RATE = 2  # Words.", "RATE = 3"):
        (tmp_path / "pricing_of_shop.py").write_text(text)
        found.append(versions(["pricing_of_shop"])["pricing_of_shop"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("name", ["pandsa", "", "no.such.module", "..", "a b"])
def test_a_name_that_is_not_installed_is_told(name: str) -> None:
    """The error has the name."""
    with pytest.raises(ValueError, match="is installed here") as caught:
        versions(["pandas", name])
    assert repr(name) in str(caught.value)
