"""The second origin: ungated pictures alone, and no page, no cookie, nothing gated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from handlers.routes import ROUTES
from tests import pictures
from tests.agents import Agent
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.surfaces.test_web_attacks import address

FILES = "http://files.test:8080"
NAME = urlsplit(FILES).netloc


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(
        tmp_path_factory.mktemp("data"),
        server={"files_url": FILES},
        limits={"api_per_minute": 0, "mcp_per_minute": 0},
        imaging={"workers": 1},
    ) as server:
        yield server


@pytest.fixture
def as_described() -> None:
    """The description is about the first origin: what it describes is not found on the second."""


def at_files(server: RunningServer, url: str, method: str = "GET", **headers: str) -> requests.Response:
    path = urlsplit(url).path
    return requests.request(
        method, server.url + path, headers={"Host": NAME, **headers}, allow_redirects=False, timeout=DEADLINE
    )


def test_links_to_ungated_pictures_lead_there_and_those_to_gated_ones_stay(server: RunningServer) -> None:
    key = server.new_key("pro")
    opened = server.upload(key, pictures.jpeg()).json()
    locked = server.upload(key, pictures.jpeg(), password="pw").json()
    assert opened["direct_url"] == f"{FILES}/f/{opened['slug']}.jpg"
    assert opened["direct_url"] in opened["embed"]["html"]
    assert opened["share_url"].startswith(server.url)
    assert opened["delete_url"].startswith(server.url)
    assert locked["direct_url"].startswith(server.url)
    listed = server.get("/api/images", key).json()["images"]
    assert {image["direct_url"] for image in listed} == {opened["direct_url"], locked["direct_url"]}
    found = Agent(server, key).done("get_image", slug=opened["slug"])
    assert found["direct_url"] == opened["direct_url"]
    page = server.get(opened["share_url"])
    assert f'<img src="{opened["direct_url"]}"' in page.text
    assert f"img-src 'self' {FILES};" in page.headers["Content-Security-Policy"]


def test_that_origin_has_ungated_pictures_and_nothing_else(server: RunningServer) -> None:
    key = server.new_key("pro")
    opened = server.upload(key, pictures.jpeg()).json()
    assert at_files(server, opened["direct_url"]).status_code == 200
    assert at_files(server, opened["direct_url"], "HEAD").status_code == 200
    for fields in ({"password": "pw"}, {"expiration": "burn"}):
        gated = server.upload(key, pictures.jpeg(), **fields).json()
        for headers in ({}, {"X-Image-Password": "pw"}, bearer(key)):
            assert at_files(server, gated["direct_url"], **headers).status_code == 404
    for route in ROUTES:
        if not route.has_files:
            for method in route.methods:
                answer = at_files(server, address(route.pattern), method, **bearer(key))
                refused_by_rpc = route.name == "mcp" and method == "POST"  # 200, by the protocol
                assert answer.json()["error"] if refused_by_rpc else answer.status_code == 404, route.pattern
                assert "Set-Cookie" not in answer.headers
    assert at_files(server, "/nothing").status_code == 404


def test_the_gallery_finds_its_thumbnails_on_either_origin(server: RunningServer) -> None:
    key = server.new_key("pro")
    opened = server.upload(key, pictures.jpeg()).json()["slug"]
    locked = server.upload(key, pictures.jpeg(), password="pw").json()["slug"]
    assert at_files(server, f"/t/{opened}.webp").headers["Content-Type"] == "image/webp"
    assert at_files(server, f"/t/{locked}.webp", **bearer(key)).status_code == 404
    assert server.get(f"/t/{locked}.webp", key).status_code == 200


def test_a_proxy_may_tell_the_name(server: RunningServer) -> None:
    headers = {"X-Forwarded-Host": NAME.upper()}
    assert requests.get(f"{server.url}/login", headers=headers, timeout=DEADLINE).status_code == 404
    assert requests.get(f"{server.url}/login", timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize("url", ["https://files.test", "https://files.test:443"])
def test_its_usual_port_may_be_named_or_not(tmp_path: Path, url: str) -> None:
    with running(tmp_path, server={"files_url": url}, imaging={"workers": 1}) as server:
        for name, status in (("files.test", 404), ("FILES.test:443", 404), ("files.test:8443", 200)):
            assert requests.get(f"{server.url}/login", headers={"Host": name}, timeout=DEADLINE).status_code == status
