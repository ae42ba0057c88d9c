"""Pages of other origins: what they may send, and which answers they may read, refusals as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import pictures
from tests.agents import Agent
from tests.running import DEADLINE, RunningServer, bearer, running

APP = "https://app.example"
PICTURE = pictures.jpeg()
EXPOSED = {
    *("Idempotent-Replay", "RateLimit", "RateLimit-Policy", "X-Quota-Used", "X-Quota-Limit", "X-Quota-Remaining"),
    *("X-Request-Id", "Retry-After", "Link"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


def ask(server: RunningServer, method: str, path: str, key: str = "", origin: str = APP, **headers: str) -> Any:
    url = path if path.startswith("http") else server.url + path
    sent = {"Origin": origin, **(bearer(key) if key else {}), **headers}
    return requests.request(method, url, headers=sent, allow_redirects=False, timeout=DEADLINE)


def preflight(server: RunningServer, path: str, headers: str, method: str = "POST", origin: str = APP) -> Any:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return ask(server, "OPTIONS", path, origin=origin, **asked)


def allowed(response: Any) -> set[str]:
    return set(response.headers["Access-Control-Allow-Headers"].lower().split(", "))


def is_open(response: Any) -> bool:
    """Whether a page of any origin may read an answer; never with credentials."""
    assert "Access-Control-Allow-Credentials" not in response.headers
    return response.headers.get("Access-Control-Allow-Origin") == "*"


# /api


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,cache-control,x-requested-with",
        "authorization, content-type, traceparent, tracestate, baggage, sentry-trace",
        "x-datadog-trace-id,x-b3-traceid,x_under.score",
        "idempotency-key",
    ],
)
@pytest.mark.parametrize("path", ["/api/upload", "/api/images/slugslug", "/api/nothing", "/f/slugslug.jpg"])
def test_a_preflight_allows_the_headers_that_are_asked_for(server: RunningServer, path: str, headers: str) -> None:
    response = preflight(server, path, headers)
    assert response.status_code == 204
    assert is_open(response)
    assert allowed(response) == {name.strip() for name in headers.split(",")}


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ('good,b ad,a:b,(x),"q",,x\u00e9,also-good', {"good", "also-good"}),
        ("a" * 257 + ",short", {"short"}),
        ("x-a," + "y" * 10_000, {"x-a"}),
        (",".join(["x-header"] * 1500), {"x-header"}),
    ],
)
def test_only_names_of_headers_come_back_and_not_without_end(
    server: RunningServer, asked: str, answered: set[str]
) -> None:
    response = preflight(server, "/api/upload", asked)
    assert response.status_code == 204
    assert len(response.headers["Access-Control-Allow-Headers"]) < 4096
    assert allowed(response) == answered


def test_who_asks_for_no_headers_is_told_the_usual_ones(server: RunningServer) -> None:
    for path in ("/api/upload", "/f/slugslug.jpg"):
        assert {"authorization", "idempotency-key", "x-image-password"} <= allowed(ask(server, "OPTIONS", path))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_allows_every_method_so_that_a_405_can_be_read(server: RunningServer, method: str) -> None:
    assert method in preflight(server, "/api/quota", "", method).headers["Access-Control-Allow-Methods"].split(", ")


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("GET", "/api/quota", "right", 200),
        ("GET", "/api/quota", "wrong", 401),
        ("GET", "/api/quota", "", 401),
        ("POST", "/api/upload", "right", 400),
        ("PUT", "/api/quota", "right", 405),
        ("BREW", "/api/quota", "right", 501),
        ("GET", "/api/images/slugslug", "right", 404),
        ("GET", "/api/images?limit=0", "right", 400),
        ("GET", "/api/nothing", "", 404),
        ("POST", "/api/nothing/at/all", "right", 404),
        ("OPTIONS", "/api/nothing", "", 404),
        ("GET", "/api", "", 200),
    ],
)
def test_every_answer_below_api_can_be_read(
    server: RunningServer, method: str, path: str, key: str, status: int
) -> None:
    response = ask(server, method, path, server.new_key() if key == "right" else key)
    assert response.status_code == status
    assert is_open(response)
    assert set(response.headers["Access-Control-Expose-Headers"].split(", ")) >= EXPOSED


def test_an_upload_is_read_by_the_page_that_sent_it(server: RunningServer) -> None:
    key = server.new_key()
    for replayed in (None, "true"):
        headers = {**bearer(key), "Origin": APP, "Idempotency-Key": "1", "X-Requested-With": "XMLHttpRequest"}
        files = {"file": ("a.jpg", PICTURE)}
        response = requests.post(f"{server.url}/api/upload", files=files, headers=headers, timeout=DEADLINE)
        assert is_open(response)
        assert response.headers.get("Idempotent-Replay") == replayed


def test_what_is_refused_before_it_is_parsed_can_be_read(tmp_path: Path) -> None:
    with (
        running(tmp_path, server={"max_connections": 1}, imaging={"workers": 1}) as server,
        requests.Session() as first,
    ):
        assert first.get(f"{server.url}/healthz", timeout=DEADLINE).status_code == 200
        response = ask(server, "POST", "/api/upload")
        assert response.status_code == 503
        assert is_open(response)
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", ["/i/slugslug", "/nothing", "/apis", "/d/slugslug/" + "0" * 32, "/healthz"])
def test_what_is_not_for_pages_of_other_origins(server: RunningServer, path: str) -> None:
    for response in (ask(server, "GET", path), preflight(server, path, "x-a")):
        assert "Access-Control-Allow-Origin" not in response.headers
    assert response.status_code in (404, 405)


# /f


@pytest.fixture(scope="module")
def link(server: RunningServer) -> str:
    url: str = server.upload(server.new_key(), PICTURE).json()["direct_url"]
    return url


def test_a_picture_can_be_read_however_it_is_asked_for(server: RunningServer, link: str) -> None:
    whole = ask(server, "GET", link)
    tag = whole.headers["ETag"]
    cases = {
        200: whole,
        206: ask(server, "GET", link, Range="bytes=0-9"),
        304: ask(server, "GET", link, **{"If-None-Match": tag}),
        416: ask(server, "GET", link, Range="bytes=99999999-"),
        404: ask(server, "GET", link.replace(".jpg", ".png")),
        405: ask(server, "DELETE", link),
    }
    for status, response in {**cases, 200: ask(server, "HEAD", link)}.items():
        assert response.status_code == status
        assert is_open(response), status
    assert is_open(whole)
    assert is_open(ask(server, "GET", link.replace(".jpg", ".JPG")))
    exposed = set(whole.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Content-Range", "Accept-Ranges", "Content-Disposition"} <= exposed


def test_a_picture_with_a_password_is_given_to_the_page_that_sends_it(server: RunningServer) -> None:
    link = server.upload(server.new_key(), PICTURE, password="swordfish").json()["direct_url"]
    assert allowed(preflight(server, link, "x-image-password", "GET")) == {"x-image-password"}
    locked = ask(server, "GET", link)
    assert (locked.status_code, locked.json()["code"], is_open(locked)) == (401, "password_required", True)
    wrong = ask(server, "GET", link, **{"X-Image-Password": "sword"})
    assert (wrong.status_code, wrong.json()["code"], is_open(wrong)) == (401, "wrong_password", True)
    right = ask(server, "GET", link, **{"X-Image-Password": "swordfish"})
    assert (right.status_code, is_open(right)) == (200, True)
    assert right.content == server.get(link, **{"X-Image-Password": "swordfish"}).content


def test_a_preflight_uses_nothing_up(server: RunningServer) -> None:
    """A page that spends the only view gets the picture for it."""
    link = server.upload(server.new_key("pro"), PICTURE, expiration="burn").json()["direct_url"]
    assert preflight(server, link, "x-anything", "GET").status_code == 204
    seen = ask(server, "GET", link)
    assert (seen.status_code, is_open(seen)) == (200, True)
    assert ask(server, "GET", link).status_code == 404


def test_a_page_that_has_an_upload_link_may_send_the_picture(server: RunningServer) -> None:
    url = Agent(server, server.new_key()).done("create_upload_ticket")["upload_url"]
    assert allowed(preflight(server, url, "x-requested-with", "PUT")) == {"x-requested-with"}
    sent = requests.put(f"{url}/a.jpg", data=PICTURE, headers={"Origin": APP}, timeout=DEADLINE)
    assert (sent.status_code, is_open(sent)) == (200, True)


# /mcp


def mcp(server: RunningServer, origin: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    return requests.post(f"{server.url}/mcp", json=body, headers={"Origin": origin}, timeout=DEADLINE)


def test_mcp_is_open_to_the_origins_that_it_welcomes(server: RunningServer) -> None:
    for origin in ("http://localhost:6274", "http://127.0.0.1:1", server.url):
        for response in (mcp(server, origin), preflight(server, "/mcp", "mcp-protocol-version,x-a", origin=origin)):
            assert response.status_code in (200, 204)
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert response.headers["Vary"] == "Origin"
            assert "WWW-Authenticate" in response.headers["Access-Control-Expose-Headers"]
        assert allowed(response) == {"mcp-protocol-version", "x-a"}


def test_mcp_is_closed_to_all_others(server: RunningServer) -> None:
    ambiguous = ("http://local\thost", "http://localhost\u00e9", "http://evil\\@localhost", "http://localhost#@evil")
    for origin in (APP, "null", "http://localhost.evil.example", "http://x@localhost", "//localhost", *ambiguous):
        for response in (mcp(server, origin), preflight(server, "/mcp", "x-a", origin=origin)):
            assert response.status_code == 403
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Vary"] == "Origin"


def test_mcp_is_open_to_whom_the_settings_name(tmp_path: Path) -> None:
    for named, origin in (((APP,), APP), (("*",), APP), (("*",), "null")):
        with running(tmp_path, imaging={"workers": 1}, server={"mcp_origins": named}) as server:
            assert mcp(server, origin).headers["Access-Control-Allow-Origin"] == origin


def test_errors_of_mcp_can_be_read_by_whom_it_welcomes(server: RunningServer) -> None:
    headers = {"Origin": "http://localhost:1", **bearer("iu_live_wrong")}
    for method, status in (("POST", 401), ("PUT", 405)):
        response = requests.request(method, f"{server.url}/mcp", headers=headers, data="{}", timeout=DEADLINE)
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:1"
