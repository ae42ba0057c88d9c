"""POST /api/upload as a client sees it: what is answered, what is stored, what is counted."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.policy import DAY, month_of
from iuserver.records import MB
from tests import pictures
from tests.agents import Agent
from tests.conftest import LogGuard
from tests.pictures import SECRET
from tests.running import DEADLINE, RunningServer, bearer, eventually, running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose free plan has 1 MB files and 2 MB of storage, and five calls a minute."""
    with running(
        tmp_path_factory.mktemp("small"),
        limits={"api_per_minute": 5},
        plans={"free": {"max_file_mb": 1, "storage_mb": 2, "uploads_per_month": 4}},
        imaging={"workers": 1, "max_pixels": 2_000_000},
    ) as server:
        yield server


def ledger(server: RunningServer) -> Any:
    return server.server._services.uploads.catalog


# What is answered


def test_the_answer_is_the_documented_one(server: RunningServer) -> None:
    response = server.upload(server.new_key(), pictures.phone_jpeg(), "photo.jpg", expiration="1w")
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    slug, url = answer["slug"], server.url
    direct = f"{url}/f/{slug}.jpg"
    now = int(server.clock())
    assert now + 7 * DAY - 60 < answer.pop("expires_at") <= now + 7 * DAY
    assert answer.pop("size") == len(server.get(direct).content)
    assert answer.pop("delete_url").startswith(f"{url}/d/{slug}/")
    removed = answer.pop("removed")
    assert removed["kinds"] == ["gps", "camera", "exif", "xmp", "iptc", "comment", "thumbnail", "trailer", "other"]
    assert 0 < removed["bytes"] == len(pictures.phone_jpeg()) - len(server.get(direct).content)
    assert answer == {
        "ok": True,
        "slug": slug,
        "ext": "jpg",
        "filename": "photo.jpg",
        "mime": "image/jpeg",
        "width": 32,
        "height": 48,
        "expiration": "1w",
        "view_limit": None,
        "password_protected": False,
        "folder": None,
        "share_url": f"{url}/i/{slug}",
        "direct_url": direct,
        "embed": {
            "html": f'<img src="{direct}" alt="photo.jpg" />',
            "bbcode": f"[img]{direct}[/img]",
            "markdown": f"![photo.jpg]({direct})",
        },
        "upload_source": "api",
        "quota": {"used": 1, "limit": 10, "remaining": 9, "plan": "free", "unlimited": False},
    }
    assert len(slug) == 8
    assert slug.isalnum()


def test_the_quota_is_in_the_headers_too(server: RunningServer) -> None:
    free = server.upload(server.new_key(), pictures.jpeg()).headers
    assert [free[f"X-Quota-{name}"] for name in ("Used", "Limit", "Remaining")] == ["1", "10", "9"]
    paid = server.upload(server.new_key("pro"), pictures.jpeg())
    assert [paid.headers[f"X-Quota-{name}"] for name in ("Used", "Limit", "Remaining")] == ["1", *["unlimited"] * 2]
    assert paid.json()["quota"] == {"used": 1, "limit": None, "remaining": None, "plan": "pro", "unlimited": True}
    assert paid.headers["X-Request-Id"]


def test_the_bytes_decide_the_type_and_the_name_follows(server: RunningServer) -> None:
    answer = server.upload(server.new_key(), pictures.png(), "photo.jpg").json()
    assert (answer["mime"], answer["ext"], answer["filename"]) == ("image/png", "png", "photo.png")


def test_names_cannot_break_out_of_the_snippets(server: RunningServer) -> None:
    name = 'a"><script>[x](y)`.jpg'
    body = multipart(pictures.jpeg(), 'a\\"><script>[x](y)`.jpg')
    response = post(server, server.new_key(), body)
    embed = response.json()["embed"]
    assert response.json()["filename"] == name
    assert "<script>" not in embed["html"]
    assert '"&gt;' not in embed["html"]
    assert r"\[x\](y)" in embed["markdown"]


def test_a_gated_images_snippets_are_links_to_its_page(server: RunningServer) -> None:
    key = server.new_key()
    for fields in ({"password": "s3cret"}, {"expiration": "burn"}, {"expiration": "views", "view_limit": "3"}):
        answer = server.upload(key, pictures.jpeg(), **fields).json()
        assert answer["password_protected"] is ("password" in fields)
        for snippet in answer["embed"].values():
            assert answer["share_url"] in snippet
            assert answer["direct_url"] not in snippet


def test_links_begin_with_what_a_trusted_proxy_was_called(server: RunningServer) -> None:
    """The proxy's own word is the last one: before it stands what the client has sent."""
    for headers in (
        {"X-Forwarded-Proto": "HTTPS,http", "X-Forwarded-Host": "evil.example, img.example.org"},
        {"Forwarded": "for=_evil;host=evil.example, for=192.0.2.1; Proto=https;Host=img.example.org"},
    ):
        response = post(server, server.new_key(), multipart(pictures.jpeg()), headers)
        assert response.json()["direct_url"].startswith("https://img.example.org/f/")
    both = {"X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    response = post(server, server.new_key(), multipart(pictures.jpeg()), both)
    assert "evil.example" not in response.text, "who writes the one passes the other on as it came"


def test_links_of_a_server_with_a_public_url_begin_with_it(tmp_path: Path) -> None:
    settings = {"public_url": "https://img.example.org", "trusted_proxies": ()}
    with running(tmp_path, server=settings, imaging={"workers": 1}) as server:
        answer = post(server, server.new_key(), multipart(pictures.jpeg()), {"X-Forwarded-Host": "evil.example"})
        assert answer.json()["share_url"].startswith("https://img.example.org/i/")


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Host"])
def test_where_the_settings_name_our_hosts_links_have_no_other(tmp_path: Path, name: str) -> None:
    settings = {"hosts": ("img.example.org", "Pictures.example.org:8443")}
    with running(tmp_path, server=settings, imaging={"workers": 1}) as server:
        key = server.new_key()
        for called, link in {
            "evil.example": "img.example.org",
            "evil.example, img.example.org": "img.example.org",
            "pictures.example.org:8443": "pictures.example.org:8443",
        }.items():
            if name == "Host" and "," in called:
                continue
            answer = post(server, key, multipart(pictures.jpeg()), {name: called}).json()
            assert answer["share_url"] == f"http://{link}/i/{answer['slug']}"
            page = server.get(f"/i/{answer['slug']}", **{name: called})
            assert "evil.example" not in page.text
            assert f"http://{link}/i/" in page.text


def test_what_others_get_does_not_carry_a_host_that_a_client_may_have_made_up(server: RunningServer) -> None:
    """A share page may be kept by a cache, an upload link is passed on."""
    key = server.new_key()
    evil = {"X-Forwarded-Host": "evil.example"}
    slug = server.upload(key, pictures.jpeg()).json()["slug"]
    assert "evil.example" not in server.get(f"/i/{slug}", **evil).text
    agent = Agent(server, key)
    ticket = agent.post("tools/call", {"name": "create_upload_ticket", "arguments": {}}, **evil)
    assert "evil.example" not in ticket.text
    link = ticket.json()["result"]["structuredContent"]["upload_url"]
    assert "evil.example" not in server.get(link, **evil, Accept="text/html").text
    assert "evil.example" not in requests.put(link, data=pictures.jpeg(), headers=evil, timeout=DEADLINE).text


# What is stored


@pytest.mark.parametrize("make", [pictures.phone_jpeg, pictures.phone_png])
def test_nothing_private_is_left_and_the_picture_is_the_same(server: RunningServer, make: Any) -> None:
    dirty = make()
    stored = server.get(server.upload(server.new_key(), dirty).json()["direct_url"]).content
    assert SECRET in dirty
    assert SECRET not in stored
    assert pictures.pixels(stored) == pictures.pixels(dirty)
    assert pictures.metadata(stored) in ({"Orientation": 6}, {"Orientation": 8})


def test_a_large_file_takes_the_way_over_the_disk_and_is_as_clean(server: RunningServer) -> None:
    big = pictures.noise(1000, 700)
    for dirty in (pictures.phone_jpeg(image=big), pictures.phone_png(image=big), pictures.jpeg(big) + SECRET):
        assert len(dirty) > 200_000
        answer = server.upload(server.new_key("pro"), dirty).json()
        stored = server.get(answer["direct_url"]).content
        assert SECRET not in stored
        assert pictures.pixels(stored) == pictures.pixels(dirty)
        assert len(stored) == answer["size"]
    assert server.files("spool") == []


def test_a_password_is_stored_as_a_hash(server: RunningServer) -> None:
    answer = server.upload(server.new_key(), pictures.jpeg(), password="opensesame").json()
    record = server.call(ledger(server).image(answer["slug"]))
    assert record.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "opensesame" not in record.password_hash


# What is refused


def test_without_a_key_or_with_a_wrong_one_nothing_is_taken(server: RunningServer) -> None:
    body = multipart(pictures.jpeg())
    missing = requests.post(f"{server.url}/api/upload", data=body[0], headers=body[1], timeout=DEADLINE)
    assert (missing.status_code, missing.json()) == (401, {"error": "Missing API key", "code": "missing_key"})
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    for key in ("iu_live_" + "x" * 38, "", "nonsense", "ü" * 40):
        wrong = post(server, key.encode().decode("latin-1"), body)
        assert wrong.status_code == 401
        assert wrong.json()["error"] in ("Invalid API key", "Missing API key")


def test_the_word_bearer_is_taken_in_any_case(server: RunningServer) -> None:
    body, headers = multipart(pictures.jpeg())
    headers["Authorization"] = f"bEARER {server.new_key()}"
    assert requests.post(f"{server.url}/api/upload", data=body, headers=headers, timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"<html>hello</html>", {}, 415, "unsupported_type"),
        (b"", {}, 400, "bad_body"),
        (pictures.jpeg()[:-20], {}, 400, "broken_image"),
        (pictures.png()[:-20], {}, 400, "broken_image"),
        (pictures.jpeg(), {"expiration": "2d"}, 400, "bad_field"),
        (pictures.jpeg(), {"expiration": "views"}, 400, "bad_field"),
        (pictures.jpeg(), {"folder": "nowhere"}, 400, "bad_field"),
        (pictures.jpeg(), {"expiration": "forever"}, 403, "plan_required"),
    ],
)
def test_a_refusal_says_why_and_costs_nothing(
    server: RunningServer, data: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    key = server.new_key()
    blobs = len(server.blobs())
    response = server.upload(key, data, **fields)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["error"]
    assert server.get("/api/quota", key).json()["used"] == 0
    assert len(server.blobs()) == blobs
    assert server.files("spool") == []


def test_forever_on_free_is_told_to_be_pro_only(server: RunningServer) -> None:
    assert "Pro-only" in server.upload(server.new_key(), pictures.jpeg(), expiration="forever").json()["error"]
    assert server.upload(server.new_key("starter"), pictures.jpeg(), expiration="forever").json()["expires_at"] is None


def test_too_many_pixels_are_refused_by_name(small: RunningServer) -> None:
    response = small.upload(small.new_key(), pictures.png(pictures.noise(1500, 1500).convert("1")))
    assert (response.status_code, response.json()["code"]) == (400, "too_many_pixels")


def test_exactly_the_maximum_size_is_accepted_and_a_byte_more_is_not(small: RunningServer) -> None:
    picture = pictures.jpeg()
    for extra, status in ((0, 200), (1, 413)):
        padded = picture + b"\0" * (MB - len(picture) + extra)
        response = small.upload(small.new_key(), padded)
        assert response.status_code == status
    assert response.json()["code"] == "too_large"


def test_a_file_that_is_declared_too_large_is_refused_before_it_is_sent(small: RunningServer) -> None:
    with socket.create_connection(small.address, timeout=DEADLINE) as connection:
        head = f"POST /api/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {small.new_key()}\r\n"
        head += (
            "Content-Type: multipart/form-data; boundary=b\r\nExpect: 100-continue\r\nContent-Length: 90000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 (Continue)" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


@pytest.mark.parametrize("with_key", [True, False])
def test_a_client_that_is_already_sending_gets_its_answer(small: RunningServer, with_key: bool) -> None:
    """Not a reset: 6 MB of it are read and thrown away."""
    key = small.new_key() if with_key else "iu_live_" + "x" * 38
    response = post(small, key, multipart(b"\xff\xd8\xff" + b"\0" * 6 * MB))
    assert response.status_code == (413 if with_key else 401)


def test_a_stranger_who_goes_on_sending_is_cut_off(small: RunningServer) -> None:
    with socket.create_connection(small.address, timeout=DEADLINE) as connection:
        connection.sendall(b"POST /api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n")
        assert sent_until_cut_off(connection, most=200 * MB) < 40 * MB


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/upload", 405),
        ("GET", "/api/upload", 405),
        ("OPTIONS", "/api/upload", 204),
        ("POST", "/api/upload/", 404),
        ("PUT", "/nowhere", 404),
    ],
)
def test_a_body_where_none_is_wanted_is_drained(server: RunningServer, method: str, path: str, status: int) -> None:
    for size in (10, 3 * MB):
        response = requests.request(method, server.url + path, data=b"x" * size, timeout=DEADLINE)
        assert response.status_code == status
        if status == 405:
            assert response.headers["Allow"] == "OPTIONS, POST"
            assert response.json()["code"] == "method_not_allowed"


def test_a_chunked_body_cannot_go_on_beside_its_file(small: RunningServer) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="other"; filename="x"\r\n\r\n'
        for _ in range(80):
            yield b"x" * 65536
        yield b"\r\n" + multipart(pictures.jpeg())[0]

    headers = {**bearer(small.new_key()), "Content-Type": "multipart/form-data; boundary=b"}
    response = requests.post(f"{small.url}/api/upload", data=endless(), headers=headers, timeout=DEADLINE)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_length_of_a_thousand_digits_is_no_bug(small: RunningServer) -> None:
    with socket.create_connection(small.address, timeout=DEADLINE) as connection:
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Expect": "100-continue"}
        connection.sendall(request_head(small.new_key(), headers, 1).replace(b"Length: 1", b"Length: " + b"9" * 1000))
        assert received(connection).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def test_a_body_that_comes_too_slowly_is_answered_408(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.http.receiving.PACE_SECONDS", 0.2)
    key = server.new_key()
    body, headers = multipart(pictures.jpeg())
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head(key, headers, len(body)) + body[:100])
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "timeout"
    eventually(lambda: server.server._services.uploads.queue.receiving == 0)
    assert server.upload(key, pictures.jpeg()).status_code == 200


def test_guesses_at_keys_are_counted_by_address(small: RunningServer) -> None:
    small.clock.advance(600)
    here = {"X-Forwarded-For": "198.51.100.7"}
    codes = [small.get("/api/quota", f"iu_live_{number}", **here).status_code for number in range(6)]
    assert codes == [401] * 5 + [429]
    assert small.get("/api/quota", "iu_live_9", **{"X-Forwarded-For": "198.51.100.8"}).status_code == 401
    assert small.get("/api/quota", small.new_key(), **here).status_code == 200


def test_the_calls_of_a_minute_are_counted_by_account(small: RunningServer) -> None:
    key = small.new_key()
    codes = [small.get("/api/quota", key).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    refused = small.upload(key, pictures.jpeg())
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    small.clock.advance(60)
    assert small.upload(key, pictures.jpeg()).status_code == 200


def test_storage_is_counted_in_stored_bytes(small: RunningServer) -> None:
    key = small.new_key()
    picture = pictures.jpeg(pictures.noise(800, 700), quality=95)
    assert 600_000 < len(picture) < MB
    answers = [small.upload(key, picture) for _ in range(4)]
    stored = [answer for answer in answers if answer.status_code == 200]
    assert len(stored) == 2 * MB // len(picture) < 4
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (403, "storage_quota_exceeded")
    small.clock.advance(60)
    quota = small.get("/api/quota", key).json()
    assert quota["storage"] == {"used": len(stored) * len(picture), "limit": 2 * MB}
    assert len(small.files("spool")) == 0


# What is counted


def test_of_64_parallel_uploads_on_a_free_account_exactly_10_succeed(tmp_path: Path) -> None:
    with running(tmp_path, limits={"api_per_minute": 0}, receive={"per_account": 0}, imaging={"workers": 2}) as server:
        key = server.new_key()
        picture = pictures.phone_jpeg()
        with ThreadPoolExecutor(64) as threads:
            answers = list(threads.map(lambda _: server.upload(key, picture), range(64)))
        codes = [answer.status_code for answer in answers]
        assert (codes.count(200), codes.count(429)) == (10, 54)
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["error"] == "Monthly API upload quota exceeded"
        assert refused.json()["quota"]["upgrade_url"] == "/dashboard/profile#upgrade"
        assert refused.headers["X-Quota-Limit"] == "10"
        assert refused.headers["X-Quota-Remaining"] == "0"
        assert int(refused.headers["Retry-After"]) >= 1
        assert server.get("/api/quota", key).json()["used"] == 10
        account = server.call(server.server.accounts.all())[0]
        assert server.call(ledger(server).ledger(account.id, month_of(server.clock()))) == 10
        slugs = [answer.json()["slug"] for answer in answers if answer.status_code == 200]
        assert len({server.call(ledger(server).image(slug)).blob for slug in slugs}) == 10
        assert len(server.blobs()) == 10


def test_a_new_month_begins_at_midnight_utc(small: RunningServer) -> None:
    key = small.new_key()
    while small.upload(key, pictures.jpeg()).status_code == 200:
        small.clock.advance(15)
    quota = small.get("/api/quota", key).json()
    assert (quota["used"], quota["remaining"]) == (4, 0)
    small.clock.set(quota["resets_at"] - 1)
    assert small.upload(key, pictures.jpeg()).json()["code"] == "quota_exceeded"
    small.clock.set(quota["resets_at"])
    assert small.upload(key, pictures.jpeg()).json()["quota"]["used"] == 1


def test_a_key_that_is_replaced_while_its_upload_is_under_way_cannot_finish_it(server: RunningServer) -> None:
    email, key = server.new_email()
    body, headers = multipart(pictures.jpeg())
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head(key, headers, len(body)) + body[:200])
        eventually(lambda: server.server._services.uploads.queue.receiving == 1)
        server.call(server.server.accounts.rotate_key(email))
        connection.sendall(body[200:])
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert server.files("spool") == []


def test_a_full_queue_answers_503_at_once(tmp_path: Path) -> None:
    with running(tmp_path, receive={"max_uploads": 1, "max_wait": 0.0}, imaging={"workers": 1}) as server:
        key = server.new_key()
        body, headers = multipart(pictures.jpeg())
        with socket.create_connection(server.address, timeout=DEADLINE) as connection:
            connection.sendall(request_head(key, headers, len(body)) + body[:100])
            eventually(lambda: server.server._services.uploads.queue.receiving == 1)
            refused = server.upload(key, pictures.jpeg())
            assert refused.status_code == 503
            assert refused.json() == {"error": "Upload queue overloaded, retry shortly", "code": "overloaded"}
            assert int(refused.headers["Retry-After"]) >= 1
        assert eventually(lambda: server.upload(key, pictures.jpeg()).status_code == 200)


def test_an_upload_that_finds_no_place_waits_for_its_turn(tmp_path: Path) -> None:
    with running(tmp_path, receive={"max_uploads": 1}, imaging={"workers": 1}) as server:
        key = server.new_key()
        body, headers = multipart(pictures.jpeg())
        with socket.create_connection(server.address, timeout=DEADLINE) as first, ThreadPoolExecutor(1) as threads:
            first.sendall(request_head(key, headers, len(body)) + body[:100])
            queue = server.server._services.uploads.queue
            eventually(lambda: queue.receiving == 1)
            waiting = threads.submit(server.upload, key, pictures.jpeg())
            eventually(lambda: queue.waiting == 1)
            assert not waiting.done()
            first.sendall(body[100:])
            assert received(first).startswith(b"HTTP/1.1 200")
            assert waiting.result().status_code == 200
        assert queue.receiving == 0


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server: RunningServer) -> None:
    key = server.new_key("pro")
    body, headers = multipart(pictures.jpeg(pictures.noise(1000, 700)))
    with socket.create_connection(server.address, timeout=DEADLINE) as connection:
        connection.sendall(request_head(key, headers, len(body)) + body[:300_000])
        eventually(lambda: server.files("spool"))
    eventually(lambda: not server.files("spool"))
    eventually(lambda: server.server._services.uploads.queue.receiving == 0)
    assert server.get("/api/quota", key).json()["used"] == 0


def test_a_bug_is_a_500_that_tells_nothing_but_its_request_id(server: RunningServer, log_guard: LogGuard) -> None:
    log_guard.allow(r"^request \w+ failed$")
    uploads = server.server._services.uploads

    async def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a secret detail")

    store, uploads.store.store = uploads.store.store, broken  # type: ignore[method-assign]
    try:
        response = server.upload(server.new_key(), pictures.jpeg())
    finally:
        uploads.store.store = store  # type: ignore[method-assign]
    assert (response.status_code, response.json()) == (500, {"error": "Internal server error", "code": "internal"})
    assert response.headers["X-Request-Id"]
    assert server.files("spool") == []


# Helpers


def multipart(data: bytes, name: str = "photo.jpg") -> tuple[bytes, dict[str, str]]:
    """A body and its headers, byte for byte as written here."""
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def post(
    server: RunningServer, key: str, body: tuple[bytes, dict[str, str]], headers: dict[str, str] | None = None
) -> requests.Response:
    all_headers = {**body[1], **bearer(key), **(headers or {})}
    return requests.post(f"{server.url}/api/upload", data=body[0], headers=all_headers, timeout=DEADLINE)


def request_head(key: str, headers: dict[str, str], length: int, path: str = "/api/upload") -> bytes:
    lines = {**headers, **bearer(key), "Host": "x", "Content-Length": str(length)}
    return (f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


def received(connection: socket.socket) -> bytes:
    """One answer with its body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def sent_until_cut_off(connection: socket.socket, most: int) -> int:
    """How many bytes a server takes before it closes the connection, or `most`."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            sent += connection.send(b"x" * 65536)
    return sent
