"""Every code of docs/api.md, produced over HTTP: the table there and what a client sees are the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
import requests

from handlers.http import faults
from iuserver.errors import Code
from iuserver.records import MB
from tests import pictures
from tests.agents import Agent
from tests.conftest import LogGuard
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.surfaces.test_idempotency import upload as repeated

Cause = Callable[[RunningServer], requests.Response]
SMALL = {"limits": {"api_per_minute": 50}, "plans": {"free": {"max_file_mb": 1}, "starter": {"storage_mb": 1}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    imaging = {"workers": 1, "max_pixels": 10_000, "max_frames": 2, "max_scans": 2}
    with running(tmp_path_factory.mktemp("data"), imaging=imaging, **SMALL) as server:
        yield server


def free(server: RunningServer, data: bytes, **fields: str) -> requests.Response:
    return server.upload(server.new_key("free"), data, **fields)


def post(server: RunningServer, path: str, key: str, name: str) -> requests.Response:
    return requests.post(server.url + path, json={"name": name}, headers=bearer(key), timeout=DEADLINE)


def used_up(server: RunningServer) -> requests.Response:
    key = server.new_key("free")
    return [server.upload(key, pictures.jpeg()) for _ in range(11)][-1]


def too_fast(server: RunningServer) -> requests.Response:
    key = server.new_key("free")
    return [server.get("/api/quota", key) for _ in range(51)][-1]


def full(server: RunningServer) -> requests.Response:
    padded = pictures.png(pictures.noise(90, 90), icc_profile=pictures.icc_profile())
    key = server.new_key("starter")
    answer = server.upload(key, padded)
    while answer.status_code == 200:
        answer = server.upload(key, padded)
    return answer


def twice(server: RunningServer, make: Callable[[str], requests.Response]) -> requests.Response:
    key = server.new_key("pro")
    make(key)
    return make(key)


def folders(server: RunningServer) -> requests.Response:
    key = server.new_key("free")
    for number in range(200):
        post(server, "/api/folders", key, f"n{number}")
        server.clock.advance(2)
    return post(server, "/api/folders", key, "one more")


def conflict(server: RunningServer) -> requests.Response:
    key = server.new_key()
    repeated(server.url, key, "one")
    return repeated(server.url, key, "one", data=pictures.png())


def ticket_twice(server: RunningServer) -> requests.Response:
    url = Agent(server, server.new_key()).done("create_upload_ticket")["upload_url"]
    return [requests.put(url, data=pictures.jpeg(), timeout=DEADLINE) for _ in range(2)][-1]


def locked(server: RunningServer) -> str:
    url: str = free(server, pictures.jpeg(), password="pw").json()["direct_url"]
    return url


def blocked(server: RunningServer) -> requests.Response:
    image = free(server, pictures.jpeg(seeded := pictures.noise(seed=5))).json()
    moderation = server.server._services.moderation
    server.call(moderation.block_image(image["slug"], "test"))
    server.clock.advance(2)
    return free(server, pictures.jpeg(seeded))


CAUSES: dict[str, Cause] = {
    "missing_key": lambda server: server.get("/api/quota"),
    "invalid_key": lambda server: server.get("/api/quota", "iu_live_wrong"),
    "rate_limited": too_fast,
    "quota_exceeded": used_up,
    "too_large": lambda server: free(server, b"\xff\xd8\xff" + b"x" * 2 * MB),
    "unsupported_type": lambda server: free(server, b"no picture"),
    "broken_image": lambda server: free(server, pictures.jpeg()[:-9]),
    "too_many_pixels": lambda server: free(server, pictures.jpeg(pictures.noise(200, 200))),
    "too_many_frames": lambda server: free(server, pictures.phone_gif(3)),
    "too_many_scans": lambda server: free(server, pictures.jpeg(progressive=True)),
    "bad_field": lambda server: free(server, pictures.jpeg(), expiration="soon"),
    "bad_body": lambda server: free(server, b""),
    "storage_quota_exceeded": full,
    "folder_limit": folders,
    "plan_required": lambda server: free(server, pictures.jpeg(), expiration="forever"),
    "blocked": blocked,
    "password_required": lambda server: server.get(locked(server)),
    "wrong_password": lambda server: server.get(locked(server), **{"X-Image-Password": "wrong"}),
    "forbidden": lambda server: server.get(
        free(server, pictures.jpeg(), expiration="burn").json()["direct_url"], **{"Sec-Purpose": "prefetch"}
    ),
    "not_found": lambda server: server.get("/f/aaaaaaaa.jpg"),
    "method_not_allowed": lambda server: requests.put(f"{server.url}/healthz", timeout=DEADLINE),
    "not_implemented": lambda server: requests.request("BREW", f"{server.url}/healthz", timeout=DEADLINE),
    "slug_taken": lambda server: twice(server, lambda key: server.upload(key, pictures.jpeg(), custom_slug="mine")),
    "name_taken": lambda server: twice(server, lambda key: post(server, "/api/folders", key, "same")),
    "idempotency_conflict": conflict,
    "ticket_used": ticket_twice,
}
# These need a client that stops in its middle, a lock or a bug; each has a test of that name or kind elsewhere.
ELSEWHERE = {
    "headers_too_large": "test_heads.py test_a_larger_one_is_answered_431",
    "overloaded": "test_upload.py test_a_full_queue_answers_503_at_once",
    "read_only": "test_read_only.py test_what_is_there_is_shown_and_every_change_is_refused",
    "in_progress": "test_idempotency.py test_while_the_first_runs_a_repeat_is_told_to_wait",
    "timeout": "test_upload.py test_a_body_that_comes_too_slowly_is_answered_408",
    "storage_unavailable": "test_codes.py test_a_catalog_that_somebody_else_has_locked_is_not_available",
    "internal": "test_upload.py test_a_bug_is_a_500_that_tells_nothing_but_its_request_id",
}


@pytest.mark.parametrize("code", CAUSES)
def test_a_code_comes_with_its_status(server: RunningServer, code: Code) -> None:
    try:
        response = CAUSES[code](server)
    finally:
        server.clock.advance(600)  # the next one begins with full buckets
    assert (response.status_code, response.json()["code"]) == (faults.STATUS[code][0], code)
    assert len(response.json()["error"]) > 8
    assert ("Retry-After" in response.headers) == (response.status_code in (429, 503))
    assert response.headers["X-Request-Id"]


def test_no_code_is_without_a_test() -> None:
    assert set(CAUSES) | set(ELSEWHERE) == set(get_args(Code))
    for place in ELSEWHERE.values():
        file, name = place.split()
        assert f"def {name}(" in (Path(__file__).parent / file).read_text()


def test_a_catalog_that_somebody_else_has_locked_is_not_available(server: RunningServer, log_guard: LogGuard) -> None:
    """And goes on when the lock is gone: nothing was stored, nothing counted."""
    log_guard.allow(r"^request \w+: The catalog is not available")
    key = server.new_key()
    before = len(server.blobs())
    with sqlite3.connect(server.data / "catalog.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = server.upload(key, pictures.jpeg())
        other.execute("ROLLBACK")
    other.close()
    assert (refused.status_code, refused.json()["code"]) == (502, "storage_unavailable")
    assert server.get("/api/quota", key).json()["used"] == 0
    assert server.upload(key, pictures.jpeg()).json()["quota"]["used"] == 1
    assert len(server.blobs()) == before + 2  # the first one's is the janitor's
