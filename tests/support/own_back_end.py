"""An embedded back end of a test's own, at work, which may be harmed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import xtyl_nb as xt
from backend import QUICK, wait_ready
from servers import embedded_home
from xtyl_engine.embedded.client import ensure
from xtyl_engine.settings import Settings


@contextmanager
def own_back_end(folder: Path, **variables: str) -> Iterator[Settings]:
    """The settings of a back end whose worker takes notifications. This process uses it inside the block."""
    with embedded_home(folder, **{**QUICK, **variables}) as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.to_environ().items():
            patch.setenv(name, value)
        ensure(settings)
        wait_ready(settings)
        yield settings
        xt.connect()
