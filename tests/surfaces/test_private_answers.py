"""Answers of the API are their caller's alone: no cache on the way may give them to somebody else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import pictures
from tests.agents import LEGACY, MODERN, Agent
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.surfaces.test_idempotency import upload

Ask = Callable[[RunningServer, str], requests.Response]


def ask(method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> Ask:
    """A request with a right key."""
    return lambda server, key: requests.request(
        method, server.url + path, headers={**bearer(key), **(headers or {})}, timeout=DEADLINE, **body
    )


def without_key(method: str, path: str) -> Ask:
    return lambda server, _: requests.request(method, server.url + path, timeout=DEADLINE)


def conflict(server: RunningServer, key: str) -> requests.Response:
    upload(server.url, key, "one")
    return upload(server.url, key, "one", name="other.jpg")


def stored(server: RunningServer, key: str) -> requests.Response:
    return server.upload(key, pictures.jpeg())


def bare_url(server: RunningServer, key: str) -> requests.Response:
    files = {"file": ("a.jpg", pictures.jpeg())}
    headers = {**bearer(key), "Accept": "text/plain"}
    return requests.post(f"{server.url}/api/upload", headers=headers, files=files, timeout=DEADLINE)


def own(method: str) -> Ask:
    """A request about an image of one's own."""
    return lambda server, key: ask(method, f"/api/images/{stored(server, key).json()['slug']}")(server, key)


def too_many(server: RunningServer, key: str) -> requests.Response:
    return [server.get("/api/quota", key) for _ in range(31)][-1]


ANSWERS: dict[str, tuple[Ask, int]] = {
    "stored": (stored, 200),
    "stored, as text": (bare_url, 200),
    "no picture": (lambda server, key: server.upload(key, b"no picture"), 415),
    "no form": (ask("POST", "/api/upload", data=b"x"), 400),
    "conflict": (conflict, 409),
    "list": (ask("GET", "/api/images"), 200),
    "bad page": (ask("GET", "/api/images?limit=0"), 400),
    "image": (own("GET"), 200),
    "deletion": (own("DELETE"), 200),
    "no image": (ask("GET", "/api/images/nosuchim"), 404),
    "folders": (ask("GET", "/api/folders"), 200),
    "new folder": (ask("POST", "/api/folders", json={"name": "Cats"}), 200),
    "quota": (ask("GET", "/api/quota"), 200),
    "too many": (too_many, 429),
    "no key": (without_key("GET", "/api/images"), 401),
    "wrong key": (ask("GET", "/api/images", headers=bearer("iu_live_wrong")), 401),
    "wrong method": (ask("PATCH", "/api/quota"), 405),
    "preflight": (without_key("OPTIONS", "/api/images"), 204),
    "nothing there": (ask("GET", "/api/nothing"), 404),
    "nothing there to send to": (ask("POST", "/api/nothing/at/all", data=b"x" * 1000), 404),
    "body too large": (ask("POST", "/api/folders", data=b"x" * 100_000), 413),
    "about mcp": (without_key("GET", "/mcp"), 200),
    "no stream": (ask("GET", "/mcp", headers={"Accept": "text/event-stream"}), 405),
    "mcp preflight": (without_key("OPTIONS", "/mcp"), 204),
    "notification": (ask("POST", "/mcp", json={"jsonrpc": "2.0", "method": "x"}), 202),
    "no json": (ask("POST", "/mcp", data=b"x"), 400),
    "strange page": (ask("POST", "/mcp", json={}, headers={"Origin": "https://evil.example"}), 403),
    "tools": (lambda server, key: Agent(server, key).post("tools/list"), 200),
    "modern tools": (lambda server, key: Agent(server, key, MODERN).post("tools/list"), 200),
    "unknown modern method": (lambda server, key: Agent(server, key, MODERN).post("nothing"), 404),
    "tool": (lambda server, key: Agent(server, key).call("list_images"), 200),
    "tool error": (lambda server, key: Agent(server, key).call("get_image", slug="nosuchim"), 200),
    "tool without a key": (lambda server, _: Agent(server, None, LEGACY).call("list_images"), 401),
    "beside mcp": (ask("GET", "/mcp/.well-known/nothing"), 404),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("data")
    with running(folder, imaging={"workers": 1}, limits={"api_per_minute": 30, "mcp_per_minute": 0}) as server:
        yield server


@pytest.mark.parametrize("name", ANSWERS)
def test_no_cache_keeps_an_answer_of_the_api(server: RunningServer, name: str) -> None:
    asked, status = ANSWERS[name]
    server.clock.advance(60)  # calls without a key are counted by address
    answer = asked(server, server.new_key())
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_nor_one_that_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with running(tmp_path, server={"max_connections": 1}, imaging={"workers": 1}) as server:
        first, second = (socket.create_connection(server.address, timeout=DEADLINE) for _ in range(2))
        with first, second:
            head = second.makefile("rb").read()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nCache-Control: private, no-store\r\n" in head
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
