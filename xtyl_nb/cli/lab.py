"""`xtyl lab`: copies the project's notebooks to a folder of the user's and opens them in JupyterLab. It does not install
JupyterLab; the extra `lab` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from xtyl_engine.errors import WorkflowException
from xtyl_engine.settings import SettingsError

FIRST = "01_first_workflow.ipynb"
PAGES = "https://github.com/xtyl/xtyl-nb/blob/main"


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks into the folder, except those that exist there: they may hold the user's work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in _shipped().glob("*.ipynb"):
            if not (folder / source.name).exists():
                partial = folder / f".{source.name}.partial"
                # The copy has no docs folder beside it.
                partial.write_text(source.read_text("utf-8").replace("](../docs/", f"]({PAGES}/docs/"), "utf-8")
                partial.replace(folder / source.name)
    except OSError as error:
        raise WorkflowException(
            f"the notebooks cannot be copied to {folder}: {error.strerror}", hint="Name another folder with --folder."
        ) from error


def lab_command(folder: Path, options: Iterable[str]) -> list[str]:
    """The command that serves the folder on loopback and opens the first notebook; the options are JupyterLab's own."""
    if find_spec("jupyterlab") is None:
        raise SettingsError(
            f"`xtyl lab` needs JupyterLab, which is not installed in {sys.prefix}",
            hint=f'Install it: {sys.executable} -m pip install "xtyl-nb[lab]".',
        )
    first = f"--LabApp.default_url=/lab/tree/{FIRST}"
    # -P: Python files in the current folder must not shadow modules of JupyterLab.
    server = [sys.executable, "-P", "-m", "jupyterlab", "--ip=127.0.0.1", f"--ServerApp.root_dir={folder}"]
    return [*server, first, *options]


def _shipped() -> Path:
    """The folder of the notebooks: inside the package in a wheel, beside it in a clone."""
    package = Path(str(files("xtyl_nb")))
    return next(each for each in (package / "notebooks", package.parent / "notebooks") if each.is_dir())
