"""A real JupyterLab, which serves Notebook 7 as well, and a real Chromium. A missing one skips on a laptop and fails in CI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import LAUNCH, Lab, laboratory
from servers import PATIENT_SECONDS


def missing(what: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and this is CI")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium with a profile of its own."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    # Until this block ends Playwright keeps an event loop running in this thread, where no other could run.
    with playwright.sync_playwright() as driver:
        profile = str(tmp_path_factory.mktemp("profile"))
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=path, headless=True, args=list(LAUNCH), viewport={"width": 1300, "height": 1000}
        )
        yield context
        context.close()


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    page = browser.new_page()
    page.set_default_timeout(PATIENT_SECONDS * 1000)
    yield page
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{request.node.name}.png")
    page.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab for the session."""
    if shutil.which("jupyter-lab", path=str(Path(sys.executable).parent)) is None:
        missing("JupyterLab")
    with laboratory(tmp_path_factory.mktemp("lab")) as made:
        yield made
