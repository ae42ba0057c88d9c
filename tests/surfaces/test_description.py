"""What a server tells about itself: /openapi.json, /api, /docs, and problem details."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from iuserver.settings import Settings
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, changed, running

LINKS = '</docs>; rel="service-doc", </openapi.json>; rel="service-desc"'
PROBLEM = "application/problem+json"
NAMELESS = {"X-Forwarded-Proto": "gopher"}
"""What a proxy of ours says, so that links have nothing to begin with."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(
        tmp_path_factory.mktemp("data"),
        imaging={"workers": 1, "max_frames": 77},
        limits={"api_per_minute": 0, "mcp_per_minute": 99},
        plans={"free": {"max_file_mb": 3, "uploads_per_month": 4711}},
    ) as server:
        yield server


def test_the_description_names_this_server_and_is_asked_for_again_only_when_it_has_changed(
    server: RunningServer,
) -> None:
    first = server.get("/openapi.json")
    assert first.json()["openapi"] == "3.1.0"
    assert first.json()["servers"] == [{"url": server.url}]
    assert "address.invalid" not in first.text
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    again = server.get("/openapi.json", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = server.get("/openapi.json", Host="elsewhere.example", **{"If-None-Match": first.headers["ETag"]})
    assert other.json()["servers"] == [{"url": "http://elsewhere.example"}]


def test_below_a_path_everything_is_named_with_it(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}, server={"public_url": "https://a.example/images"}) as server:
        assert server.get("/openapi.json").json()["servers"] == [{"url": "https://a.example/images"}]
        assert server.get("/api").headers["Link"] == LINKS.replace("</", "</images/")
        assert "https://a.example/images/api/upload" in server.get("/docs").text
        problem = server.get("/api/quota", Accept=PROBLEM).json()
        assert problem["type"] == "https://a.example/images/docs#missing_key"


def test_who_knows_the_address_alone_finds_the_documentation(server: RunningServer) -> None:
    answer = server.get("/api")
    assert answer.headers["Link"] == LINKS == server.get("/").headers["Link"]
    for address in answer.json().values():
        assert server.get(address).status_code == 200


@pytest.mark.parametrize("address", ["/docs", "/openapi.json", "/api"])
def test_an_address_that_is_none_is_refused_and_the_refusal_not_kept(server: RunningServer, address: str) -> None:
    answer = server.get(address, **NAMELESS)
    assert answer.status_code == 400
    assert "public" not in answer.headers["Cache-Control"]


# Problem details.


def test_a_refusal_is_a_problem_for_who_asks_with_the_same_words(server: RunningServer) -> None:
    plain = server.get("/api/images/nowhere1", server.new_key())
    problem = requests.get(
        f"{server.url}/api/images/nowhere1", headers={**bearer(server.new_key()), "Accept": PROBLEM}, timeout=DEADLINE
    )
    assert problem.headers["Content-Type"] == PROBLEM
    assert problem.status_code == plain.status_code == 404
    assert problem.json() == {
        "type": f"{server.url}/docs#not_found",
        "title": "there is nothing here, or not for you",
        "status": 404,
        "detail": plain.json()["error"],
        "code": plain.json()["code"],
    }
    assert f'id="{problem.json()["code"]}"' in server.get("/docs").text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json, Application/Problem+JSON;q=0.5", PROBLEM),
        ("application/problem+json;q=0, */*", "application/json; charset=utf-8"),
        ("application/problem+json; q=0.000", "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        ("text/application/problem+json", "application/json; charset=utf-8"),
    ],
)
def test_only_who_asks_gets_a_problem(server: RunningServer, accept: str, expected: str) -> None:
    for path in ("/api/quota", "/f/nowhere1.jpg", "/u/tk_nowhere"):
        assert server.get(path, Accept=accept).headers["Content-Type"] == expected


def test_a_month_that_is_used_up_is_a_problem_with_its_quota(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}, plans={"free": {"uploads_per_month": 1}}) as server:
        key = server.new_key()
        assert server.upload(key, pictures.jpeg()).status_code == 200
        refused = requests.post(
            f"{server.url}/api/upload",
            headers={**bearer(key), "Accept": PROBLEM},
            files={"file": ("a.jpg", pictures.jpeg())},
            timeout=DEADLINE,
        )
        assert refused.json()["code"] == "quota_exceeded"
        assert refused.json()["quota"]["remaining"] == 0
        assert refused.json()["detail"] == "Monthly API upload quota exceeded"


def test_an_address_that_is_none_makes_a_problem_without_a_type_of_its_own(server: RunningServer) -> None:
    problem = server.get("/api", Accept=PROBLEM, **NAMELESS).json()
    assert (problem["type"], problem["title"]) == ("about:blank", "Bad Request")


# The reference.


def test_the_reference_tells_the_limits_in_force_and_this_servers_address(server: RunningServer) -> None:
    page = server.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    cells = re.findall(r"<t[dh]>(.*?)</t[dh]>", page.text)
    assert cells[cells.index("uploads a month") + 1] == "4711"
    assert cells[cells.index("largest file") + 1] == "3 MB"
    assert cells[cells.index("calls of REST a minute") + 1] == "unlimited"
    assert cells[cells.index("calls of agents a minute") + 1] == "99"
    assert "77 frames" in page.text
    assert "img.example.org" not in page.text
    assert page.text.count(server.url) > 50


def test_plans_that_are_changed_while_the_server_runs_are_told(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        assert "4713" not in server.get("/docs").text
        server.server.reload(changed(Settings(), {"plans": {"free": {"uploads_per_month": 4713}}}))
        assert "4713" in server.get("/docs").text


def test_every_heading_has_an_anchor_of_its_own_and_every_link_within_leads_to_one(server: RunningServer) -> None:
    page = server.get("/docs").text
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    for level, rest in re.findall(r"<h([1-4])(.*?)>", page):
        assert ' id="' in rest, (level, rest)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)
    assert ".md" not in page


def test_the_reference_is_small_with_all_that_it_needs(server: RunningServer) -> None:
    page = server.get("/docs")
    size = len(page.content)
    for address in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        size += len(server.get(f"/{unescape(address)}").content)
    assert size < 120_000


def test_it_needs_no_script(server: RunningServer) -> None:
    page = server.get("/docs").text
    for language in ("cURL", "Node", "Python", "PHP", "Ruby", "Go", "Rust", "Perl", "PowerShell"):
        assert f">{language}</a></h4>" in page
    assert not re.search(r"<[^>]+ hidden", page)
    assert "<script>" not in page
