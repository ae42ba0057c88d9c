"""Heads of requests: bounded, refused with an answer, and not remembered."""

from __future__ import annotations

import gc
import json
import socket

import pytest

from handlers.http.connections.requests import HEAD_BYTES
from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, RunningServer, eventually

FITS = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: %s\r\n\r\n"


def to_the_end(server: RunningServer, *portions: bytes) -> tuple[bytes, bytes]:
    """The head and the body of what is answered until the server closes."""
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        for portion in portions:
            connection.sendall(portion)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        return head, body


def test_a_head_of_16_kb_is_taken(server: RunningServer) -> None:
    whole = FITS % (b"x" * (HEAD_BYTES - len(FITS % b"")))
    assert len(whole) == 16 * 1024
    assert to_the_end(server, whole)[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "portions",
    [
        (FITS % (b"x" * HEAD_BYTES),),
        (FITS % (b"x" * 100 * 1024),),
        (FITS % (b"x" * (8 << 20)),),
        (b"GET /" + b"x" * HEAD_BYTES,),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 3000, b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", FITS % (b"x" * HEAD_BYTES)),
    ],
    ids=["a little", "100 KB", "8 MB", "a path without an end", "many headers", "behind another"],
)
def test_a_larger_one_is_answered_431(server: RunningServer, log_guard: LogGuard, portions: tuple[bytes, ...]) -> None:
    log_guard.allow("^Unsatisfiable read, closing connection")
    head, body = to_the_end(server, *portions)
    if head.startswith(b"HTTP/1.1 200 "):  # the one before it
        head, _, body = body.partition(b"}")[2].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"\r\nX-Request-Id: " in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert json.loads(body)["code"] == "headers_too_large"
    eventually(lambda: not server.server._http._lingering)


def test_what_strangers_send_is_not_remembered(server: RunningServer) -> None:
    """No cache, ours or a library's, has a key of a client's length: nothing of a request is left when it has ended."""
    slug = server.upload(server.new_key(), pictures.jpeg(), expiration="burn").json()["slug"]
    marker = f"{id(server):x}" * 100
    names = ("User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Accept", "Accept-Language", "Cookie")
    names += ("Origin", "Authorization", "Idempotency-Key", "Content-Type", "Range", "If-None-Match", "Sec-Purpose")
    for path in (f"/f/{slug}.jpg", f"/i/{slug}", "/mcp", "/api/upload", "/u/tk_" + marker, f"/?{marker}"):
        for name in (*names, marker):
            head = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{name}: http://{marker}\r\n\r\n"
            assert to_the_end(server, head.encode())[0].startswith(b"HTTP/1.1 ")
    del head, name
    eventually(lambda: not found(marker))


def found(marker: str) -> list[str]:
    """The types of what holds a text with a marker in it, but for the marker itself."""
    gc.collect()
    return [
        str(type(holder))
        for holder in gc.get_objects()
        for text in gc.get_referents(holder)
        if type(text) is str and text is not marker and marker in text
    ]
