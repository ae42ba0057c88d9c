"""The page of an upload ticket in a real browser: a picture is chosen, or dropped, and its link is there."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.agents import Agent
from tests.running import RunningServer, running

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]
DROP = """
([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture
def agent(server: RunningServer) -> Agent:
    return Agent(server, server.new_key("pro"))


@pytest.fixture
def ticket(agent: Agent) -> dict[str, Any]:
    return agent.done("create_upload_ticket")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chosen_picture_goes_at_once(
    agent: Agent, ticket: dict[str, Any], profile: Profile, looked_at: Look, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "beach.jpg").write_bytes(pictures.jpeg())
    page = profile(color_scheme=scheme, viewport={"width": 360, "height": 740})
    page.goto(ticket["upload_url"])
    looked_at(page, f"ticket-{scheme}")
    page.set_input_files("input[type=file]", tmp_path / "beach.jpg")
    link = page.locator("[role=status] a")
    link.wait_for()
    image = agent.done("get_image", slug=ticket["ticket"])
    assert link.get_attribute("href") == image["share_url"]
    assert image["filename"] == "beach.jpg"
    looked_at(page, f"ticket-{scheme}-done")
    link.click()
    page.wait_for_url(image["share_url"])


def test_a_picture_is_dropped(agent: Agent, ticket: dict[str, Any], profile: Profile) -> None:
    page = profile()
    page.goto(ticket["upload_url"])
    page.evaluate(DROP, [base64.b64encode(pictures.jpeg()).decode(), "dropped.jpg"])
    page.locator("[role=status] a").wait_for()
    assert agent.done("get_image", slug=ticket["ticket"])["filename"] == "dropped.jpg"


def test_what_is_refused_is_told_and_may_be_tried_again(
    agent: Agent, ticket: dict[str, Any], profile: Profile, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "beach.jpg").write_bytes(pictures.jpeg())
    page = profile()
    page.goto(ticket["upload_url"])
    page.set_input_files("input[type=file]", tmp_path / "text.jpg")
    page.get_by_text("Unsupported file type").wait_for()
    page.set_input_files("input[type=file]", tmp_path / "beach.jpg")
    page.locator("[role=status] a").wait_for()
    assert agent.done("get_quota")["used"] == 1


def test_without_scripts_there_is_a_form(
    agent: Agent, ticket: dict[str, Any], profile: Profile, tmp_path: Path
) -> None:
    (tmp_path / "beach.jpg").write_bytes(pictures.jpeg())
    page = profile(java_script_enabled=False)
    page.goto(ticket["upload_url"])
    page.set_input_files("input[type=file]", tmp_path / "beach.jpg")
    page.get_by_role("button", name="Upload").click()
    assert (
        page.get_by_role("link").first.get_attribute("href")
        == agent.done("get_image", slug=ticket["ticket"])["share_url"]
    )
    page.goto(ticket["upload_url"])
    assert "This upload link has been used." in page.content()
