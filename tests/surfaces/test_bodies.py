"""Bodies that no route asked for: the answer is read, in JSON, and the connection is not reset."""

from __future__ import annotations

import gzip

import pytest
import requests

from tests.agents import Agent
from tests.running import DEADLINE, RunningServer, bearer

LARGE = b"x" * (1 << 20)


def ask(server: RunningServer, method: str, path: str, body: bytes, key: str | None) -> requests.Response:
    headers = bearer(key) if key else {}
    return requests.request(method, server.url + path, data=body, headers=headers, timeout=DEADLINE)


@pytest.mark.parametrize("body", [b"x", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("path", ["/api/quota", "/api/images", "/f/slugslug.jpg", "/healthz"])
def test_a_method_that_is_not_allowed_is_told_so_whatever_its_body(
    server: RunningServer, path: str, body: bytes
) -> None:
    response = ask(server, "PATCH", path, body, server.new_key())
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "PATCH" not in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/quota", "/api/folders"])
def test_a_body_without_a_key_is_refused_for_the_key(server: RunningServer, path: str) -> None:
    response = ask(server, "GET", path, LARGE, None)
    assert (response.status_code, response.json()["code"]) == (401, "missing_key")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/folders"), ("GET", "/api/quota"), ("GET", "/f/slugslug.jpg"), ("GET", "/nowhere")],
)
def test_a_body_that_is_too_large_for_its_route_is_refused_for_its_size(
    server: RunningServer, method: str, path: str
) -> None:
    response = ask(server, method, path, LARGE, server.new_key())
    expected = (404, "not_found") if path == "/nowhere" else (413, "too_large")
    assert (response.status_code, response.json()["code"]) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/upload"),
        ("POST", "/api/folders"),
        ("GET", "/api/quota"),
        ("PUT", "{ticket}/a.jpg"),
        ("POST", "{ticket}"),
    ],
)
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate, gzip", "br"])
def test_a_compressed_body_is_refused_for_that(server: RunningServer, method: str, path: str, encoding: str) -> None:
    key = server.new_key()
    ticket = Agent(server, key).done("create_upload_ticket")["upload_url"].removeprefix(server.url)
    url = server.url + path.replace("{ticket}", ticket)
    headers = {**bearer(key), "Content-Encoding": encoding, "Content-Type": "multipart/form-data; boundary=b"}
    body = gzip.compress(b"--b--")
    response = requests.request(method, url, data=body, headers=headers, timeout=DEADLINE)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_type")
    assert "uncompressed" in response.json()["error"]
    assert response.headers["Accept-Encoding"] == "identity"
    assert server.server._services.uploads.queue.receiving == 0
    stranger = requests.request(method, url, data=body, headers={**headers, **bearer("x")}, timeout=DEADLINE)
    assert stranger.status_code == (401 if path.startswith("/api") else 415), "the key comes first"


def test_a_request_without_a_body_has_nothing_that_could_be_compressed(server: RunningServer) -> None:
    assert server.get("/api/quota", server.new_key(), **{"Content-Encoding": "gzip"}).status_code == 200


def test_a_small_body_that_nobody_reads_does_no_harm(server: RunningServer) -> None:
    response = ask(server, "GET", "/api/quota", b"hello", server.new_key())
    assert response.status_code == 200


def test_a_connection_goes_on_after_a_refused_body(server: RunningServer) -> None:
    with requests.Session() as session:
        session.headers.update(bearer(server.new_key()))
        for _ in range(3):
            refused = session.post(f"{server.url}/api/quota", data=LARGE, timeout=DEADLINE)
            assert refused.status_code == 405
            assert session.get(f"{server.url}/api/quota", timeout=DEADLINE).status_code == 200
