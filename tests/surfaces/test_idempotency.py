"""Idempotency-Key: an upload that is repeated is stored and counted once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver import uploads
from iuserver.backends import open_catalog_at
from iuserver.catalog import schema
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.policy import DAY, LEASE_SECONDS, month_start
from iuserver.records import Claim, IdempotentResult
from iuserver.server import janitor_of
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


# What is left of an answer.


def rows(server: RunningServer) -> list[dict[str, Any]]:
    """What the catalog keeps of idempotency keys."""

    async def listed() -> list[dict[str, Any]]:
        catalog = await open_catalog_at(server.server.settings.catalog.url, server.server.settings)
        try:
            return [row async for batch in catalog.rows("idempotency_keys", None, 99) for row in batch]
        finally:
            await catalog.close()

    return asyncio.run(listed())


@pytest.mark.parametrize("ending", ["burnt", "deleted"])
def test_of_an_image_that_is_gone_nothing_is_left_but_that_its_key_was_used(tmp_path: Path, ending: str) -> None:
    fields = {"name": "my-private-name.jpg", "password": "a password"}
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key()
        first = upload(server.url, key, "one", expiration="burn", **fields).json()
        assert "my-private-name" in repr(rows(server))
        if ending == "burnt":
            assert server.get(first["direct_url"], **{"X-Image-Password": "a password"}).status_code == 200
            server.call(janitor_of(server.server._services.library, server.data, lambda: True).tidy())
        else:
            requests.delete(f"{server.url}/api/images/{first['slug']}", headers=bearer(key), timeout=DEADLINE)
        (left,) = rows(server)
        assert (left["key"], left["fingerprint"], left["answer"], left["blob"]) == ("one", b"", None, "")
        again = upload(server.url, key, "one", expiration="burn", **fields)
        assert (again.status_code, again.json()["code"]) == (409, "idempotency_conflict")
        assert server.get("/api/quota", key).json()["used"] == 1
        server.clock.advance(DAY + 1)
        assert upload(server.url, key, "one", expiration="burn", **fields).status_code == 200


@pytest.mark.embedded
def test_nothing_of_a_burnt_image_is_left_in_the_catalogs_file(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key()
        for number in range(5):
            answer = upload(
                server.url, key, f"key{number}", name=f"private-name-{number}.jpg", expiration="burn"
            ).json()
            assert server.get(answer["direct_url"]).status_code == 200
        server.call(janitor_of(server.server._services.library, server.data, lambda: True).tidy())
    assert b"private-name-" not in b"".join(file.read_bytes() for file in tmp_path.glob("catalog.db*"))


@pytest.mark.parametrize(("password", "status"), [("right", 200), ("wrong", 409), ("", 409), ("x" * 300, 409)])
def test_a_repeat_with_a_password_must_have_the_same(server: RunningServer, password: str, status: int) -> None:
    key = server.new_key()
    first = upload(server.url, key, "one", password="right")
    again = upload(server.url, key, "one", password=password)
    assert again.status_code == status
    assert (again.json() == first.json()) == (status == 200)


def test_nothing_fast_is_made_of_a_password(tmp_path: Path) -> None:
    """Whatever the password is, the fingerprint is the same: there is nothing to guess at but argon2's hash."""
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key()
        for number, password in enumerate(("one", "another", "")):
            assert upload(server.url, key, f"key{number}", password=password).status_code == 200
        assert len({row["fingerprint"] for row in rows(server)}) == 1


FIRST_OF_0_1_0 = (
    b'{"image":{"slug":"%s","blob":"%s","account_id":"a1","filename":"cat.jpg","ext":"jpg","mime":"image/jpeg",'
    b'"size":1000,"width":3,"height":2,"expiration":"1w","expires_at":1795600000,"view_limit":null,'
    b'"password_hash":%s,"folder":null,"upload_source":"api","created_at":1795000000,"views":0,"viewed_at":null,'
    b'"let_go_at":null,"buried_at":null},"quota":{"used":1,"limit":10,"plan":"free"},"replayed":false}'
)


@pytest.mark.embedded
def test_what_0_1_0_has_kept_still_stands_but_of_passwords_and_gone_images_nothing_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are as 0.1.0 wrote them; its fingerprint of an upload without a password is today's."""
    path, fingerprint = tmp_path / "catalog.db", uploads._sha256(b"bytes", ["cat.jpg", "expiration=1w"])
    connection = sqlite3.connect(path, isolation_level=None)
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:8])
        schema.migrate(connection)
    insert_image = "INSERT INTO images SELECT ?, ?, 'a1', 'cat.jpg', 'jpg', 'image/jpeg', 1000, 3, 2, '1w', 1, NULL, "
    insert_image += "NULL, NULL, 'api', 1, 0, NULL, NULL, ?"
    for name, password, there, buried_at in (
        ("plain", b"null", True, None),
        ("locked", b'"$argon2id$"', True, None),
        ("buried", b"null", True, 7),
        ("deleted", b"null", False, None),
    ):
        blob = name.encode().hex()
        answer = FIRST_OF_0_1_0 % (name.encode(), blob.encode(), password)
        kept = ("a1", name, 1000, 1100, fingerprint, answer)
        connection.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)", kept)
        if there:
            connection.execute(insert_image, (name, blob, buried_at))
    connection.execute("INSERT INTO idempotency_keys VALUES ('a1', 'claimed', 1000, 1100, NULL, NULL)")
    connection.close()

    async def work() -> None:
        catalog = SqliteCatalog(path)
        found = {}
        for name in ("plain", "locked", "buried", "deleted", "claimed"):
            found[name] = await catalog.claim_key("a1", Claim(name, "t"), 1101, 1201)
        await catalog.close()
        plain = found.pop("plain")
        assert plain
        assert plain.stored
        assert (plain.fingerprint, plain.stored.image.slug) == (fingerprint, "plain")
        assert found == {**dict.fromkeys(("locked", "buried", "deleted"), IdempotentResult(b"", None)), "claimed": None}

    asyncio.run(work())


# Claims and their leases.


class HeldStore:
    """The first upload's storing, which waits until it is let go."""

    def __init__(self, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store = server.server._services.uploads.store.store
        self.reached, self._go = threading.Event(), threading.Event()
        monkeypatch.setattr(server.server._services.uploads.store, "store", self._wait)

    async def _wait(self, *arguments: Any) -> Any:
        if not self.reached.is_set():
            self.reached.set()
            await asyncio.get_running_loop().run_in_executor(None, self._go.wait, DEADLINE)
        return await self._store(*arguments)

    def let_go(self, upload: Future[requests.Response]) -> requests.Response:
        """The answer of the upload that waits."""
        self._go.set()
        return upload.result(DEADLINE)


def test_a_claim_is_renewed_for_as_long_as_its_upload_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long after its body has come, too: a put may take minutes."""
    monkeypatch.setattr(uploads, "RENEW_SECONDS", 0.05)
    with running(tmp_path, imaging={"workers": 1}) as server, ThreadPoolExecutor() as threads:
        key, renewed = server.new_key(), threading.Event()
        catalog: Any = server.server._services.uploads.catalog
        renew = catalog.renew_key

        async def renew_key(*arguments: Any) -> None:
            await renew(*arguments)
            renewed.set()

        monkeypatch.setattr(catalog, "renew_key", renew_key)
        put = HeldStore(server, monkeypatch)
        first = threads.submit(upload, server.url, key, "one")
        assert put.reached.wait(DEADLINE)
        for _ in range(3):
            server.clock.advance(LEASE_SECONDS - 10)
            renewed.clear()
            assert renewed.wait(DEADLINE)
            renewed.clear()
            assert renewed.wait(DEADLINE), "the one before may have been begun before the clock went on"
            assert upload(server.url, key, "one").json()["code"] == "in_progress"
        assert put.let_go(first).status_code == 200
        assert upload(server.url, key, "one").headers["Idempotent-Replay"] == "true"
        renewed.clear()
        assert not renewed.wait(0.3), "nothing renews what is over"


def test_who_has_lost_its_claim_stores_nothing_and_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server, ThreadPoolExecutor() as threads:
        key = server.new_key()
        put = HeldStore(server, monkeypatch)
        late = threads.submit(upload, server.url, key, "one")
        assert put.reached.wait(DEADLINE)
        server.clock.advance(LEASE_SECONDS + 1)  # as if nothing had been renewed
        stored = upload(server.url, key, "one")
        assert stored.status_code == 200
        refused = put.let_go(late)
        assert (refused.status_code, refused.json()["code"]) == (409, "in_progress")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "taken over" in refused.json()["error"]
        assert server.get("/api/quota", key).json()["used"] == 1
        assert server.get("/api/images", key).json()["total"] == 1
        assert len(server.blobs()) == 1
        assert server.files("spool") == []
        assert upload(server.url, key, "one").json() == stored.json()


def test_uploads_in_flight_when_a_month_begins_are_counted_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count goes on; it does not go back to November, and then begin December anew."""
    plans = {"free": {"uploads_per_month": 2}}
    with running(tmp_path, imaging={"workers": 1}, plans=plans) as server, ThreadPoolExecutor() as threads:
        key = server.new_key()
        server.clock.set(month_start("2026-12") - 5)
        put = HeldStore(server, monkeypatch)
        late = threads.submit(server.upload, key, PICTURE)
        assert put.reached.wait(DEADLINE)
        server.clock.set(month_start("2026-12") + 5)
        assert server.upload(key, PICTURE).json()["quota"]["used"] == 1
        assert put.let_go(late).json()["quota"]["used"] == 2
        assert server.upload(key, PICTURE).json()["code"] == "quota_exceeded"
        assert server.get("/api/quota", key).json()["used"] == 2
        told: list[str] = []
        janitor = janitor_of(server.server._services.library, server.data, lambda: True)
        assert server.call(janitor.check(told.append)).problems == 0, told
        server.clock.set(month_start("2026-12") - 5)  # a node whose clock is behind
        assert server.upload(key, PICTURE).json()["code"] == "quota_exceeded"
        assert server.get("/api/quota", key).json()["used"] == 2
