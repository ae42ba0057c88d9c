"""Connections by themselves, with handlers of a few lines: what any Tornado handler may count on.

Tornado's own tests of its HTTP server (httpserver_test.py, http1connection_test.py) say what that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler, stream_request_body

from handlers.http.connections.server import HttpServer
from tests.conftest import LogGuard
from tests.running import DEADLINE, eventually
from tests.surfaces.test_wire import Conversation, get

LARGE = 8 << 20


@dataclass
class Seen:
    """What the handlers of a test have seen, and what they wait for."""

    events: list[str] = field(default_factory=list)
    portions: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)


class Small(RequestHandler):
    """A handler whose log is what a test looks at."""

    def initialize(self, seen: Seen) -> None:
        self.seen = seen

    def on_finish(self) -> None:
        self.seen.events.append("finished")

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.seen.events.append("gone")

    def compute_etag(self) -> None:
        return None


class Hello(Small):
    def get(self) -> None:
        self.write("hello")

    post = get


class Large(Small):
    async def get(self) -> None:
        try:
            for _ in range(LARGE // 65536):
                self.write(b"x" * 65536)
                await self.flush()
                self.seen.events.append("flushed")
        except StreamClosedError:
            self.seen.events.append("closed")

    head = get


class Waiting(Small):
    async def get(self) -> None:
        self.seen.events.append("begun")
        await self.seen.gate.wait()
        self.write("waited")


class WaitingWithHead(Small):
    async def get(self) -> None:
        await self.flush()
        self.seen.events.append("begun")
        await self.seen.gate.wait()
        with contextlib.suppress(StreamClosedError):
            await self.flush()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.finish("never seen")


@stream_request_body
class Taking(Small):
    """Takes a body, and waits before each chunk_size where it is told to."""

    async def prepare(self) -> None:
        if self.get_query_argument("prepare", ""):
            self.seen.events.append("preparing")
            await self.seen.gate.wait()
        if self.get_query_argument("answer", ""):
            self.finish("early")

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.seen.portions.append(len(chunk))
        if self.get_query_argument("fail", ""):
            raise ValueError("a bug")
        if self.get_query_argument("early", ""):
            self.finish("early")
            return None
        return self._wait() if self.get_query_argument("wait", "") else None

    async def _wait(self) -> None:
        await self.seen.gate.wait()

    def post(self) -> None:
        self.write(str(sum(self.seen.portions)))

    get = post


class Lengths(Small):
    """Says one length, and writes another."""

    def get(self) -> None:
        headers = HTTPHeaders({"Content-Length": self.get_query_argument("says")})
        connection: Any = self.request.connection
        connection.write_headers(ResponseStartLine("", 200, "OK"), headers)
        connection.write(b"1234567890")
        connection.finish()
        self._finished = True


class Giving(Small):
    """Says how long its answer is, and stops when its client has gone."""

    async def get(self) -> None:
        self.set_header("Content-Length", LARGE)
        with contextlib.suppress(StreamClosedError):
            for _ in range(LARGE // 65536):
                self.write(b"x" * 65536)
                await self.flush()
                await asyncio.sleep(0)


class Header(Small):
    def get(self) -> None:
        connection: Any = self.request.connection
        connection.write_headers(ResponseStartLine("", 200, "OK"), Injected({"A": "b"}))


class Injected(HTTPHeaders):
    """Headers that nobody has looked at."""

    def get_all(self) -> list[tuple[str, str]]:
        return [("A", "b\r\nC: d")]


ROUTES = {
    "/": Hello,
    "/large": Large,
    "/waiting": Waiting,
    "/head": WaitingWithHead,
    "/taking": Taking,
    "/lengths": Lengths,
    "/giving": Giving,
    "/header": Header,
}


class Serving:
    """A server that runs in a thread."""

    http: HttpServer
    seen: Seen
    address: Any

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Serving:
        self._thread.start()
        self.call(self._start)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self.http.close(), self.loop).result(DEADLINE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def call(self, work: Callable[[], Any]) -> Any:
        """Have something done on the loop."""

        async def called() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(DEADLINE)

    def open(self) -> None:
        """Let the handlers go on that wait."""
        self.call(self.seen.gate.set)

    def _start(self) -> None:
        self.seen = Seen()
        routes = [(path, handler, {"seen": self.seen}) for path, handler in ROUTES.items()]
        self.http = HttpServer(Application(routes, log_function=lambda handler: None), **self._options)
        sockets = bind_sockets(0, "127.0.0.1")
        self.address = sockets[0].getsockname()
        self.http.listen(sockets)


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving() as serving:
        yield serving


@pytest.fixture
def wire(serving: Serving) -> Iterator[Conversation]:
    with Conversation(serving) as conversation:  # type: ignore[arg-type]
        yield conversation


def post(path: str, body: bytes, **headers: str) -> bytes:
    return get(path, Content_Length=str(len(body)), **headers).replace(b"GET", b"POST") + body


def chunked(path: str, chunks: list[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    return get(path, Transfer_Encoding="chunked").replace(b"GET", b"POST") + body


# One request after the other


def test_requests_come_one_after_the_other(serving: Serving, wire: Conversation) -> None:
    for _ in range(3):
        wire.send(get("/"))
        assert wire.answer().body == b"hello"
    assert serving.seen.events == ["finished"] * 3


def test_requests_may_be_pipelined_and_have_empty_lines_before_them(wire: Conversation) -> None:
    wire.send(b"\r\n" + get("/") + b"\r\n\r\n" + post("/", b"body") + chunked("/taking", [b"ab", b"c"]) + get("/"))
    assert [wire.answer().body for _ in range(4)] == [b"hello", b"hello", b"3", b"hello"]


def test_a_head_may_come_byte_by_byte(wire: Conversation) -> None:
    for byte in get("/"):
        wire.send(bytes([byte]))
    assert wire.answer().body == b"hello"


def test_a_pipelined_request_is_begun_when_the_one_before_it_is_answered(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/waiting") + get("/waiting"))
    eventually(lambda: serving.seen.events == ["begun"])
    serving.open()
    assert [wire.answer().body for _ in range(2)] == [b"waited"] * 2
    assert serving.seen.events == ["begun", "finished"] * 2


def test_what_is_pipelined_is_not_read_without_bound(serving: Serving, wire: Conversation) -> None:
    wire.socket.settimeout(1)
    with contextlib.suppress(TimeoutError):
        wire.socket.sendall(get("/waiting") + get("/") * (4 * LARGE // len(get("/"))))
    (connection,) = serving.http._open
    assert len(connection._input) <= 64 * 1024
    wire.socket.settimeout(DEADLINE)
    serving.open()
    assert [wire.answer().body for _ in range(3)] == [b"waited", b"hello", b"hello"]


@pytest.mark.parametrize("lines", ["Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"])
@pytest.mark.parametrize("body", [b"", b"body"])
def test_an_upgrade_is_not_made(wire: Conversation, lines: str, body: bytes) -> None:
    """As curl --http2 and Java's HttpClient offer it."""
    wire.send(post("/taking", body).replace(b"Host: x", f"Host: x\r\n{lines}".encode()) + get("/"))
    assert [wire.answer().body for _ in range(2)] == [str(len(body)).encode(), b"hello"]


# Bodies


def test_a_body_comes_in_portions(wire: Conversation) -> None:
    with Serving(chunk_size=16) as serving, Conversation(serving) as wire:  # type: ignore[arg-type]
        wire.send(post("/taking", b"x" * 50))
        assert wire.answer().body == b"50"
        assert max(serving.seen.portions) <= 16


def test_chunks_come_in_few_portions(serving: Serving, wire: Conversation) -> None:
    wire.send(chunked("/taking", [b"x"] * 5000))
    assert wire.answer().body == b"5000"
    assert len(serving.seen.portions) < 500


@pytest.mark.parametrize("pause", ["prepare", "wait"])
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_a_body_is_not_read_while_its_handler_waits(
    serving: Serving, wire: Conversation, pause: str, coding: str
) -> None:
    body, path = b"x" * LARGE, f"/taking?{pause}=1"
    request = post(path, body) if coding == "sized" else chunked(path, [body])
    wire.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        wire.socket.sendall(request)
    (connection,) = serving.http._open
    assert len(connection._input) <= 64 * 1024
    serving.open()
    wire.socket.settimeout(DEADLINE)


@pytest.mark.parametrize("way", ["answer", "early"])
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_an_answer_may_come_before_the_body_and_ends_the_connection(
    serving: Serving, wire: Conversation, way: str, coding: str
) -> None:
    body, path = b"x" * (LARGE // 2), f"/taking?{way}=1"
    wire.send((post(path, body) if coding == "sized" else chunked(path, [body])) + get("/"))
    answer = wire.answer()
    assert (answer.body, answer.closes) == (b"early", True)
    assert wire.rest() == b""
    assert serving.seen.events[-1] == "finished"


def test_a_client_that_waits_for_100_and_is_answered_gets_no_100(wire: Conversation) -> None:
    wire.send(post("/taking?answer=1", b"", Expect="100-continue").replace(b"Length: 0", b"Length: 5"))
    answer = wire.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert wire.rest() == b""


def test_a_client_that_waits_for_100_gets_it_when_its_handler_is_prepared(serving: Serving, wire: Conversation) -> None:
    wire.send(post("/taking?prepare=1", b"", Expect="100-Continue").replace(b"Length: 0", b"Length: 5"))
    eventually(lambda: serving.seen.events == ["preparing"])
    wire.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        wire.socket.recv(1)
    wire.socket.settimeout(DEADLINE)
    serving.open()
    assert wire.answer().status == 100
    wire.send(b"12345" + get("/"))
    assert [wire.answer().body for _ in range(2)] == [b"5", b"hello"]


# Answers


def test_an_answer_without_a_length_comes_in_chunks(wire: Conversation) -> None:
    wire.send(get("/large") + get("/"))
    answer = wire.answer()
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert len(answer.body) == LARGE
    assert wire.answer().body == b"hello"


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_in_http_1_0_it_ends_with_the_connection(wire: Conversation, connection: str) -> None:
    wire.send(get("/large", Connection=connection).replace(b"HTTP/1.1", b"HTTP/1.0"))
    head, _, body = wire.rest().partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert b"Transfer-Encoding" not in head
    assert len(body) == LARGE


def test_head_has_no_body_and_the_connection_stays(wire: Conversation) -> None:
    for _ in range(2):
        wire.send(get("/large").replace(b"GET", b"HEAD"))
        assert wire.answer("HEAD").status == 200
    wire.send(get("/"))
    assert wire.answer().body == b"hello"


def test_a_writer_waits_for_a_client_that_does_not_read(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/large"))
    eventually(lambda: serving.seen.events)
    before = -1
    while before != (before := len(serving.seen.events)):
        threading.Event().wait(0.2)
    assert before < LARGE // 65536
    assert len(wire.answer().body) == LARGE


@pytest.mark.parametrize("says", ["foo", "+10", "1_0", "-1"])
def test_an_answer_whose_length_is_none_is_not_sent(wire: Conversation, log_guard: LogGuard, says: str) -> None:
    log_guard.allow("Uncaught exception")
    wire.send(get(f"/lengths?says={says.replace('+', '%2B')}"))
    assert wire.answer().status == 500


@pytest.mark.parametrize("says", ["11", "9"])
def test_an_answer_that_is_not_as_long_as_it_says_is_cut_off(
    serving: Serving, wire: Conversation, log_guard: LogGuard, says: str
) -> None:
    log_guard.allow("Uncaught exception")
    wire.send(get(f"/lengths?says={says}") + get("/"))
    assert b"hello" not in wire.rest()


def test_an_answer_as_long_as_it_says_is_one(wire: Conversation) -> None:
    wire.send(get("/lengths?says=10"))
    assert wire.answer().body == b"1234567890"


def test_a_header_with_a_line_break_is_not_sent(wire: Conversation, log_guard: LogGuard) -> None:
    log_guard.allow("Uncaught exception|Cannot send error response")
    wire.send(get("/header"))
    answer = wire.answer()
    assert (answer.status, answer.headers["C"]) == (500, None)


# Clients that go


def test_a_client_that_goes_while_its_answer_is_made_is_noticed(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/waiting"))
    eventually(lambda: serving.seen.events == ["begun"])
    wire.reset()
    eventually(lambda: serving.seen.events == ["begun", "gone"])
    serving.open()
    eventually(lambda: serving.seen.events == ["begun", "gone", "finished"])


def test_a_client_that_goes_while_its_answer_is_sent_is_noticed(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/large"))
    wire.socket.recv(1024)
    wire.reset()
    eventually(lambda: serving.seen.events[-1] == "finished")
    assert {"closed", "gone"} <= set(serving.seen.events)


def test_an_answer_that_its_client_has_left_is_no_bug(serving: Serving) -> None:
    """Nothing is logged of it, whenever the connection is found to be gone."""
    for number in range(50):
        with Conversation(serving) as wire:  # type: ignore[arg-type]
            wire.send(get("/giving"))
            wire.socket.recv(1 + 4096 * number)
            wire.reset()
    eventually(lambda: serving.seen.events.count("finished") == 50)


def test_an_answer_may_be_finished_when_its_client_has_gone(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/head"))
    eventually(lambda: serving.seen.events == ["begun"])
    wire.reset()
    eventually(lambda: serving.seen.events == ["begun", "gone", "finished"])
    serving.open()


@pytest.mark.parametrize("leave", [Conversation.half_close, Conversation.reset])
def test_a_client_that_goes_in_the_middle_of_a_body_is_noticed(
    serving: Serving, wire: Conversation, leave: Callable[[Conversation], None]
) -> None:
    wire.send(post("/taking", b"x" * 10)[:-1])
    eventually(lambda: serving.seen.portions)
    leave(wire)
    eventually(lambda: serving.seen.events == ["gone"])


@pytest.mark.parametrize("pause", ["prepare", "wait"])
def test_a_client_that_goes_while_its_handler_waits_is_noticed_afterwards(
    serving: Serving, wire: Conversation, pause: str
) -> None:
    """So that a handler need not look whether it still holds what it asked for."""
    wire.send(post(f"/taking?{pause}=1", b"x" * 10) + b"y")
    eventually(lambda: serving.seen.events or serving.seen.portions)
    wire.reset()
    serving.open()
    eventually(lambda: "gone" in serving.seen.events or "finished" in serving.seen.events)
    assert serving.seen.events.count("gone") <= 1


def test_a_handler_that_fails_at_a_body_loses_its_connection(
    serving: Serving, wire: Conversation, log_guard: LogGuard
) -> None:
    log_guard.allow("a connection failed")
    wire.send(post("/taking?fail=1", b"x"))
    assert wire.rest() == b""
    eventually(lambda: serving.seen.events == ["gone"])


def test_clients_that_go_leave_nothing_open(serving: Serving) -> None:
    for request in (b"", b"GET /", get("/"), post("/taking", b"xx")[:-1], b"no http\r\n\r\n"):
        with Conversation(serving) as wire:  # type: ignore[arg-type]
            wire.send(request)
    eventually(lambda: serving.http.connections == 0)
    assert not serving.http._open


# The server


def test_a_connection_that_waits_for_long_is_closed(log_guard: LogGuard) -> None:
    with Serving(idle_seconds=0.2) as serving, Conversation(serving) as wire:  # type: ignore[arg-type]
        assert wire.rest() == b""
    with Serving(idle_seconds=0.5) as serving, Conversation(serving) as wire:  # type: ignore[arg-type]
        wire.send(get("/"))
        assert wire.answer().body == b"hello"
        wire.send(b"GET /")
        assert wire.rest() == b""


def test_a_server_that_drains_ends_each_connection_with_its_next_answer(serving: Serving, wire: Conversation) -> None:
    wire.send(get("/waiting"))
    eventually(lambda: serving.seen.events == ["begun"])
    serving.call(serving.http.drain)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(serving.address, timeout=DEADLINE)
    serving.open()
    answer = wire.answer()
    assert (answer.body, answer.closes) == (b"waited", True)
    assert wire.rest() == b""


def test_without_descriptors_a_server_accepts_later(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow("cannot accept connections")
    monkeypatch.setattr("handlers.http.connections.server.RETRY_SECONDS", 0.1)
    failures = iter([OSError(24, "Too many open files")] * 2)

    class Poor:
        """A listening socket of a process that has no descriptors left."""

        def __init__(self, listening: socket.socket) -> None:
            self._listening = listening
            self.fileno, self.setblocking, self.close = listening.fileno, listening.setblocking, listening.close

        def accept(self) -> Any:
            for failure in failures:
                raise failure
            return self._listening.accept()

    (listening,) = bind_sockets(0, "127.0.0.1")
    serving.address = listening.getsockname()
    serving.call(lambda: serving.http.listen([Poor(listening)]))  # type: ignore[list-item]
    with Conversation(serving) as wire:  # type: ignore[arg-type]
        wire.send(get("/"))
        assert wire.answer().body == b"hello"
    assert next(failures, None) is None


@pytest.mark.parametrize("abstract", [False, True])
def test_a_server_listens_in_the_file_system(serving: Serving, tmp_path: Path, abstract: bool) -> None:
    path = f"\0{tmp_path}" if abstract else str(tmp_path / "socket")
    serving.call(lambda: serving.http.listen([bind_unix_socket(path)]))
    for request, status in ((get("/"), 200), (b"garbage\r\n\r\n", 400)):
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answer:
            client.settimeout(DEADLINE)
            client.connect(path)
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert body == b"hello" if status == 200 else json.loads(body)["code"] == "bad_body"
