"""GET and HEAD /f: an image's bytes as browsers, caches and curious people ask for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
import requests

from handlers.http.connections.connection import Connection
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, eventually

BIG = pictures.png(pictures.noise(700, 500))  # a megabyte: more than one chunk


@pytest.fixture(scope="module")
def link(server: RunningServer) -> str:
    url: str = server.upload(server.new_key("pro"), BIG, "großes bild.png").json()["direct_url"]
    return url


def test_the_bytes_come_with_headers_that_make_them_harmless(server: RunningServer, link: str) -> None:
    response = server.get(link)
    assert response.status_code == 200
    assert response.content == BIG
    expected = {
        "Content-Type": "image/png",
        "Content-Length": str(len(BIG)),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Robots-Tag": "noindex",
        "Referrer-Policy": "no-referrer",
        "Accept-Ranges": "bytes",
        "Cache-Control": "public, max-age=3600",
        "Content-Disposition": "inline; filename=\"gro_es bild.png\"; filename*=UTF-8''gro%C3%9Fes%20bild.png",
    }
    assert {name: response.headers[name] for name in expected} == expected


def test_head_tells_the_same_without_the_bytes(server: RunningServer, link: str) -> None:
    get, head = server.get(link), requests.head(link, timeout=DEADLINE)
    ignored = {"Date", "X-Request-Id"}
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in get.headers.items() if k not in ignored
    }
    assert head.content == b""
    part = requests.head(link, headers={"Range": "bytes=0-9"}, timeout=DEADLINE)
    assert (part.status_code, part.headers["Content-Length"]) == (200, str(len(BIG)))


def test_a_public_picture_is_shown_whatever_key_is_sent(server: RunningServer, link: str) -> None:
    assert server.get(link, "iu_live_outdated").status_code == 200
    assert server.get(link, Authorization="Basic dXNlcjpwYXNz").status_code == 200


def test_who_has_the_bytes_already_is_told_so(server: RunningServer, link: str) -> None:
    tag = server.get(link).headers["ETag"]
    assert tag.startswith('"')
    again = server.get(link, **{"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert server.get(link, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=300000-700000", 300_000, 700_001),
        ("bytes=5-", 5, len(BIG)),
        ("bytes=-7", len(BIG) - 7, len(BIG)),
        (f"bytes=-{len(BIG) * 2}", 0, len(BIG)),
        (f"bytes=9-{len(BIG) * 2}", 9, len(BIG)),
    ],
)
def test_one_range_is_answered_with_that_part(
    server: RunningServer, link: str, asked: str, start: int, stop: int
) -> None:
    response = server.get(link, Range=asked)
    assert response.status_code == 206
    assert response.content == BIG[start:stop]
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(BIG)}"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"])
def test_a_range_that_is_not_understood_is_not_there(server: RunningServer, link: str, asked: str) -> None:
    response = server.get(link, Range=asked)
    assert (response.status_code, len(response.content)) == (200, len(BIG))


@pytest.mark.parametrize("asked", [f"bytes={len(BIG)}-", "bytes=-0", "bytes=99999999999-"])
def test_a_range_beyond_the_end_cannot_be_satisfied(server: RunningServer, link: str, asked: str) -> None:
    response = server.get(link, Range=asked)
    assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{len(BIG)}")


def test_a_range_of_another_version_is_answered_with_the_whole(server: RunningServer, link: str) -> None:
    tag = server.get(link).headers["ETag"]
    assert server.get(link, Range="bytes=0-1", **{"If-Range": tag}).status_code == 206
    assert server.get(link, Range="bytes=0-1", **{"If-Range": '"other"'}).status_code == 200


def test_what_is_not_there_is_404(server: RunningServer, link: str) -> None:
    slug = link.rpartition("/")[2].partition(".")[0]
    for path in (f"/f/{slug}.jpg", f"/f/{slug}", "/f/nosuchim.png", f"/f/../f/{slug}.png%00", "/f/", "/f/%2e%2e.png"):
        assert server.get(path).status_code == 404, path


def test_an_image_is_gone_at_its_second_and_caches_keep_it_no_longer(server: RunningServer) -> None:
    answer = server.upload(server.new_key(), pictures.jpeg(), expiration="1d").json()
    try:
        server.clock.set(answer["expires_at"] - 100)
        assert server.get(answer["direct_url"]).headers["Cache-Control"] in (
            "public, max-age=99",
            "public, max-age=100",
        )
        server.clock.set(answer["expires_at"])
        assert server.get(answer["direct_url"]).status_code == 404
    finally:
        server.clock.offset = 0


def test_a_reader_who_leaves_early_harms_nobody(server: RunningServer, link: str) -> None:
    for _ in range(5):
        with requests.get(link, stream=True, timeout=DEADLINE) as response:
            next(response.iter_content(100))
    assert server.get(link).content == BIG


def test_a_write_that_fails_ends_its_request_and_is_no_bug(
    server: RunningServer, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a reader leaves: the transport closes first, and the connection is told only then."""
    write = Connection.write

    def failing(connection: Connection, parts: Sequence[bytes]) -> asyncio.Future[None]:
        connection.abort()
        return write(connection, parts)

    monkeypatch.setattr(Connection, "write", failing)
    with socket.create_connection(server.address, DEADLINE) as reader, contextlib.suppress(ConnectionResetError):
        reader.sendall(f"GET {urlsplit(link).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert reader.recv(1) == b""
    eventually(lambda: not server.server._services.active._requests)


def test_a_reader_who_takes_nothing_for_long_loses_the_connection(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.http.connections.connection.TAKEN_SECONDS", 0.2)
    larger_than_buffers = pictures.png(pictures.noise(2400, 2000), compress_level=0)
    url = server.upload(server.new_key("pro"), larger_than_buffers).json()["direct_url"]
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(DEADLINE)
        reader.connect(server.address)
        reader.sendall(f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        eventually(lambda: not server.server._services.active._requests)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while portion := reader.recv(1 << 20):
                taken += len(portion)
    assert taken < len(larger_than_buffers)


def test_a_slow_reader_who_goes_on_taking_gets_all(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the kernel's buffer, which reports no room until a third of it is free."""
    monkeypatch.setattr("handlers.http.connections.connection.TAKEN_SECONDS", 0.2)
    larger_than_buffers = pictures.png(pictures.noise(2400, 2000), compress_level=0)
    answer = server.upload(server.new_key("pro"), larger_than_buffers).json()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        reader.settimeout(DEADLINE)
        reader.connect(server.address)
        reader.sendall(f"GET {urlsplit(answer['direct_url']).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        began, taken = time.monotonic(), 0
        while server.server._services.active._requests or not taken:
            taken += len(reader.recv(32768))
            slow = began + taken / 1_500_000 - time.monotonic()
            if time.monotonic() < began + 2:
                time.sleep(max(0.0, slow))
        while taken < answer["size"] and (portion := reader.recv(1 << 20)):
            taken += len(portion)
    assert taken >= answer["size"]


def test_the_quota_is_told(server: RunningServer) -> None:
    key = server.new_key()
    size = server.upload(key, pictures.jpeg()).json()["size"]
    response = server.get("/api/quota", key)
    told = response.json()
    assert told.pop("resets_at") > server.clock()
    assert told == {
        "used": 1,
        "limit": 10,
        "remaining": 9,
        "plan": "free",
        "unlimited": False,
        "storage": {"used": size, "limit": 500 * 1024 * 1024},
    }
    assert response.headers["X-Quota-Remaining"] == "9"
    assert server.get("/api/quota").status_code == 401


def test_the_server_says_that_it_lives(server: RunningServer) -> None:
    assert server.get("/healthz").json() == {"ok": True}


def test_what_has_no_route_or_no_such_method_is_told_in_json(server: RunningServer) -> None:
    nothing = server.get("/api/nothing")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
    for method, path, allowed in (
        ("GET", "/api/upload", "OPTIONS, POST"),
        ("POST", "/api/quota", "GET, OPTIONS"),
        ("DELETE", "/f/aaaaaaaa.png", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ):
        refused = requests.request(method, server.url + path, headers=bearer(server.new_key()), timeout=DEADLINE)
        assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed"), path
        assert refused.headers["Allow"] == allowed
