"""HTTP/1.1 on the wire, by raw sockets: half-closed connections, pipelining, closes, Expect, framing, targets.

RFC 9112 says how messages are framed and connections end, RFC 9110 what they mean. What must always hold: each request
is answered whole, or has done nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.imaging.pool import Pool
from tests import pictures
from tests.agents import Agent
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_upload import multipart, request_head

PICTURE = pictures.jpeg()
LOOK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SMALL = 46 * 1024
LARGE = 4 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection ends with it."""
        return self.headers.get("Connection", "").lower() == "close"

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["code"]
        return code


class Conversation:
    """A connection to the server, on which bytes are written and answers are read."""

    def __init__(self, server: RunningServer) -> None:
        self.socket = socket.create_connection(server.address, timeout=DEADLINE)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write all of it; a server that closes meanwhile is no error, as its answer tells."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave, so that the server's kernel knows of it at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole; 1xx are answers, too. Raises EOFError where the connection ends in its place."""
        line = self._file.readline()
        if not line:
            raise EOFError("the connection ended in place of an answer")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = http.client.parse_headers(self._file)
        return Answer(int(status), headers, self._body(int(status), headers, method))

    def _body(self, status: int, headers: http.client.HTTPMessage, method: str) -> bytes:
        if method == "HEAD" or status in (100, 204, 304):
            return b""
        if headers.get("Transfer-Encoding") == "chunked":
            return b"".join(self._chunks())
        body = self._file.read(int(headers["Content-Length"]))
        assert len(body) == int(headers["Content-Length"])
        return body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._file.readline(), 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()

    def rest(self) -> bytes:
        """Whatever comes until the server closes."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def is_open(self) -> bool:
        """Whether the server answers another request."""
        self.send(LOOK)
        try:
            return self.answer().status == 200
        except (EOFError, ConnectionError):
            return False


@pytest.fixture
def wire(server: RunningServer) -> Iterator[Conversation]:
    with Conversation(server) as conversation:
        yield conversation


def get(path: str, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()


def upload_of(key: str, data: bytes = PICTURE, **headers: str) -> bytes:
    body, content_type = multipart(data)
    return request_head(key, {**content_type, **headers}, len(body)) + body


def chunked_of(key: str, chunks: list[bytes], trailer: bytes = b"", extension: bytes = b"") -> bytes:
    """An upload in chunks."""
    head = request_head(key, multipart(b"")[1], 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    coded = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return head + coded + b"0" + extension + b"\r\n" + trailer + b"\r\n"


def tool_call(server: RunningServer, key: str) -> bytes:
    """An agent's upload."""
    agent = Agent(server, key)
    arguments = {"filename": "a.jpg", "mime": "image/jpeg", "data_base64": base64.b64encode(PICTURE).decode()}
    params = {"name": "upload_image", "arguments": arguments}
    body = json.dumps(agent.message("tools/call", params)).encode()
    accepted = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return request_head(key, {**agent.headers("tools/call", "upload_image"), **accepted}, len(body), "/mcp") + body


def ticket_path(server: RunningServer, key: str) -> str:
    """Where a picture can be sent without a key."""
    answer = Agent(server, key).call("create_upload_ticket").json()
    url: str = answer["result"]["structuredContent"]["upload_url"]
    return url.removeprefix(server.url)


def ticket_upload(server: RunningServer, key: str) -> bytes:
    head = f"PUT {ticket_path(server, key)}/a.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PICTURE)}\r\n\r\n"
    return head.encode() + PICTURE


def burn(server: RunningServer) -> dict[str, Any]:
    """A picture that may be seen once, and its owner's key."""
    key = server.new_key("pro")
    image: dict[str, Any] = server.upload(key, PICTURE, expiration="burn").json()
    return {**image, "key": key, "path": image["direct_url"].removeprefix(server.url)}


def views(server: RunningServer, image: dict[str, Any]) -> int:
    number: int = server.get(f"/api/images/{image['slug']}", image["key"]).json()["views"]
    return number


def used(server: RunningServer, key: str) -> int:
    """How many uploads of the month are charged."""
    number: int = server.get("/api/quota", key).json()["used"]
    return number


def stored(server: RunningServer, key: str) -> int:
    number: int = server.get("/api/images", key).json()["total"]
    return number


@contextlib.contextmanager
def busy(server: RunningServer) -> Iterator[None]:
    """Keep the server's loop from looking: what is sent meanwhile is there at once."""
    held, done = threading.Event(), threading.Event()

    async def hold() -> None:
        held.set()
        done.wait(DEADLINE)

    holding = asyncio.run_coroutine_threadsafe(hold(), server._loop)
    assert held.wait(DEADLINE)
    try:
        yield
    finally:
        done.set()
        holding.result(DEADLINE)


def wait_until_idle(server: RunningServer) -> None:
    """Wait until no upload is under way, answered or not."""
    queue = server.server._services.uploads.queue
    eventually(lambda: not (queue.receiving or queue.working or server.server._services.active._requests))


# An end of input


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/api/quota"])
def test_a_client_that_has_said_all_it_will_is_answered(server: RunningServer, wire: Conversation, path: str) -> None:
    with busy(server):
        wire.send(get(path))
        wire.half_close()
    assert wire.answer().status == {"/healthz": 200, "/nothing": 404, "/api/quota": 401}[path]
    assert wire.rest() == b"", "nothing more can come, so the server closes, too"


UPLOADS: dict[str, Callable[[RunningServer, str], bytes]] = {
    "upload": lambda server, key: upload_of(key),
    "in chunks": lambda server, key: chunked_of(key, [multipart(PICTURE)[0]]),
    "agent": tool_call,
    "ticket": ticket_upload,
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_an_upload_behind_which_the_input_ends_is_stored_charged_and_answered(
    server: RunningServer, wire: Conversation, kind: str
) -> None:
    key = server.new_key()
    request = UPLOADS[kind](server, key)
    with busy(server):
        wire.send(request)
        wire.half_close()
    assert wire.answer().status == 200
    assert (used(server, key), stored(server, key)) == (1, 1)


def test_a_view_behind_which_the_input_ends_is_counted_and_shown(server: RunningServer, wire: Conversation) -> None:
    image = burn(server)
    with busy(server):
        wire.send(get(image["path"]))
        wire.half_close()
    assert wire.answer().body == PICTURE
    assert views(server, image) == 1


def test_all_of_what_was_pipelined_before_the_end_is_answered(server: RunningServer, wire: Conversation) -> None:
    image, key = burn(server), server.new_key()
    with busy(server):
        wire.send(LOOK + upload_of(key) + get(image["path"]))
        wire.half_close()
    assert [wire.answer().status for _ in range(2)] == [200, 200]
    assert wire.answer().body == PICTURE
    assert wire.rest() == b""


def test_a_large_answer_to_a_half_closed_client_comes_whole(server: RunningServer, wire: Conversation) -> None:
    data = pictures.png(pictures.noise(1800, 1800))  # nine megabytes: more than a socket's buffers hold
    image = server.upload(server.new_key("pro"), data).json()
    with busy(server):
        wire.send(get(image["direct_url"].removeprefix(server.url)))
        wire.half_close()
    assert wire.answer().body == data


@pytest.mark.parametrize("kind", UPLOADS)
@pytest.mark.parametrize("missing", [1, 500])
def test_an_end_inside_an_upload_stores_and_charges_nothing(server: RunningServer, kind: str, missing: int) -> None:
    key = server.new_key()
    with Conversation(server) as wire:
        wire.send(UPLOADS[kind](server, key)[:-missing])
        wire.half_close()
        assert not wire.rest().startswith(b"HTTP/1.1 200")
    wait_until_idle(server)
    assert (used(server, key), stored(server, key)) == (0, 0)


def test_an_end_inside_a_head_uses_nothing_up(server: RunningServer, wire: Conversation) -> None:
    image = burn(server)
    wire.send(get(image["path"])[:-1])
    wire.half_close()
    assert not wire.rest().startswith(b"HTTP/1.1 200")
    assert views(server, image) == 0


# A client that is gone


class Gate:
    """Holds what runs on the server's loop until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        self.reached.set()
        await asyncio.to_thread(self._open.wait, DEADLINE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def leave(server: RunningServer, gate: Gate, request: bytes) -> None:
    """Ask for something, and be gone when the server comes to the gate."""
    wire = Conversation(server)
    wire.send(request)
    assert gate.reached.wait(DEADLINE)
    wire.reset()
    gate.open()
    wait_until_idle(server)


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_picture_whose_sender_is_gone_is_neither_stored_nor_charged(
    server: RunningServer, gate: Gate, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    submit = Pool.submit

    async def held(pool: Pool, *arguments: Any) -> Any:
        facts = await submit(pool, *arguments)
        await gate.wait()
        return facts

    key, blobs = server.new_key(), server.blobs()
    request = UPLOADS[kind](server, key)
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "submit", held)
        leave(server, gate, request)
    assert (used(server, key), stored(server, key)) == (0, 0)
    assert server.blobs() == blobs
    with Conversation(server) as again:
        again.send(request)
        assert again.answer().status == 200, "nothing of the first attempt is in the way"
    assert (used(server, key), stored(server, key)) == (1, 1)


def test_an_idempotency_key_whose_sender_is_gone_is_free(
    server: RunningServer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Pool.submit

    async def held(pool: Pool, *arguments: Any) -> Any:
        facts = await submit(pool, *arguments)
        await gate.wait()
        return facts

    key = server.new_key()
    request = upload_of(key, **{"Idempotency-Key": "once"})
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "submit", held)
        leave(server, gate, request)
    with Conversation(server) as again:
        again.send(request)
        answer = again.answer()
    assert (answer.status, answer.headers["Idempotent-Replay"]) == (200, None)
    assert used(server, key) == 1


@pytest.mark.parametrize("way", ["the file", "the page"])
def test_a_view_whose_viewer_is_gone_is_not_used_up(
    server: RunningServer, gate: Gate, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    image = burn(server)
    store = type(server.server._services.viewing.blobs)
    open_blob = store.open

    async def held(blobs: Any, key: str) -> Any:
        blob = await open_blob(blobs, key)
        await gate.wait()
        return blob

    reveal = f"POST /i/{image['slug']} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    with monkeypatch.context() as patch:
        patch.setattr(store, "open", held)
        leave(server, gate, get(image["path"]) if way == "the file" else reveal)
    assert views(server, image) == 0
    assert server.get(image["direct_url"]).content == PICTURE


# Refusals, and what comes behind them on the same connection

UPLOAD_WITHOUT_KEY = request_head("", multipart(b"")[1], SMALL).replace(b"Authorization: Bearer \r\n", b"")
REFUSALS: dict[str, tuple[bytes, int]] = {
    "no such route": (get("/nothing"), 404),
    "no such picture": (get("/f/nosuchim.jpg"), 404),
    "no key": (get("/api/quota"), 401),
    "a wrong key": (get("/api/quota", Authorization="Bearer iu_live_wrong"), 401),
    "a page of elsewhere": (get("/mcp", Origin="https://elsewhere.example"), 403),
    "a method of another route": (LOOK.replace(b"GET", b"DELETE"), 405),
    "a method that nobody has": (LOOK.replace(b"GET", b"BREW"), 501),
    "a HEAD of nothing": (get("/nothing").replace(b"GET", b"HEAD"), 404),
    "a path that is no text": (get("/u/%ff"), 404),
    "an upload without a key": (UPLOAD_WITHOUT_KEY + b"x" * SMALL, 401),
    "a body where none belongs": (LOOK.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"), 200),
    "a large body for nobody": (get("/nothing", Content_Length=str(LARGE)) + b"x" * LARGE, 404),
    "a small body in chunks": (get("/nothing", Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n", 404),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_is_pipelined_behind_a_refusal_is_answered_or_not_begun(
    server: RunningServer, wire: Conversation, refusal: str
) -> None:
    image = burn(server)
    request, status = REFUSALS[refusal]
    wire.send(request + get(image["path"]))
    answer = wire.answer(request.split(b" ")[0].decode())
    assert answer.status == status
    if answer.closes:
        assert wire.rest() == b""
        assert views(server, image) == 0
    else:
        assert wire.answer().body == PICTURE
        assert views(server, image) == 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_connection_ends_only_where_the_answer_says_so(wire: Conversation, refusal: str) -> None:
    request, status = REFUSALS[refusal]
    for _ in range(10):
        wire.send(request)
        answer = wire.answer(request.split(b" ")[0].decode())
        assert answer.status == status
        if answer.closes:
            assert wire.rest() == b""
            return
        assert wire.is_open()


@pytest.mark.parametrize("refusal", ["no such route", "no key", "a method that nobody has", "a large body for nobody"])
def test_a_connection_of_http_1_0_stays_open_only_where_the_answer_says_so(wire: Conversation, refusal: str) -> None:
    request, status = REFUSALS[refusal]
    wire.send(request.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"))
    answer = wire.answer()
    assert answer.status == status
    assert wire.is_open() == (answer.headers.get("Connection", "").lower() == "keep-alive")


def test_a_request_on_a_connection_that_an_answer_has_ended_is_not_begun(
    server: RunningServer, wire: Conversation
) -> None:
    image, key = burn(server), server.new_key()
    last = get("/healthz", Connection="close")
    wire.send(last + get(image["path"]) + upload_of(key))
    assert wire.answer().closes
    assert wire.rest() == b""
    assert (views(server, image), used(server, key)) == (0, 0)


# Refused bodies


def test_a_small_body_is_read_before_it_is_refused(server: RunningServer, wire: Conversation) -> None:
    for _ in range(5):
        wire.send(UPLOAD_WITHOUT_KEY)
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        wire.socket.settimeout(DEADLINE)
        wire.send(b"x" * SMALL)
        answer = wire.answer()
        assert (answer.status, answer.code, answer.closes) == (401, "missing_key", False)


def test_a_large_body_is_refused_before_it_is_sent_and_the_end_announced(wire: Conversation) -> None:
    wire.send(UPLOAD_WITHOUT_KEY.replace(str(SMALL).encode(), str(LARGE).encode()) + b"x" * 1000)
    answer = wire.answer()
    assert (answer.status, answer.code, answer.closes) == (401, "missing_key", True)
    wire.send(b"x" * (LARGE - 1000))
    assert wire.rest() == b""


def test_a_body_that_does_not_say_its_length_is_refused_before_it_is_sent_and_the_end_announced(
    wire: Conversation,
) -> None:
    wire.send(chunked_of("iu_live_wrong", [b"x" * 1000])[:-5])
    answer = wire.answer()
    assert (answer.status, answer.code, answer.closes) == (401, "invalid_key", True)
    wire.send(b"0\r\n\r\n")
    assert wire.rest() == b""


def test_a_small_body_that_does_not_come_is_refused_all_the_same(tmp_path: Path) -> None:
    settings = {"server": {"drain_seconds": 1}, "imaging": {"workers": 1}}
    with running(tmp_path, **settings) as server, Conversation(server) as wire:
        wire.send(UPLOAD_WITHOUT_KEY + b"x")
        answer = wire.answer()
        assert (answer.status, answer.code, answer.closes) == (401, "missing_key", True)
        assert wire.rest() == b""


def test_a_large_body_that_is_wrong_at_its_end_leaves_the_connection_open(
    server: RunningServer, wire: Conversation
) -> None:
    key = server.new_key("pro")
    twice = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 2
    body = b'--b\r\nContent-Disposition: form-data; name="y"; filename="y"\r\n\r\n' + b"y" * LARGE + b"\r\n" + twice
    wire.send(request_head(key, multipart(b"")[1], len(body)) + body)
    answer = wire.answer()
    assert (answer.status, answer.code) == (400, "bad_field")
    assert wire.is_open() is not answer.closes


# Expect (RFC 9110, section 10.1.1)


@pytest.mark.parametrize("word", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_a_client_that_waits_to_send_is_told_to_go_on(server: RunningServer, wire: Conversation, word: str) -> None:
    key = server.new_key()
    head, _, body = upload_of(key, Expect=word).partition(b"\r\n\r\n")
    wire.send(head + b"\r\n\r\n")
    wire.socket.settimeout(3)
    assert wire.answer().status == 100
    wire.send(body)
    wire.socket.settimeout(DEADLINE)
    assert wire.answer().status == 200
    assert wire.is_open()


@pytest.mark.parametrize("word", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_client_that_waits_to_send_is_refused_at_once(wire: Conversation, word: str, size: int) -> None:
    head = UPLOAD_WITHOUT_KEY.replace(str(SMALL).encode(), str(size).encode())
    wire.send(head.replace(b"Host: x", f"Host: x\r\nExpect: {word}".encode()))
    wire.socket.settimeout(3)
    answer = wire.answer()
    assert (answer.status, answer.code) == (401, "missing_key")
    assert answer.closes, "nobody knows whether the body comes now"
    assert wire.rest() == b""


@pytest.mark.parametrize("word", ["100-continue", "100-Continue"])
def test_a_client_of_http_1_0_gets_no_100(server: RunningServer, wire: Conversation, word: str) -> None:
    key = server.new_key()
    wire.send(upload_of(key, Expect=word).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.answer().status == 200
    assert used(server, key) == 1


def test_a_client_that_does_not_wait_for_its_100_is_answered_once(server: RunningServer, wire: Conversation) -> None:
    wire.send(upload_of(server.new_key(), Expect="100-continue") + LOOK)
    statuses = [wire.answer().status for _ in range(2)]
    if statuses[0] == 100:
        statuses.append(wire.answer().status)
    assert statuses[-2:] == [200, 200]


# Chunks (RFC 9112, section 7.1)


def chunks_of(data: bytes, size: int = 1000) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_body_comes_in_chunks_of_any_size(server: RunningServer, wire: Conversation, size: int) -> None:
    wire.send(chunked_of(server.new_key(), chunks_of(multipart(PICTURE)[0], size)) + LOOK)
    assert [wire.answer().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("extension", [b";a=b", b" ; a", b';a="q;\\"x"', b";" + b"x" * 200])
def test_chunks_may_have_extensions(server: RunningServer, wire: Conversation, extension: bytes) -> None:
    wire.send(chunked_of(server.new_key(), chunks_of(multipart(PICTURE)[0]), extension=extension) + LOOK)
    assert [wire.answer().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("trailer", [b"X-Checksum: 1\r\n", b"A: 1\r\nB: 2\r\n"])
def test_a_body_in_chunks_may_have_trailers(server: RunningServer, wire: Conversation, trailer: bytes) -> None:
    wire.send(chunked_of(server.new_key(), chunks_of(multipart(PICTURE)[0]), trailer) + LOOK)
    assert [wire.answer().status for _ in range(2)] == [200, 200]


def test_a_trailer_is_no_header(server: RunningServer, wire: Conversation) -> None:
    trailer = b"Accept: text/plain\r\nConnection: close\r\nContent-Length: 9\r\n"
    wire.send(chunked_of(server.new_key(), [multipart(PICTURE)[0]], trailer) + LOOK)
    answer = wire.answer()
    assert json.loads(answer.body)["ok"]
    assert wire.answer().status == 200


@pytest.mark.parametrize(
    "end", [b"0" + b";" + b"x" * 100_000, b"0\r\n" + b"A: 1\r\n" * 20_000, b"0\r\nA: " + b"x" * 100_000]
)
def test_extensions_and_trailers_are_bounded(server: RunningServer, wire: Conversation, end: bytes) -> None:
    key = server.new_key()
    wire.send(get("/api/quota", Transfer_Encoding="chunked", **bearer(key)) + b"1\r\nx\r\n" + end)
    answer = wire.answer()
    assert answer.status in (400, 431)
    assert answer.closes
    assert wire.rest() == b""


@pytest.mark.parametrize(
    "chunks", [b"g\r\n", b"-1\r\nx\r\n", b"0x1\r\nx\r\n", b"1\r\nxy\r\n", b"+1\r\nx\r\n", b"1_0\r\nx\r\n", b"\r\n"]
)
def test_a_chunk_that_is_none_stores_nothing_and_ends_the_connection(
    server: RunningServer, wire: Conversation, chunks: bytes
) -> None:
    key = server.new_key()
    wire.send(chunked_of(key, [multipart(PICTURE)[0]])[:-5] + chunks + b"0\r\n\r\n" + LOOK)
    assert wire.rest().count(b"HTTP/1.1 ") == 1
    assert used(server, key) == 0


# Framing that cannot be understood

UNFRAMED: dict[str, tuple[dict[str, str], set[int]]] = {
    "a length beyond all bounds": ({"Content-Length": "9" * 30}, {400, 413}),
    "a length of a thousand digits": ({"Content-Length": "9" * 1000}, {400, 413}),
    "a negative length": ({"Content-Length": "-5"}, {400}),
    "a signed length": ({"Content-Length": "+5"}, {400}),
    "a length in hexadecimal": ({"Content-Length": "0x5"}, {400}),
    "an empty length": ({"Content-Length": ""}, {400}),
    "two lengths": ({"Content-Length": "5, 6"}, {400}),
    "a length given twice": ({"Content-Length": "5, 5"}, {400}),
    "two lines of lengths": ({"Content-Length": "5", "content-length": "5"}, {400}),
    "a coding that we do not know": ({"Transfer-Encoding": "gzip"}, {400, 501}),
    "two codings": ({"Transfer-Encoding": "gzip, chunked"}, {400, 501}),
    "chunked twice": ({"Transfer-Encoding": "chunked, chunked"}, {400}),
    "a coding and a length": ({"Transfer-Encoding": "chunked", "Content-Length": "5"}, {400}),
}


@pytest.mark.parametrize("path", ["/api/upload", "/healthz", "/nothing"])
@pytest.mark.parametrize("kind", UNFRAMED)
def test_what_cannot_be_framed_gets_one_answer_in_json_and_the_connection_ends(
    wire: Conversation, path: str, kind: str
) -> None:
    headers, statuses = UNFRAMED[kind]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    wire.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\nhello".encode() + LOOK)
    answer = wire.answer()
    assert answer.status in statuses
    assert answer.code in ("bad_body", "too_large")
    assert answer.headers["X-Request-Id"]
    assert answer.closes
    assert wire.rest() == b""


def test_http_1_0_has_no_chunks(server: RunningServer, wire: Conversation) -> None:
    key = server.new_key()
    wire.send(chunked_of(key, [multipart(PICTURE)[0]]).replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = wire.answer()
    assert (answer.status, answer.code) == (400, "bad_body")
    assert wire.rest() == b""
    assert used(server, key) == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x y\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=[
        "no version",
        "two spaces",
        "no colon",
        "a space before the colon",
        "no host",
        "two hosts",
        "a host with a space",
        "no target",
        "TLS",
    ],
)
def test_a_head_that_is_none_is_told_so_in_json_and_the_connection_ends(wire: Conversation, head: bytes) -> None:
    wire.send(head + LOOK)
    answer = wire.answer()
    assert (answer.status, answer.code, answer.closes) == (400, "bad_body", True)
    assert wire.rest() == b""


# Connection (RFC 9110, section 7.6.1; RFC 9112, section 9.3)


@pytest.mark.parametrize(
    "value", ["close", "Close", "TE, close", "close, TE", "keep-alive, close", "TE,close", "\tclose"]
)
def test_a_client_that_wants_the_connection_closed_finds_it_closed(wire: Conversation, value: str) -> None:
    wire.send(get("/healthz", Connection=value, TE="trailers"))
    answer = wire.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert wire.rest() == b""


def test_a_large_answer_comes_whole_before_the_connection_closes(server: RunningServer, wire: Conversation) -> None:
    data = pictures.png(pictures.noise(1800, 1800))
    image = server.upload(server.new_key("pro"), data).json()
    wire.send(get(image["direct_url"].removeprefix(server.url), Connection="TE, close"))
    assert wire.answer().body == data
    assert wire.rest() == b""


@pytest.mark.parametrize("value", ["TE", "keep-alive", "upgrade, http2-settings", "closed", "not-close", ""])
def test_a_client_that_wants_anything_else_may_go_on(wire: Conversation, value: str) -> None:
    wire.send(get("/healthz", Connection=value, Upgrade="h2c"))
    answer = wire.answer()
    assert (answer.status, answer.closes) == (200, False)
    assert wire.is_open()


@pytest.mark.parametrize(
    ("value", "stays"), [("keep-alive", True), ("Keep-Alive", True), ("close", False), ("", False)]
)
def test_a_client_of_http_1_0_says_whether_it_goes_on(wire: Conversation, value: str, stays: bool) -> None:
    wire.send(get("/healthz", Connection=value).replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = wire.answer()
    assert answer.status == 200
    assert (answer.headers.get("Connection", "").lower() == "keep-alive") is stays
    assert wire.is_open() is stays


def test_a_client_of_http_1_0_may_go_on_among_other_options(wire: Conversation) -> None:
    wire.send(get("/healthz", Connection="TE, keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.answer().headers["Connection"].lower() == "keep-alive"
    assert wire.is_open()


# Targets (RFC 9112, section 3.2)


@pytest.mark.parametrize("target", ["http://img.example/healthz", "HTTP://img.example:80/healthz?x=http://y/z"])
def test_a_target_may_be_a_whole_address(wire: Conversation, target: str) -> None:
    wire.send(get(target))
    assert wire.answer().status == 200
    assert wire.is_open()


def test_a_whole_address_wins_over_the_host_header(server: RunningServer, wire: Conversation) -> None:
    request = upload_of(server.new_key()).replace(b"POST /api", b"POST http://img.example:8080/api")
    wire.send(request.replace(b"Host: x", b"Host: elsewhere.example"))
    answer = json.loads(wire.answer().body)
    assert answer["share_url"] == f"http://img.example:8080/i/{answer['slug']}"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://img.example", 200),
        ("http://img.example?x", 200),
        ("//img.example/healthz", 404),
        ("ftp://img.example/healthz", 404),
    ],
)
def test_a_whole_address_without_a_path_leads_to_the_front_page_and_one_of_another_kind_nowhere(
    wire: Conversation, target: str, status: int
) -> None:
    wire.send(get(target))
    assert wire.answer().status == status
    assert wire.is_open()


def test_a_query_and_a_grant_survive_a_whole_address(server: RunningServer, wire: Conversation) -> None:
    key = server.new_key("pro")
    for _ in range(3):
        server.upload(key, PICTURE)
    wire.send(get("http://img.example/api/images?limit=2", **bearer(key)))
    assert len(json.loads(wire.answer().body)["images"]) == 2


def test_the_links_of_a_burn_picture_lead_where_it_was_asked_for(server: RunningServer) -> None:
    """A proxy that forwards whole addresses, as requests' do."""
    image = burn(server)
    proxies = {"http": server.url}
    answer = requests.get(f"http://img.example{image['path']}", proxies=proxies, timeout=DEADLINE)
    assert answer.content == PICTURE
