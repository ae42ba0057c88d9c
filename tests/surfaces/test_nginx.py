"""Behind nginx with the configuration that is shipped: pictures from its disk and its cache, bodies, refusals."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from iuserver.records import MB
from tests import pictures
from tests.nginx import nginx
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.surfaces.test_cli import command
from tests.surfaces.test_upload import multipart, request_head

pytestmark = pytest.mark.slow

PICTURE = pictures.png(pictures.noise(200, 100))
IGNORED = {"date", "x-request-id", "connection", "server"}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "x_accel"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    settings = {
        "limits": {"api_per_minute": 0},
        "imaging": {"workers": 2},
        "plans": {"business": {"max_file_mb": 100}},
        "delivery": {"x_accel": request.param},
        "server": {"trusted_proxies": ("127.0.0.1/32",)},
    }
    with (
        running(tmp_path_factory.mktemp("data"), **settings) as server,
        nginx([address(server)], tmp_path_factory.mktemp("nginx"), blobs=server.data / "blobs") as url,
    ):
        yield Behind(server, url, request.param)


class Behind:
    """A server and nginx in front of it."""

    def __init__(self, server: RunningServer, url: str, x_accel: bool) -> None:
        self.server = server
        self.url = url
        self.x_accel = x_accel
        self.key = server.new_key("business")

    def upload(self, data: bytes = PICTURE, **fields: str) -> requests.Response:
        files, headers = {"file": ("große.png", data)}, bearer(self.key)
        return requests.post(f"{self.url}/api/upload", headers=headers, files=files, data=fields, timeout=60)

    def path(self, **fields: str) -> str:
        answer = self.upload(**fields).json()
        assert answer["direct_url"].startswith(self.url)
        return str(answer["direct_url"].removeprefix(self.url))

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=DEADLINE, allow_redirects=False)

    def direct(self, path: str) -> requests.Response:
        """The same from the server itself, for a client that is no trusted proxy."""
        with requests.Session() as session:
            session.mount("http://", _Elsewhere())
            return session.get(self.server.url + path, timeout=DEADLINE)


class _Elsewhere(HTTPAdapter):
    """Connections that come from another address of this machine."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **{**options, "source_address": ("127.0.0.2", 0)})  # type: ignore[no-untyped-call]


def address(server: RunningServer) -> str:
    return server.url.removeprefix("http://")


def headers_of(response: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items() if name.lower() not in IGNORED}


def test_a_picture_is_the_same_as_without_nginx(behind: Behind) -> None:
    path = behind.path()
    through, direct = behind.get(path), behind.direct(path)
    assert (through.status_code, through.content) == (200, PICTURE)
    assert headers_of(through) == headers_of(direct)
    assert len(through.headers["X-Request-Id"]) == len(direct.headers["X-Request-Id"])


def test_head_has_the_headers_alone(behind: Behind) -> None:
    path = behind.path()
    head = requests.head(behind.url + path, timeout=DEADLINE)
    assert (head.status_code, head.content) == (200, b"")
    assert headers_of(head) == headers_of(behind.get(path))


def test_ranges(behind: Behind) -> None:
    path = behind.path()
    etag = behind.get(path).headers["ETag"]
    for headers, status, content in (
        ({"Range": "bytes=10-19"}, 206, PICTURE[10:20]),
        ({"Range": "bytes=-5"}, 206, PICTURE[-5:]),
        ({"Range": "bytes=10-", "If-Range": etag}, 206, PICTURE[10:]),
        ({"Range": "bytes=10-", "If-Range": '"another"'}, 200, PICTURE),
    ):
        part = behind.get(path, **headers)
        assert (part.status_code, part.content) == (status, content)
        assert part.headers["ETag"] == etag
    assert behind.get(path, Range=f"bytes={len(PICTURE)}-").status_code == 416


def test_what_a_client_has_is_not_sent_again(behind: Behind) -> None:
    path = behind.path()
    etag = behind.get(path).headers["ETag"]
    for _ in range(2):  # the second time from the cache, where there is one
        assert (behind.get(path, **{"If-None-Match": etag}).status_code) == 304
        assert (behind.get(path, **{"If-None-Match": f"W/{etag}"}).status_code) == 304
        assert (behind.get(path, **{"If-None-Match": '"another"'}).content) == PICTURE
        since = {"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}
        assert (behind.get(path, **since).status_code) == 200


def test_a_gated_picture_is_decided_every_time(behind: Behind) -> None:
    burn, locked = behind.path(expiration="burn"), behind.path(password="open sesame")
    assert requests.head(behind.url + burn, timeout=DEADLINE).status_code == 200
    shown = [behind.get(burn) for _ in range(2)]
    assert [answer.status_code for answer in shown] == [200, 404]
    assert shown[0].content == PICTURE
    for _ in range(2):
        assert behind.get(locked).status_code == 401
        opened = behind.get(locked, **{"X-Image-Password": "open sesame"})
        assert (opened.status_code, opened.content) == (200, PICTURE)
        assert opened.headers["Cache-Control"] == "private, no-store"


def test_what_is_deleted_is_gone_within_a_second(behind: Behind) -> None:
    path = behind.path()
    assert behind.get(path).status_code == 200
    slug = path.removeprefix("/f/").partition(".")[0]
    requests.delete(f"{behind.url}/api/images/{slug}", headers=bearer(behind.key), timeout=DEADLINE)
    deleted = time.monotonic()
    eventually(lambda: behind.get(path).status_code == 404)
    assert time.monotonic() - deleted < 5  # a second, and what a busy machine takes


def test_the_files_of_pictures_are_nobodys_to_ask_for(behind: Behind) -> None:
    behind.path()
    (blob, *_) = behind.server.files("blobs")
    path = f"/iuserver-blobs/{blob.parent.name}/{blob.name}"
    assert behind.get(path).status_code == 404
    assert behind.get(path, **{"X-Accel-Redirect": path}).status_code == 404


def test_who_is_no_proxy_gets_the_bytes_from_the_server(behind: Behind) -> None:
    direct = behind.direct(behind.path())
    assert (direct.status_code, direct.content) == (200, PICTURE)
    assert not any(name.startswith("X-Accel") for name in direct.headers)


def test_a_file_of_the_largest_size_is_taken_and_one_byte_more_refused(behind: Behind) -> None:
    largest = PICTURE + bytes(100 * MB - len(PICTURE))
    assert behind.upload(largest).status_code == 200
    refused = behind.upload(largest + b"\0")
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


def test_a_slow_client_is_served(behind: Behind) -> None:
    """Its body goes on to the server while it comes: nginx keeps none of it back."""
    body, headers = multipart(PICTURE)
    host, port = behind.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), DEADLINE) as connection:
        connection.sendall(request_head(behind.key, headers, len(body)) + body[:1000])
        eventually(lambda: behind.server.server._services.uploads.queue.receiving == 1)
        for start in range(1000, len(body), 5000):
            connection.sendall(body[start : start + 5000])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_an_early_refusal_is_answered(behind: Behind) -> None:
    body, headers = multipart(b"\xff\xd8\xff" + b"\0" * 4 * MB)
    for _ in range(10):
        answer = requests.post(
            f"{behind.url}/api/upload", data=body, headers={**headers, **bearer("iu_live_wrong")}, timeout=DEADLINE
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


def test_x_accel_needs_blobs_on_disk(s3_url: str, tmp_path: Path) -> None:
    environ = {"IUSERVER_DELIVERY_X_ACCEL": "true", "IUSERVER_BLOBS_URL": s3_url}
    done = command("serve", "--data", str(tmp_path), "--port", "0", **environ)
    assert done.returncode == 2
    assert done.stderr.startswith("iuserver: delivery.x_accel: must be false with blobs.url")


def test_a_picture_that_many_ask_for_is_asked_for_once_a_second(behind: Behind) -> None:
    """Where the server sends the bytes itself; what nginx reads from the disk needs no cache."""
    path = behind.path()
    before, asked = decisions(behind.server), 50
    for _ in range(asked):
        assert behind.get(path).content == PICTURE
    answered = decisions(behind.server) - before
    assert answered == asked if behind.x_accel else answered < asked


def decisions(server: RunningServer) -> int:
    """How many requests for pictures the server has answered."""
    text = server.server._services.metrics.text().decode()
    found = re.search(r'^iuserver_requests_total\{route="file",status="200"\} ([0-9.]+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0
