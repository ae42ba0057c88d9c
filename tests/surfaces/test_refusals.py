"""Refusals of large bodies at every stage, directly and behind nginx: an answer, never a reset or a 502."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from iuserver.records import MB
from tests import pictures
from tests.nginx import nginx
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_upload import multipart, request_head

ROOT = Path(__file__).parents[2]
HTTP_NODE = Path(os.environ.get("TEST_CLIENTS", ROOT / ".venv")) / "http-node"
CALLS = 200
BODY = multipart(b"\xff\xd8\xff" + b"\0" * 4 * MB)
LARGE = multipart(b"\xff\xd8\xff" + b"\0" * 30 * MB)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = {
        "limits": {"api_per_minute": 0},
        "plans": {"free": {"max_file_mb": 1}, "starter": {"uploads_per_month": 1}},
        "receive": {"per_account": 1, "max_wait": 0},
        "imaging": {"workers": 2},
    }
    with running(tmp_path_factory.mktemp("data"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def behind_nginx(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with proxied(server, tmp_path_factory.mktemp("nginx")) as url:
        yield url


@contextlib.contextmanager
def proxied(server: RunningServer, folder: Path, **changes: str) -> Iterator[str]:
    with nginx([server.url.removeprefix("http://")], folder, **changes) as url:
        yield url


@pytest.fixture(params=["directly", "behind nginx"])
def url(request: pytest.FixtureRequest, server: RunningServer) -> str:
    return server.url if request.param == "directly" else str(request.getfixturevalue("behind_nginx"))


def refusals(url: str, key: str, body: tuple[bytes, dict[str, str]], number: int) -> Counter[tuple[int, str]]:
    """What so many uploads are answered, four at a time."""

    def one(_: int) -> tuple[int, str]:
        headers = {**body[1], **bearer(key)}
        response = requests.post(f"{url}/api/upload", data=body[0], headers=headers, timeout=DEADLINE)
        return response.status_code, response.json()["code"]

    with ThreadPoolExecutor(4) as threads:
        return Counter(threads.map(one, range(number)))


def test_one_address_has_so_many_requests_under_way(server: RunningServer, tmp_path: Path) -> None:
    """nginx refuses one more as iuserver would; it has room again when one of them has ended."""
    with proxied(server, tmp_path, limit_conn="addresses 2") as url, contextlib.ExitStack() as stack:
        host, port = url.removeprefix("http://").split(":")
        for _ in range(2):  # uploads that are let in, and wait for their bodies
            head = request_head(server.new_key(), {"Content-Type": "multipart/form-data; boundary=b"}, 100_000)
            stack.enter_context(socket.create_connection((host, int(port)), DEADLINE)).sendall(head)

        def status() -> int:
            return requests.get(f"{url}/healthz", timeout=DEADLINE).status_code

        eventually(lambda: status() == 503)
        refused = requests.get(f"{url}/healthz", timeout=DEADLINE)
        assert refused.json() == {"error": "Upload queue overloaded, retry shortly", "code": "overloaded"}
        assert refused.headers["Retry-After"] == "5"
        assert refused.headers["Content-Type"] == "application/json"
        stack.close()
        eventually(lambda: status() == 200)


def exhausted(server: RunningServer) -> str:
    key = server.new_key("starter")
    assert server.upload(key, pictures.jpeg()).status_code == 200
    return key


STAGES: dict[str, tuple[Callable[[RunningServer], str], tuple[int, str]]] = {
    "a wrong key": (lambda server: "iu_live_wrong", (401, "invalid_key")),
    "an exhausted month": (exhausted, (429, "quota_exceeded")),
    "a file over the plan's size": (lambda server: server.new_key("free"), (413, "too_large")),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_body_refused_before_it_is_read_gets_its_answer(server: RunningServer, url: str, stage: str) -> None:
    make_key, expected = STAGES[stage]
    assert refusals(url, make_key(server), BODY, 40) == {expected: 40}


def test_a_body_refused_by_a_full_queue_gets_its_answer(server: RunningServer, url: str) -> None:
    key = server.new_key("pro")
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        body, headers = multipart(pictures.jpeg())
        connection.sendall(request_head(key, headers, len(body)) + body[:100])
        eventually(lambda: server.server._services.uploads.queue.receiving == 1)
        assert refusals(url, key, BODY, 40) == {(503, "overloaded"): 40}
    eventually(lambda: server.server._services.uploads.queue.receiving == 0)


def test_a_body_refused_in_its_middle_or_at_its_end_gets_its_answer(server: RunningServer, url: str) -> None:
    key = server.new_key("business")
    twice = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 2 + BODY[0]
    for _ in range(20):
        assert refusals(url, key, (twice, BODY[1]), 1) == {(400, "bad_field"): 1}
        assert refusals(url, key, BODY, 1) == {(400, "broken_image"): 1}


def test_a_large_body_with_a_right_key_is_drained_whole(server: RunningServer, url: str) -> None:
    assert refusals(url, exhausted(server), LARGE, 20) == {(429, "quota_exceeded"): 20}


@pytest.mark.parametrize("size", [46 << 10, 750 << 10, 30 * MB])
@pytest.mark.parametrize("library", ["undici", "got"])
def test_no_call_behind_a_refusal_is_lost(url: str, library: str, size: int) -> None:
    """By clients that send one request after the other on one connection, and repeat none."""
    node = HTTP_NODE / "node_modules/.bin/node"
    assert node.exists(), f"{node} is missing: `make test-slow` makes it"
    told = subprocess.run(
        [node, "--input-type=module", "-", library, url, str(CALLS), str(size)],
        input=(ROOT / "tests/clients/keep_alive.mjs").read_text(),
        cwd=HTTP_NODE,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(told.stdout) == {"401": CALLS, "200": CALLS}
