"""A real browser: Debian's Chromium, driven by Playwright. Whatever it complains about fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"]
"""Names below .test are this machine, and no secure origins: there browsers send no Sec-Fetch headers."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser that the whole session uses."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert path, "there is no Chromium on this machine"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def profile(browser: Any) -> Iterator[Callable[..., Any]]:
    """Makes browser profiles, each with a page of its own and nothing in common with the others.

    Messages on the console, scripts', the browser's or the content security policy's, fail the test. That a page has
    an error status is told there as well, and is for the test to judge; so is that a test clicked before autofocus.
    """
    complaints: list[str] = []
    contexts = []

    def on_console(message: Any) -> None:
        if not message.text.startswith(("Failed to load resource", "Autofocus processing was blocked")):
            complaints.append(message.text)

    def make(**options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def looked_at() -> Callable[[Any, str], None]:
    """Has a page judged by axe-core, and takes its picture where TEST_SCREENSHOTS names a folder."""
    from axe_playwright_python.sync_playwright import Axe

    def look(page: Any, name: str) -> None:
        if folder := os.environ.get("TEST_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == [], name

    return look
