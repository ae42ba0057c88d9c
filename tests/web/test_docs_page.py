"""The reference in a real browser: tabs whose choice is remembered, code to copy, every width, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.running import RunningServer

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]
HEIGHT = 900


def opened(profile: Profile, server: RunningServer, **options: Any) -> Any:
    page = profile(**options)
    page.goto(f"{server.url}/docs")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1360])
def test_it_fits_and_can_be_read(
    server: RunningServer, profile: Profile, looked_at: Look, width: int, scheme: str
) -> None:
    page = opened(profile, server, viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.get_by_role("tab").count() == 9
    looked_at(page, f"docs-{width}-{scheme}")


def test_a_language_is_chosen_by_click_or_key_and_remembered(server: RunningServer, profile: Profile) -> None:
    page = opened(profile, server)
    assert page.locator("[role=tabpanel]:visible").count() == 1
    page.get_by_role("tab", name="Python").click()
    assert page.locator("[role=tabpanel]:visible").inner_text().startswith("import os")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="PHP").get_attribute("aria-selected") == "true"
    page.reload()
    assert page.get_by_role("tab", name="PHP").get_attribute("aria-selected") == "true"
    assert "<?php" in page.locator("[role=tabpanel]:visible").inner_text()


def test_an_address_that_ends_with_a_language_shows_it(server: RunningServer, profile: Profile) -> None:
    page = profile()
    page.goto(f"{server.url}/docs#ruby")
    assert page.get_by_role("tab", name="Ruby").get_attribute("aria-selected") == "true"


def test_code_is_copied_as_it_stands(server: RunningServer, profile: Profile) -> None:
    page = opened(profile, server, permissions=["clipboard-read", "clipboard-write"])
    page.locator("[role=tabpanel]:visible").get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("[role=tabpanel]:visible pre").text_content()


def test_the_section_one_reads_is_marked(server: RunningServer, profile: Profile) -> None:
    page = opened(profile, server, viewport={"width": 1360, "height": HEIGHT})
    page.get_by_role("navigation").get_by_role("link", name="Folders", exact=True).click()
    page.locator("nav a[aria-current]", has_text="Folders").wait_for()
    assert page.url.endswith("#folders")


def test_without_a_script_all_languages_stand_there(server: RunningServer, profile: Profile) -> None:
    page = opened(profile, server, java_script_enabled=False)
    assert page.locator("section h4:visible").count() == 9
    assert page.locator("section pre:visible").count() == 9
