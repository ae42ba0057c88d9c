"""What operators look at and turn: /readyz, /metrics, connections, SIGHUP, a spool that a crash has left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from handlers.api.upload import UploadHandler
from handlers.http import receiving
from iuserver.admission.queue import CHUNKS_PER_TICK
from tests import pictures
from tests.agents import Agent
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_cli import serving, told
from tests.surfaces.test_upload import multipart, received, request_head


def samples(text: str) -> dict[str, float]:
    """What Prometheus' text format says: name and labels, value."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_a_server_with_all_it_needs_is_ready(server: RunningServer) -> None:
    answer = server.get("/readyz")
    parts = {"catalog": True, "blobs": True, "queue": True, "workers": True, "accepting": True}
    assert (answer.status_code, answer.json()) == (200, {"ok": True, **parts})


def test_a_server_whose_queue_is_full_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path, receive={"max_uploads": 1}, imaging={"workers": 1}) as server:
        body, headers = multipart(pictures.jpeg())
        with socket.create_connection(server.address, timeout=DEADLINE) as sending:
            sending.sendall(request_head(server.new_key(), headers, len(body)) + body[:100])
            eventually(lambda: server.get("/readyz").json()["queue"] is False)
            assert server.get("/readyz").status_code == 503
        eventually(lambda: server.get("/readyz").status_code == 200)


def test_metrics_tell_requests_stages_refusals_and_bytes(tmp_path: Path) -> None:
    with running(tmp_path, metrics={"listen": "127.0.0.1:0"}, imaging={"workers": 1}) as server:
        key, picture = server.new_key(), pictures.phone_jpeg()
        stored = server.upload(key, picture).json()["size"]
        assert server.upload("iu_live_wrong", picture).status_code == 401
        counted = samples(requests.get(server.server.metrics_url, timeout=DEADLINE).text)
        assert counted['iuserver_requests_total{route="upload",status="200"}'] == 1
        assert counted['iuserver_refusals_total{code="invalid_key"}'] == 1
        assert counted["iuserver_received_bytes_total"] == len(picture)
        assert counted["iuserver_stored_bytes_total"] == stored
        for stage in ("receive", "work", "store"):
            assert counted[f'iuserver_upload_stage_seconds_count{{stage="{stage}"}}'] == 1
        assert (counted["iuserver_receiving"], counted["iuserver_working"]) == (0, 0)
        assert counted["iuserver_workers"] >= 1
        assert server.get("/metrics").status_code == 404, "no token, no metrics beside everything else"


def test_metrics_beside_everything_else_want_their_token(tmp_path: Path) -> None:
    with running(tmp_path, metrics={"token": "s3cret"}, imaging={"workers": 1}) as server:
        assert server.get("/metrics").status_code == 401
        assert server.get("/metrics", "wrong").status_code == 401
        assert samples(server.get("/metrics", "s3cret").text)["iuserver_connections"] >= 1


def test_one_connection_too_many_is_told_so_and_closed(tmp_path: Path) -> None:
    with running(tmp_path, server={"max_connections": 2}, imaging={"workers": 1}) as server:
        first, second = (socket.create_connection(server.address, timeout=DEADLINE) for _ in range(2))
        with first, second, socket.create_connection(server.address, timeout=DEADLINE) as third:
            answer = third.makefile("rb").read()  # to the end: the server closes
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: " in head
            assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
            assert json.loads(body)["code"] == "overloaded"
            first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert received(first).startswith(b"HTTP/1.1 200")
        eventually(lambda: server.get("/healthz").status_code == 200)


def test_one_address_has_a_share_of_the_connections(tmp_path: Path) -> None:
    """Unless it is a trusted proxy's, as this machine's is by default."""
    for trusted, served in (((), 2), (("127.0.0.0/8",), 8)):
        settings = {"max_connections": 8, "per_address_share": 0.25, "trusted_proxies": trusted}
        with running(tmp_path, server=settings, imaging={"workers": 1}) as server, contextlib.ExitStack() as stack:
            for _ in range(2):  # those that end make room
                held = [stack.enter_context(socket.create_connection(server.address, DEADLINE)) for _ in range(served)]
                for connection in held:
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert received(connection).startswith(b"HTTP/1.1 200 ")
                with socket.create_connection(server.address, DEADLINE) as one_more:
                    assert received(one_more).startswith(b"HTTP/1.1 503 ")
                stack.close()
                eventually(lambda server=server: server.server._http.connections == 0)
            assert not server.server._http._held


def test_who_takes_no_answers_loses_the_connection(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.http.connections.connection.TAKEN_SECONDS", 0.3)
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.connect(server.address)
        greedy.setblocking(False)
        stylesheet = b"GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n" * 1000

        def ended() -> bool:
            try:
                greedy.send(stylesheet)
            except BlockingIOError:
                return False
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        eventually(ended)


def asked(server: RunningServer, request: bytes) -> bytes:
    """The answer to a request that is there before its connection is accepted, as under overload."""
    held, accepting = threading.Event(), threading.Event()

    async def busy() -> None:
        held.set()
        accepting.wait(DEADLINE)

    holding = asyncio.run_coroutine_threadsafe(busy(), server._loop)
    assert held.wait(DEADLINE)
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request)
        accepting.set()
        holding.result(DEADLINE)
        return received(connection)


def test_under_pressure_uploads_on_new_connections_are_refused_unheard_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        body, headers = multipart(pictures.jpeg())
        upload = request_head(server.new_key(), headers, len(body)) + body
        look = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        http = server.server._http
        http.is_shedding, http.refuse = lambda: True, lambda: 3
        head, _, told = asked(server, upload).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 3\r\n" in head
        assert b"\r\nX-Request-Id: " in head
        assert json.loads(told) == {"error": "Upload queue overloaded, retry shortly", "code": "overloaded"}
        assert asked(server, look).startswith(b"HTTP/1.1 200 ")
        http.is_shedding = lambda: False
        assert asked(server, upload).startswith(b"HTTP/1.1 200 ")
        assert http.refused == 1


def test_under_pressure_a_connection_ends_with_its_answer(tmp_path: Path) -> None:
    """What comes on a connection that is kept has to be heard, and there is no time for that."""
    with running(tmp_path, imaging={"workers": 1}) as server:
        look = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        http = server.server._http
        for pressed in (True, False):
            http.is_shedding = lambda pressed=pressed: pressed
            with socket.create_connection(server.address, timeout=DEADLINE) as connection:
                connection.sendall(look)
                head = received(connection)
                assert head.startswith(b"HTTP/1.1 200 ")
                assert (b"\r\nConnection: close\r\n" in head) == pressed
                if pressed:
                    assert connection.recv(1) == b""


def test_when_many_were_refused_the_first_of_them_is_let_go_and_each_has_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.http.connections.lingering.MOST_LINGERING", 2)
    with (
        running(tmp_path, imaging={"workers": 1}, server={"max_connections": 1}) as server,
        contextlib.ExitStack() as all_,
    ):
        kept, *refused = (
            all_.enter_context(socket.create_connection(server.address, timeout=DEADLINE)) for _ in range(4)
        )
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(kept).startswith(b"HTTP/1.1 200 ")
        assert all(received(connection).startswith(b"HTTP/1.1 503 ") for connection in refused)
        eventually(lambda: _is_reset(refused[0]))
        assert [_is_reset(connection) for connection in refused[1:]] == [False, False]


def _is_reset(connection: socket.socket) -> bool:
    """Whether the other side is gone, not just done with sending."""
    try:
        connection.sendall(b"?")
    except OSError:
        return True
    return False


def test_a_fast_sender_does_not_keep_the_loop_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few portions of a body, all of which is there already, the loop goes round for everybody else."""
    monkeypatch.setattr("iuserver.server.CHUNK", 4096)
    rounds, seen, going, take = 0, list[int](), True, UploadHandler.take

    def noted(handler: UploadHandler, chunk: bytes) -> Any:
        seen.append(rounds)
        return take(handler, chunk)

    monkeypatch.setattr(UploadHandler, "take", noted)
    with running(tmp_path, imaging={"workers": 1}) as server:

        def turn() -> None:
            nonlocal rounds
            rounds += 1
            if going:
                server._loop.call_soon(turn)

        server._loop.call_soon_threadsafe(turn)
        body, headers = multipart(pictures.phone_jpeg(image=pictures.noise(200, 200), quality=95))
        assert asked(server, request_head(server.new_key(), headers, len(body)) + body).startswith(b"HTTP/1.1 200")
        going = False
    assert len(seen) > 2 * CHUNKS_PER_TICK
    assert max(Counter(seen).values()) <= CHUNKS_PER_TICK + 1


def test_headers_that_do_not_come_end_their_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iuserver.server.IDLE_SECONDS", 0.2)
    with running(tmp_path, imaging={"workers": 1}) as server:
        for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost:"):
            with socket.create_connection(server.address, timeout=DEADLINE) as connection:
                connection.sendall(begun)
                assert connection.recv(1) == b""


@pytest.mark.parametrize("min_rate", [1024, 0])
@pytest.mark.parametrize("length", ["Content-Length: 10", f"Content-Length: {10**17}", "Transfer-Encoding: chunked"])
def test_a_small_body_that_never_comes_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: str, min_rate: int
) -> None:
    """On every route and with every method, also where nobody has a use for a body."""
    monkeypatch.setattr(receiving, "PACE_SECONDS", 0.05)
    monkeypatch.setattr(receiving, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(receiving, "BODY_RATE", 1 << 40)
    settings = {"receive": {"min_rate": min_rate}, "server": {"drain_seconds": 0.1}, "imaging": {"workers": 1}}
    with running(tmp_path, limits={"api_per_minute": 0, "mcp_per_minute": 0}, **settings) as server:
        key = server.new_key()
        ticket = Agent(server, key).done("create_upload_ticket")["upload_url"].removeprefix(server.url)
        for request in (
            "POST /api/folders",
            "OPTIONS /api/upload",
            "OPTIONS /api/folders",
            "OPTIONS /mcp",
            "POST /mcp",
            "GET /mcp",
            f"GET {ticket}",
            f"OPTIONS {ticket}",
            "GET /healthz",
            "GET /nowhere",
            "DELETE /api/quota",
            "POST /i/slugslug",
            "GET /static/style.css",
        ):
            with socket.create_connection(server.address, timeout=DEADLINE) as connection:
                head = f"{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{length}\r\n\r\n"
                connection.sendall(head.encode())
                with connection.makefile("rb") as answer:  # to the end: the server closes
                    told = answer.read()
                assert told.startswith(b"HTTP/1.1 4") or b'"reason":"timeout"' in told, request


def test_a_body_that_takes_too_long_in_all_is_cut_off(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "PACE_SECONDS", 0.05)
    monkeypatch.setattr(receiving, "BODY_SECONDS", 0)
    monkeypatch.setattr(receiving, "BODY_RATE", 1 << 40)
    body, headers = multipart(pictures.jpeg())
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head(server.new_key(), headers, len(body)) + body[:-1])
        assert received(connection).startswith(b"HTTP/1.1 408")


def test_sighup_reads_plans_and_limits_again(tmp_path: Path) -> None:
    config, data = tmp_path / "iuserver.toml", tmp_path / "data"
    config.write_text("[plans.free]\nuploads_per_month = 1\n")
    key = told("user", "add", "a@example.org", "--data", str(data))["api_key"]

    def limit(url: str) -> int:
        answer = requests.get(f"{url}/api/quota", headers=bearer(key), timeout=DEADLINE)
        return int(answer.json()["limit"])

    with serving(data, "--config", str(config)) as (process, url):
        assert limit(url) == 1
        config.write_text("[plans.free]\nuploads_per_month = 3\n")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: limit(url) == 3)
        config.write_text("[plans.free]\nuploads_per_month = -1\n")
        process.send_signal(signal.SIGHUP)
        assert limit(url) == 3, "what cannot be used changes nothing"


def test_a_spool_that_a_crash_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    for number in range(50):
        (tmp_path / "spool" / f"{number}.in").write_bytes(b"x")
    with running(tmp_path, imaging={"workers": 1}) as server:
        assert server.upload(server.new_key(), pictures.jpeg()).status_code == 200
        eventually(lambda: not list(tmp_path.glob("spool.*")))
        assert server.files("spool") == []
