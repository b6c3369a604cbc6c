"""A notebook open in a browser: run a cell, save, take a picture of the widget."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Any

from playwright.sync_api import TimeoutError

from servers import PATIENT_SECONDS


def start(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    run_cell(page, 0)


def run_cell(page: Any, place: int) -> object:
    cell = page.locator(".jp-CodeCell").nth(place)
    cell.locator(".cm-content").click()
    begun = cell.locator(".jp-InputPrompt").get_by_text(re.compile(r"\[[*\d]+\]"))
    # A notebook that is still opening may drop the first key presses.
    deadline = time.monotonic() + PATIENT_SECONDS
    while time.monotonic() < deadline:
        page.keyboard.press("Control+Enter")
        with suppress(TimeoutError):
            return begun.wait_for(timeout=4000)
    raise AssertionError(f"cell {place} did not run")


def save(page: Any) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    page.wait_for_selector(".jp-mod-dirty", state="detached")


def run_from_page(page: Any, place: int) -> None:
    """Run a cell without a click into it, as from a colleague's page."""
    run_cell(page, place)
    page.locator(".jp-CodeCell").nth(place).locator(".jp-InputPrompt").get_by_text("[", exact=False).wait_for()


def shot(page: Any, name: str) -> None:
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.locator(".xtyl").first.screenshot(path=f"{folder}/{name}.png")
