"""A whole server with its bytes on S3: what users see, redirects, an S3 that is away, and what cannot start."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from iuserver.server import janitor_of
from tests import pictures
from tests.conftest import LogGuard
from tests.contracts.test_blobs import listed
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.s3_server import S3Server, connected, free_port, location
from tests.surfaces.test_cli import command

BIG = pictures.png(pictures.noise(700, 500))  # a megabyte
AWAY = {"error": "The image store is not available", "code": "storage_unavailable"}


def keys_at(url: str) -> list[str]:
    async def look() -> list[str]:
        blobs = await connected(url)
        try:
            return list(await listed(blobs))
        finally:
            await blobs.close()

    return asyncio.run(look())


@pytest.fixture(scope="module")
def url(s3_endpoint: str) -> str:
    return location(s3_endpoint)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("data"), blobs={"url": url}, limits={"api_per_minute": 0}) as server:
        yield server


def test_a_picture_is_stored_read_and_deleted(server: RunningServer, url: str) -> None:
    key = server.new_key("pro")
    before = keys_at(url)
    stored = server.upload(key, BIG, "noise.png").json()
    assert len(keys_at(url)) == len(before) + 1
    assert server.files("blobs") == []
    assert server.files("spool") == []
    link = stored["direct_url"]
    whole = server.get(link)
    assert (whole.status_code, whole.content) == (200, BIG)
    part = server.get(link, Range="bytes=500000-500009")
    assert (part.status_code, part.content) == (206, BIG[500_000:500_010])
    assert server.get(link, **{"If-None-Match": whole.headers["ETag"]}).status_code == 304
    head = requests.head(link, timeout=DEADLINE)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(BIG)))
    gone = requests.delete(f"{server.url}/api/images/{stored['slug']}", headers=bearer(key), timeout=DEADLINE)
    assert gone.status_code == 200
    assert server.get(link).status_code == 404
    assert keys_at(url) == before


def test_many_uploads_and_reads_at_once(server: RunningServer) -> None:
    key, data = server.new_key("pro"), pictures.phone_jpeg()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: server.upload(key, data), range(48)))
        assert {answer.status_code for answer in answers} == {200}
        links = [answer.json()["direct_url"] for answer in answers]
        assert {server.get(link).content for link in links} == {server.get(links[0]).content}
        assert {read.status_code for read in threads.map(server.get, links)} == {200}


def test_the_janitor_removes_what_has_no_record(server: RunningServer, url: str, tmp_path: Path) -> None:
    server.upload(server.new_key(), pictures.phone_jpeg())
    library = server.server._services.library
    known = set(keys_at(url))
    (tmp_path / "x").write_bytes(b"x")
    server.call(library.blobs.put("0f" * 16, str(tmp_path / "x")))
    server.call(library.blobs.request("create_multipart_upload", Key=f"{library.blobs._prefix}{'1f' * 16}"))  # type: ignore[attr-defined]
    assert set(keys_at(url)) - known == {"0f" * 16, f"{'1f' * 16}.part"}
    janitor = janitor_of(library, server.data, serving=lambda: True)
    assert server.call(janitor.sweep()).blobs == 0  # they are too young
    server.clock.advance(2 * 3600)
    try:
        assert server.call(janitor.sweep()).blobs == 2
    finally:
        server.clock.offset = 0.0
    assert set(keys_at(url)) == known


@pytest.fixture(scope="module")
def redirecting(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> Iterator[RunningServer]:
    settings = {"blobs": {"url": location(s3_endpoint)}, "delivery": {"presign": 300}, "limits": {"api_per_minute": 0}}
    with running(tmp_path_factory.mktemp("data"), **settings) as server:  # type: ignore[arg-type]
        yield server


def redirect(link: str, **headers: str) -> requests.Response:
    return requests.get(link, headers=headers, allow_redirects=False, timeout=DEADLINE)


def test_readers_of_ungated_pictures_are_sent_to_s3(redirecting: RunningServer, s3_endpoint: str) -> None:
    link = redirecting.upload(redirecting.new_key("pro"), BIG, "bild ä.png").json()["direct_url"]
    sent = redirect(link)
    assert (sent.status_code, sent.headers["Cache-Control"]) == (307, "no-store")
    target = sent.headers["Location"]
    assert target.startswith(f"{s3_endpoint}/")
    assert parse_qs(urlsplit(target).query)["X-Amz-Expires"] == ["300"]
    there = requests.get(target, timeout=DEADLINE)
    assert (there.status_code, there.content) == (200, BIG)
    assert there.headers["Content-Type"] == "image/png"
    assert there.headers["Content-Disposition"] == "inline; filename=\"bild _.png\"; filename*=UTF-8''bild%20%C3%A4.png"
    assert there.headers["Cache-Control"] == "public, max-age=3600"
    assert "iu_live" not in target
    assert requests.head(link, allow_redirects=False, timeout=DEADLINE).headers["Content-Length"] == str(len(BIG))


def test_a_presigned_url_lives_no_longer_than_the_picture(redirecting: RunningServer) -> None:
    stored = redirecting.upload(redirecting.new_key("pro"), pictures.phone_jpeg(), expiration="1d").json()
    redirecting.clock.set(stored["expires_at"] - 100)
    try:
        target = redirect(stored["direct_url"]).headers["Location"]
        assert 98 <= int(parse_qs(urlsplit(target).query)["X-Amz-Expires"][0]) <= 100
        assert re.fullmatch(
            r"public, max-age=(9\d|100)", requests.get(target, timeout=DEADLINE).headers["Cache-Control"]
        )
        redirecting.clock.set(stored["expires_at"])
        assert redirect(stored["direct_url"]).status_code == 404
    finally:
        redirecting.clock.offset = 0.0


@pytest.mark.parametrize(
    "gate", [{"password": "secret"}, {"expiration": "burn"}, {"expiration": "views", "view_limit": "3"}]
)
def test_gated_pictures_are_never_redirected(redirecting: RunningServer, gate: dict[str, str]) -> None:
    key = redirecting.new_key("pro")
    link = redirecting.upload(key, pictures.phone_jpeg(), **gate).json()["direct_url"]
    own = redirect(link, **bearer(key))  # uses up nothing
    assert "Location" not in own.headers
    assert "Location" not in redirect(link).headers
    assert (own.status_code, own.headers["Cache-Control"]) == (200, "private, no-store")


def test_an_s3_that_is_away_is_told_and_one_that_is_back_is_used(
    own_s3: S3Server, tmp_path: Path, log_guard: LogGuard
) -> None:
    log_guard.allow(r"The image store is not available")
    with running(tmp_path / "data", blobs={"url": location(own_s3.endpoint)}, limits={"api_per_minute": 0}) as server:
        key = server.new_key()
        link = server.upload(key, pictures.phone_jpeg()).json()["direct_url"]
        own_s3.kill()
        for answer in (server.upload(key, pictures.phone_jpeg()), server.get(link)):
            assert (answer.status_code, answer.json()) == (502, AWAY)
        own_s3.start()
        assert server.get(link).status_code == 200
        assert server.upload(key, pictures.phone_jpeg()).json()["quota"]["used"] == 2
        assert server.files("spool") == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"IUSERVER_BLOBS_URL": "s3://iuserver-nowhere?endpoint={endpoint}"}, "blobs.url: .*NoSuchBucket"),
        ({"IUSERVER_BLOBS_URL": "s3://bucket?endpoint=http://127.0.0.1:{closed}"}, "blobs.url: .*127.0.0.1:"),
        ({"IUSERVER_BLOBS_URL": "s3://bucket?edge=1"}, "blobs.url"),
        ({"IUSERVER_BLOBS_URL": "s3://bucket", "AWS_PROFILE": "nobody"}, "blobs.url: .*nobody"),
        ({"IUSERVER_DELIVERY_PRESIGN": "60"}, "delivery.presign"),
    ],
)
def test_a_server_without_its_bucket_does_not_start(
    s3_endpoint: str, tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    filled = {name: value.format(endpoint=s3_endpoint, closed=free_port()) for name, value in environ.items()}
    done = command("serve", "--data", str(tmp_path), "--port", "0", **filled)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"iuserver: {named}[^\n]*\n", done.stderr)
    assert "test-secret" not in done.stderr
