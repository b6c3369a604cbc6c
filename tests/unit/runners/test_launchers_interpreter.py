"""A launcher in another interpreter than the worker's: started, or refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.runners.launchers import Preparation
from xtyl_engine.runners.patience import Patience
from xtyl_engine.runners.stems import Stem


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """An interpreter that has nothing installed."""
    command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(tmp_path / "venv")]
    subprocess.run(command, check=True)
    return str(tmp_path / "venv" / "bin" / "python")


def launch(python: str, folder: Path, path: tuple[str, ...]) -> None:
    base = Stem.executed(python, os.environ, path)
    try:
        preparation = Preparation(python=python, folder=str(folder), path=path, artifacts=str(folder))
        base.launch(preparation, Patience(60.0, lambda: False)).close()
    finally:
        base.close()


def test_an_interpreter_without_this_package_is_named(bare: str, tmp_path: Path) -> None:
    """The error says which interpreter, and what to install there."""
    with pytest.raises(PermanentError, match="cannot run functions: it ends before it can") as caught:
        launch(bare, tmp_path, ())
    assert bare in caught.value.message
    assert "pip install xtyl-nb" in str(caught.value.hint)


def test_a_package_on_the_kernel_s_path_alone_is_found(bare: str, tmp_path: Path) -> None:
    """A kernel may have found this package by PYTHONPATH, or by a path that it appended."""
    launch(bare, tmp_path, tuple(sys.path))


def test_an_interpreter_that_is_gone_is_named(tmp_path: Path) -> None:
    """The error says which."""
    with pytest.raises(TransientError, match=f"did not start with {tmp_path}/python: No such file"):
        launch(f"{tmp_path}/python", tmp_path, ())
