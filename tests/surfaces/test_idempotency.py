"""Idempotency-Key: an upload that is repeated is stored and counted once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from iuserver.policy import DAY
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_cli import serving, told
from tests.surfaces.test_upload import multipart, received, request_head

PICTURE = pictures.phone_jpeg()


def upload(
    url: str, key: str, repeat_key: str, data: bytes = PICTURE, name: str = "a.jpg", **fields: str
) -> requests.Response:
    headers = {**bearer(key), "Idempotency-Key": repeat_key}
    files = {"file": (name, data)}
    return requests.post(f"{url}/api/upload", headers=headers, files=files, data=fields, timeout=DEADLINE)


@contextlib.contextmanager
def under_way(server: RunningServer, key: str, repeat_key: str | None = None) -> Iterator[tuple[socket.socket, bytes]]:
    """An upload that has begun: its connection, and what is still to be sent."""
    body, headers = multipart(PICTURE)
    if repeat_key:
        headers["Idempotency-Key"] = repeat_key
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head(key, headers, len(body)) + body[:100])
        eventually(lambda: server.server._services.uploads.queue.receiving == 1)
        yield connection, body[100:]


@pytest.mark.parametrize("data", [PICTURE, pictures.jpeg(pictures.noise(1000, 700)) + b"trailer"])
def test_a_repeat_gets_the_first_answer_and_costs_nothing(server: RunningServer, data: bytes) -> None:
    key = server.new_key()
    first = upload(server.url, key, "one", data, expiration="1w")
    again = upload(server.url, key, "one", data, expiration="1w")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert server.get("/api/quota", key).json()["used"] == 1
    assert server.files("spool") == []


def test_a_key_is_its_accounts_own(server: RunningServer) -> None:
    slugs = {upload(server.url, server.new_key(), "one").json()["slug"] for _ in range(2)}
    assert len(slugs) == 2


@pytest.mark.parametrize(
    "other", [{"data": pictures.jpeg()}, {"expiration": "1w"}, {"name": "b.jpg"}, {"password": "x"}]
)
def test_another_upload_with_the_same_key_is_a_conflict(server: RunningServer, other: dict[str, str]) -> None:
    key = server.new_key()
    upload(server.url, key, "one")
    refused = upload(server.url, key, "one", **other)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")
    assert server.get("/api/quota", key).json()["used"] == 1


def test_a_repeat_passes_an_exhausted_month(server: RunningServer) -> None:
    key = server.new_key()
    first = upload(server.url, key, "one")
    for _ in range(9):
        assert server.upload(key, PICTURE).status_code == 200
    assert upload(server.url, key, "two").json()["code"] == "quota_exceeded"
    assert upload(server.url, key, "one").json() == first.json()


def test_a_repeat_passes_a_full_queue(tmp_path: Path) -> None:
    with running(tmp_path, receive={"max_uploads": 1, "max_wait": 0}, imaging={"workers": 1}) as server:
        key = server.new_key()
        first = upload(server.url, key, "one")
        with under_way(server, key):
            assert upload(server.url, key, "two").json()["code"] == "overloaded"
            assert upload(server.url, key, "one").json() == first.json()


def test_a_failed_upload_frees_its_key(server: RunningServer) -> None:
    key = server.new_key()
    assert upload(server.url, key, "one", data=b"no picture").status_code == 415
    assert upload(server.url, key, "one", expiration="forever").status_code == 403
    assert upload(server.url, key, "one").status_code == 200


def test_while_the_first_runs_a_repeat_is_told_to_wait(server: RunningServer) -> None:
    key = server.new_key()
    with under_way(server, key, "one") as (connection, rest):
        refused = upload(server.url, key, "one")
        assert (refused.status_code, refused.json()["code"]) == (409, "in_progress")
        assert int(refused.headers["Retry-After"]) >= 1
        connection.sendall(rest)
        assert received(connection).startswith(b"HTTP/1.1 200")
    assert upload(server.url, key, "one").status_code == 409  # by another name: photo.jpg
    assert upload(server.url, key, "one", name="photo.jpg").headers["Idempotent-Replay"] == "true"


def test_a_client_that_leaves_frees_its_key(server: RunningServer) -> None:
    key = server.new_key()
    with under_way(server, key, "one"):
        pass
    eventually(lambda: upload(server.url, key, "one").status_code == 200)


def test_of_eight_at_once_one_is_stored(server: RunningServer) -> None:
    key = server.new_key()

    def insist(_: int) -> str:
        answer = eventually(lambda: (r := upload(server.url, key, "one")).status_code == 200 and r)
        return str(answer.json()["slug"])

    with ThreadPoolExecutor(8) as threads:
        slugs = set(threads.map(insist, range(8)))
    assert len(slugs) == 1
    assert server.get("/api/quota", key).json()["used"] == 1


def test_a_key_is_forgotten_after_a_day(server: RunningServer) -> None:
    key = server.new_key()
    first = upload(server.url, key, "one").json()
    try:
        server.clock.advance(DAY + 1)
        assert upload(server.url, key, "one").json()["slug"] != first["slug"]
    finally:
        server.clock.offset = 0


@pytest.mark.parametrize("repeat_key", ["", "a b", "ü", "x" * 256])
def test_a_key_that_cannot_be_is_refused(server: RunningServer, repeat_key: str) -> None:
    refused = upload(server.url, server.new_key(), repeat_key.encode().decode("latin-1"))
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_field")


def test_after_a_kill_a_repeat_is_the_same_upload_or_the_first(tmp_path: Path) -> None:
    """One that was answered is replayed; one that was cut off in its middle has left its key free."""
    key = told("user", "add", "a@example.org", "--data", str(tmp_path))["api_key"]
    with serving(tmp_path) as (process, url):
        first = upload(url, key, "answered").json()
        body, headers = multipart(PICTURE)
        headers["Idempotency-Key"] = "cut-off"
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            connection.sendall(request_head(key, headers, len(body)) + body[:100])
            requests.get(f"{url}/healthz", timeout=DEADLINE)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)
    with serving(tmp_path) as (_, url):
        assert upload(url, key, "answered").json()["slug"] == first["slug"]
        assert upload(url, key, "cut-off").status_code == 200
        quota = requests.get(f"{url}/api/quota", headers=bearer(key), timeout=DEADLINE).json()
    assert quota["used"] == 2
