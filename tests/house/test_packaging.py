"""The contents of a wheel and a source distribution, built from this folder: the licence, the notebooks, the links."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from repository import ROOT
from xtyl_nb.cli.lab import PAGES

NOTEBOOKS = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def build(source: Path, target: str, folder: Path) -> Path:
    """Build one distribution without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(build(ROOT, "sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_licence_comes_with_everything(wheel: Path, source: Path) -> None:
    """It is word for word in the wheel, beside its metadata, and at the top of the source distribution."""
    licence = (ROOT / "LICENSE").read_bytes()
    assert b"Apache License\n                           Version 2.0, January 2004" in licence
    (name,) = (name for name in names(wheel) if name.endswith("LICENSE"))
    assert name.endswith(".dist-info/licenses/LICENSE")
    assert zipfile.ZipFile(wheel).read(name) == licence
    assert (source / "LICENSE").read_bytes() == licence


def test_the_metadata_say_whose_it_is_and_where(wheel: Path) -> None:
    """They have licence, authors and links; `xtyl lab` leads to the same place."""
    (name,) = (name for name in names(wheel) if name.endswith("METADATA"))
    said = email.message_from_bytes(zipfile.ZipFile(wheel).read(name))
    assert said["License-Expression"] == "Apache-2.0"
    assert said["License-File"] == "LICENSE"
    assert said["Author"] == "XTYL maintainers"
    links = dict(link.split(", ") for link in said.get_all("Project-URL", []))
    assert set(links) == {"Homepage", "Documentation", "Issues", "Changelog"}
    assert all(link.startswith(links["Homepage"]) for link in links.values())
    assert f"{links['Homepage']}/blob/main" == PAGES


def test_the_wheel_holds_the_notebooks_and_no_tests(wheel: Path) -> None:
    """Each notebook is inside the package, and beside the two packages there is only metadata."""
    found = names(wheel)
    assert {name for name in found if "/notebooks/" in name} == {f"xtyl_nb/notebooks/{name}" for name in NOTEBOOKS}
    tops = {name.split("/")[0] for name in found}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"xtyl_nb", "xtyl_engine"}


def test_the_wheel_alone_brings_the_notebooks(wheel: Path, tmp_path: Path) -> None:
    """Without a clone beside it, the package copies them to the user's folder."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "from pathlib import Path; from xtyl_nb.cli.lab import copy_notebooks; copy_notebooks(Path('copied'))"
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert {path.name for path in (tmp_path / "copied").iterdir()} == NOTEBOOKS


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, source: Path, tmp_path: Path) -> None:
    """It lacks nothing that the wheel needs."""
    assert names(build(source, "wheel", tmp_path / "again")) == names(wheel)


def test_the_extras_are_what_the_tests_install() -> None:
    """`test` brings every other extra, so that none goes untested."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extras["test"][0] == f"xtyl-nb[{','.join(sorted(set(extras) - {'test'}))}]"
