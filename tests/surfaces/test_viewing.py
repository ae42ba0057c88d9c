"""GET and HEAD /f of images that not everybody may see: passwords, views, grants, robots, and what goes when."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.blobs.disk import DiskBlob
from iuserver.errors import Fault
from iuserver.janitor import Janitor
from iuserver.policy import DAY
from iuserver.server import janitor_of
from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, RunningServer, bearer, eventually
from tests.unit.test_robots import PEOPLES, PREVIEWERS, PROGRAMS

PICTURE = pictures.jpeg()
BIG = pictures.png(pictures.noise(700, 500))  # a megabyte: more than one chunk
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def burn(server: RunningServer, data: bytes = PICTURE, **fields: str) -> dict[str, Any]:
    return uploaded(server, data, expiration="burn", **fields)


def uploaded(server: RunningServer, data: bytes = PICTURE, **fields: str) -> dict[str, Any]:
    key = server.new_key("pro")
    return {"key": key, **server.upload(key, data, **fields).json()}


def swept(server: RunningServer) -> None:
    """Let the janitor have its turn."""
    library = server.server._services.library
    janitor: Janitor = janitor_of(library, server.data, serving=lambda: True)
    server.call(janitor.tidy())


def blobs_left(server: RunningServer) -> int:
    swept(server)
    return len(server.blobs())


def record(server: RunningServer, image: dict[str, Any]) -> dict[str, Any]:
    """What the owner is told of an image."""
    answer: dict[str, Any] = server.get(f"/api/images/{image['slug']}", image["key"]).json()
    return answer


@pytest.fixture(autouse=True)
def present(server: RunningServer) -> Iterator[None]:
    yield
    server.clock.offset = 0


# Burning


def test_of_a_hundred_at_once_one_sees_a_picture_that_may_be_seen_once(server: RunningServer) -> None:
    for data in (PICTURE, BIG):
        before = blobs_left(server)
        image = burn(server, data)
        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(server.get, [image["direct_url"]] * 100))
        assert sorted(answer.status_code for answer in answers) == [200] + [404] * 99
        (shown,) = (answer for answer in answers if answer.status_code == 200)
        assert shown.content == data
        assert shown.headers["Cache-Control"] == "private, no-store"
        assert "ETag" not in shown.headers
        assert blobs_left(server) == before


def test_what_only_looks_like_a_view_is_none(server: RunningServer) -> None:
    image = burn(server)
    url, page = image["direct_url"], f"../i/{image['slug']}"
    head = requests.head(url, timeout=DEADLINE)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(image["size"]))
    assert head.headers["Content-Disposition"] == "inline", "its name is for those who see it"
    for name, value in (
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ):
        ahead = server.get(url, **{name: value, "Sec-Fetch-Mode": "navigate"})
        assert (ahead.status_code, ahead.json()["code"]) == (403, "forbidden")
        assert ahead.headers["Cache-Control"] == "no-store"
    for headers in (
        {"Sec-Fetch-Mode": "navigate", "User-Agent": BROWSER},
        {"Accept": "text/html,*/*;q=0.8", "User-Agent": BROWSER},
        *({"User-Agent": previewer} for previewer in PREVIEWERS),
    ):
        sent = requests.get(url, headers=headers, timeout=DEADLINE, allow_redirects=False)
        assert (sent.status_code, sent.headers["Location"]) == (303, page), headers
    assert (record(server, image)["views"], record(server, image)["viewed_at"]) == (0, None)
    assert (
        server.get(url, **{"Sec-Fetch-Mode": "no-cors", "User-Agent": BROWSER, "Range": "bytes=0-3"}).content == PICTURE
    )
    assert server.get(url).status_code == 404
    assert requests.head(url, timeout=DEADLINE).status_code == 404


@pytest.mark.parametrize("user_agent", [*PEOPLES, *PROGRAMS])
def test_a_browser_in_an_app_and_a_program_see_the_picture(server: RunningServer, user_agent: str) -> None:
    image = burn(server)
    headers = {"User-Agent": user_agent}
    assert server.get(image["direct_url"], **headers).content == PICTURE
    assert server.get(image["direct_url"], **headers).status_code == 404
    page = requests.post(burn(server)["share_url"], headers=headers, timeout=DEADLINE)
    assert "?grant=" in page.text, "it reveals, too"


def test_the_owner_looks_without_being_counted_and_learns_when_it_was_seen(server: RunningServer) -> None:
    image = burn(server, password="secret")
    for _ in range(3):
        assert server.get(image["direct_url"], image["key"]).content == PICTURE
    assert server.get(image["direct_url"], server.new_key()).status_code == 401
    assert record(server, image)["viewed_at"] is None
    seen_at = int(server.clock())
    assert server.get(image["direct_url"], **{"X-Image-Password": "secret"}).content == PICTURE
    assert server.get(image["direct_url"], image["key"]).status_code == 404, "it is gone, from its owner too"
    for _ in range(2):
        told = record(server, image)
        assert seen_at <= told["viewed_at"] <= seen_at + DEADLINE
        assert (told["views"], told["password_protected"] or not told["size"]) == (1, True)
        swept(server)
    assert (told["size"], told["filename"], told["password_protected"]) == (0, "image.jpg", False)
    assert server.get("/api/quota", image["key"]).json()["storage"]["used"] == 0


def test_a_tombstone_goes_when_the_image_would_have_expired_thirty_days_on_at_most(server: RunningServer) -> None:
    forever = burn(server)
    assert forever["expires_at"] is None
    key = server.new_key("free")
    month = {"key": key, **server.upload(key, PICTURE, expiration="burn").json()}
    server.clock.advance(25 * DAY)
    for image in (forever, month):
        assert server.get(image["direct_url"]).status_code == 200
    swept(server)
    seen_at = record(server, forever)["viewed_at"]
    for image, until in ((month, month["expires_at"]), (forever, seen_at + 30 * DAY)):
        server.clock.set(until - 60)
        swept(server)
        assert record(server, image)["views"] == 1
        server.clock.set(until)
        swept(server)
        assert server.get(f"/api/images/{image['slug']}", image["key"]).status_code == 404


def test_a_failing_store_never_burns_a_picture(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow("^request .*(The image store is not available|The image's bytes)")
    image = burn(server, BIG)
    blobs = server.server._services.viewing.blobs

    async def away(self: object, key: str) -> None:
        raise Fault("storage_unavailable", "The image store is not available")

    async def torn(self: DiskBlob, start: int, stop: int) -> Any:
        raise Fault("storage_unavailable", "The image's bytes end too early")
        yield b""

    for owner, name, failure in ((type(blobs), "open", away), (DiskBlob, "read", torn)):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failure)
            assert server.get(image["direct_url"]).status_code == 502
    (path,) = (path for path in server.files("blobs") if path.stat().st_size == len(BIG))
    with shortened(path):
        assert server.get(image["direct_url"]).status_code == 502
    with moved(path):
        assert server.get(image["direct_url"]).status_code == 404
    assert record(server, image)["views"] == 0
    assert server.get(image["direct_url"]).content == BIG


@contextmanager
def shortened(path: Path) -> Iterator[None]:
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    yield
    path.write_bytes(data)


@contextmanager
def moved(path: Path) -> Iterator[None]:
    aside = path.with_name("aside")
    os.rename(path, aside)
    yield
    os.rename(aside, path)


# Views


def test_viewers_are_counted_once_each_until_the_last(server: RunningServer) -> None:
    before = blobs_left(server)
    image = uploaded(server, expiration="views", view_limit="3")
    agents = {name: {"User-Agent": f"{BROWSER} {name}"} for name in "abcd"}
    statuses = [server.get(image["direct_url"], **agents[who]).status_code for who in "aabacd"]
    assert statuses == [200, 200, 200, 200, 200, 404]
    assert server.get(image["direct_url"], **agents["a"]).status_code == 404
    assert record(server, image)["views"] == 3
    assert blobs_left(server) == before


def test_a_viewer_is_an_address_a_browser_and_a_language(server: RunningServer) -> None:
    """Of IPv6 a /64: that is one household. The proxy in front is this machine, so it is believed."""
    image = uploaded(server, expiration="views", view_limit="999")

    def look(address: str, agent: str = BROWSER, language: str = "de") -> int:
        headers = {"X-Forwarded-For": address, "User-Agent": agent, "Accept-Language": language}
        assert server.get(image["direct_url"], **headers).status_code == 200
        views: int = record(server, image)["views"]
        return views

    assert look("192.0.2.1") == look("192.0.2.1") == 1
    assert look("192.0.2.2") == 2
    assert look("192.0.2.2", language="fr") == 3
    assert look("192.0.2.2", agent="curl/8") == 4
    assert look("2001:db8::1") == look("2001:db8::2:1") == 5
    assert look("2001:db8:0:1::1") == 6
    assert look("::ffff:192.0.2.1") == look("::ffff:c000:201") == look("192.0.2.1:4711") == look("[192.0.2.1]:80") == 6
    assert look("[2001:db8::5]:4711") == look("2001:db8::6%eth0") == 6
    assert look("::ffff:192.0.2.7") == look("192.0.2.7") == 7
    assert look("192.0.2.8:1") == look("192.0.2.8:2") == 8
    names = ("192.0.2.1", "192.0.2.2", "Firefox", "2001:db8")
    for file in server.data.glob("catalog.db*"):
        assert not any(name.encode() in file.read_bytes() for name in names), "only hashes are kept"


# Passwords


def test_no_byte_and_no_name_leaves_without_the_password(server: RunningServer) -> None:
    answer = server.upload(server.new_key(), PICTURE, "secret plan.jpg", password="pw").json()
    url = answer["direct_url"]
    for headers in ({}, {"Cookie": f"unlock_file_{answer['slug']}=99999999999.{'0' * 32}"}, {"Range": "bytes=0-3"}):
        for method in ("GET", "HEAD"):
            refused = requests.request(method, url, headers=headers, timeout=DEADLINE)
            assert refused.status_code == 401
            assert "secret" not in f"{refused.headers}{refused.text}"
            assert not refused.content.startswith(b"\xff\xd8")
            assert refused.headers["Cache-Control"] == "no-store"
        assert server.get(url, **headers).json()["code"] == "password_required"
    opened = requests.get(url, headers={"Sec-Fetch-Mode": "navigate"}, timeout=DEADLINE, allow_redirects=False)
    assert (opened.status_code, opened.headers["Location"]) == (303, f"../i/{answer['slug']}")
    wrong = server.get(url, **{"X-Image-Password": "PW"})
    assert (wrong.status_code, wrong.json()["code"], wrong.headers.get("Set-Cookie")) == (401, "wrong_password", None)


def test_the_right_password_opens_it_for_an_hour(server: RunningServer) -> None:
    image = uploaded(server, password="pass wörd")
    other = uploaded(server, password="pass wörd")
    with requests.Session() as session:
        header = {"X-Image-Password": "pass wörd".encode()}
        assert session.get(image["direct_url"], headers=header, timeout=DEADLINE).content == PICTURE
        paths = {(cookie.name, cookie.path) for cookie in session.cookies}
        slug = image["slug"]
        assert paths == {
            (f"unlock_page_{slug}", f"/i/{slug}"),
            (f"unlock_file_{slug}", f"/f/{slug}.jpg"),
            (f"unlock_thumbnail_{slug}", f"/t/{slug}.webp"),
        }
        (value,) = {cookie.value for cookie in session.cookies}
        server.clock.advance(3590)
        for _ in range(2):
            assert session.get(image["direct_url"], timeout=DEADLINE).content == PICTURE
        borrowed = {"Cookie": f"unlock_file_{other['slug']}={value}"}
        assert server.get(other["direct_url"], **borrowed).status_code == 401
        server.clock.advance(20)
        assert server.get(image["direct_url"], Cookie=f"unlock_file_{slug}={value}").status_code == 401


def test_cookies_are_out_of_reach_for_scripts_and_other_sites(server: RunningServer) -> None:
    image = uploaded(server, password="pw")
    for proto, secure in (("https", True), ("http", False)):
        headers = {"X-Image-Password": "pw", "X-Forwarded-Proto": proto}
        answer = server.get(image["direct_url"], **headers)
        for cookie in answer.raw.headers.getlist("Set-Cookie"):
            assert "; HttpOnly" in cookie
            assert "; SameSite=Lax" in cookie
            assert "; Max-Age=3600" in cookie
            assert ("; Secure" in cookie) == secure


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("X-Forwarded-For", "::ffff:{}"),
        ("X-Forwarded-For", "{}:4711"),
        ("X-Forwarded-For", "[::ffff:{}%eth0]:4711"),
        ("X-Forwarded-For", "198.51.100.1, unknown, {}, 127.0.0.1"),
        ("Forwarded", "for={}"),
        ("Forwarded", 'for="_hidden, For="{}:4711";proto=https, for="[::1]:80"'),
        ("Forwarded", 'for=198.51.100.1;by="[::1]", for="[::ffff:{}]";host=a'),
    ],
)
def test_one_guesser_locks_nobody_else_out_however_proxies_write(server: RunningServer, name: str, form: str) -> None:
    image = uploaded(server, password="pw")

    def guess(password: str, address: str) -> int:
        return server.get(image["direct_url"], **{"X-Image-Password": password, name: form.format(address)}).status_code

    assert [guess("wrong", "192.0.2.21") for _ in range(6)] == [401] * 5 + [429]
    assert guess("pw", "192.0.2.21") == 429
    assert guess("pw", "192.0.2.22") == 200


def test_guesses_of_one_image_from_everywhere_are_limited_and_lock_nobody_out(server: RunningServer) -> None:
    image, other = uploaded(server, password="pw"), uploaded(server, password="pw")

    def guess(password: str, address: str, url: str = image["direct_url"]) -> int:
        return server.get(url, **{"X-Image-Password": password, "X-Forwarded-For": address}).status_code

    for network in range(12):
        assert [guess("wrong", f"198.51.{network}.1") for _ in range(5)] == [401] * 5
    assert guess("wrong", "203.0.113.1") == 401, "its first one of the hour"
    assert guess("pw", "203.0.113.1") == 429
    assert guess("pw", "203.0.113.2") == 200
    assert guess("pw", "203.0.113.2") == 200
    assert guess("pw", "203.0.113.1", other["direct_url"]) == 200


def test_many_right_passwords_at_once_hold_up_no_upload_and_no_other_viewer(server: RunningServer) -> None:
    """What is too much is refused with 503; an upload with a password has a lane of its own, and viewers take turns."""
    key = server.new_key("business")
    images = [server.upload(key, PICTURE, password="pw").json() for _ in range(5)]
    done: list[int] = []

    def unlock(number: int) -> requests.Response:
        headers = {"X-Image-Password": "pw", "X-Forwarded-For": f"198.51.100.{number % 20}"}
        response = server.get(images[number % 5]["direct_url"], **headers)
        done.append(response.status_code)
        return response

    with ThreadPoolExecutor(100) as threads:
        answers = [threads.submit(unlock, number) for number in range(100)]
        eventually(lambda: done)
        assert server.upload(key, PICTURE, password="another").status_code == 200
        after_upload = done.count(200)
        slug = images[0]["slug"]
        form = {"data": {"password": "pw"}, "headers": {"X-Forwarded-For": "203.0.113.77"}, "timeout": DEADLINE}
        opened = requests.post(f"{server.url}/i/{slug}", allow_redirects=False, **form)
        after_page = done.count(200)
    assert after_upload < done.count(200), "it did not wait for all of them"
    assert after_page < done.count(200)
    assert opened.status_code == 303
    assert set(done) == {200, 503}
    refused = [answer.result() for answer in answers if answer.result().status_code == 503]
    assert all(answer.json()["code"] == "overloaded" and answer.headers["Retry-After"] for answer in refused)


def test_guesses_are_limited_for_each_image_and_address(server: RunningServer) -> None:
    image, other = uploaded(server, password="pw"), uploaded(server, password="pw")

    def guess(password: str, url: str = image["direct_url"], address: str = "192.0.2.9") -> requests.Response:
        return server.get(url, **{"X-Image-Password": password, "X-Forwarded-For": address})

    for _ in range(8):
        assert guess("pw").status_code == 200, "right ones are no guesses"
    for number in range(5):
        assert guess(f"wrong {number}").status_code == 401
        server.clock.advance(10)
    for password in ("wrong", "pw"):
        refused = guess(password)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 0 < int(refused.headers["Retry-After"]) <= 11
    assert guess("pw", address="192.0.2.10").status_code == 200
    assert guess("pw", url=other["direct_url"]).status_code == 200
    server.clock.advance(int(refused.headers["Retry-After"]))
    assert guess("pw").status_code == 200


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(server: RunningServer) -> None:
    image = uploaded(server, password="pw")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: server.get(image["direct_url"], **{"X-Image-Password": f"{n}"}), range(20)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (5, 15)


# Expiry


def test_an_image_is_gone_at_its_second_and_from_the_disk_at_the_next_sweep(server: RunningServer) -> None:
    for fields in (
        {"expiration": "1d"},
        {"expiration": "views", "view_limit": "9"},
        {"expiration": "1w", "password": "p"},
    ):
        before = server.blobs()
        image = uploaded(server, **fields)
        (blob,) = server.blobs() - before
        headers = {"X-Image-Password": "p"}
        server.clock.set(image["expires_at"] - 2)
        assert server.get(image["direct_url"], **headers).status_code == 200
        server.clock.set(image["expires_at"])
        for key in (None, image["key"]):
            assert server.get(image["direct_url"], key, **headers).status_code == 404
        assert server.get(f"/api/images/{image['slug']}", image["key"]).status_code == 404
        assert blob in server.blobs()
        swept(server)
        assert blob not in server.blobs()
        server.clock.offset = 0


# Lists


def test_images_are_listed_and_described_to_their_owner(server: RunningServer) -> None:
    key = server.new_key("pro")
    requests.post(f"{server.url}/api/folders", json={"name": "cats"}, headers=bearer(key), timeout=DEADLINE)
    stored = []
    for number, fields in enumerate(
        ({}, {"folder": "cats"}, {"expiration": "burn"}, {"folder": "cats", "password": "p"})
    ):
        server.clock.advance(1)
        stored.append(server.upload(key, PICTURE, f"{number}.jpg", **fields).json())

    def listed(query: str) -> dict[str, Any]:
        page: dict[str, Any] = server.get(f"/api/images{query}", key).json()
        return page

    page = listed("")
    assert (page["total"], page["limit"], page["offset"]) == (4, 50, 0)
    assert [image["slug"] for image in page["images"]] == [image["slug"] for image in reversed(stored)]
    for image, answer in zip(page["images"], reversed(stored), strict=True):
        assert {name: image[name] for name in answer if name in image} == {
            name: value for name, value in answer.items() if name not in ("ok", "embed", "quota")
        }
        assert set(image) - set(answer) == {"created_at", "viewed_at", "views"}
        assert (image["viewed_at"], image["views"]) == (None, 0 if answer["expiration"] == "burn" else None)
        alone = server.get(f"/api/images/{answer['slug']}", key).json()
        assert alone == {"ok": True, **image, "embed": answer["embed"]}
        assert server.get(f"/api/images/{answer['slug']}", server.new_key()).status_code == 404
    names = lambda query: [image["filename"][0] for image in listed(query)["images"]]  # noqa: E731
    assert names("?limit=2&offset=1") == ["2", "1"]
    assert names("?folder=cats") == ["3", "1"]
    assert names("?folder=unsorted") == names("?folder=default") == ["2", "0"]
    assert names("?folder=all&limit=100") == names("?folder=&limit=&offset=") == ["3", "2", "1", "0"]
    assert listed("?folder=dogs")["total"] == listed("?offset=9")["total"] - 4 == 0
    assert server.get("/api/images", server.new_key()).json()["images"] == []
    assert server.get("/api/images").status_code == 401


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=1e3", "folder=A%20b", "limit=²"]
)
def test_a_page_that_cannot_be_is_refused(server: RunningServer, query: str) -> None:
    refused = server.get(f"/api/images?{query}", server.new_key())
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_field")


def test_what_has_been_seen_stays_in_the_list_without_its_name(server: RunningServer) -> None:
    image = burn(server)
    server.get(image["direct_url"])
    swept(server)
    (listed,) = server.get("/api/images", image["key"]).json()["images"]
    assert (listed["filename"], listed["size"], listed["views"]) == ("image.jpg", 0, 1)
    gone = requests.delete(f"{server.url}/api/images/{image['slug']}", headers=bearer(image["key"]), timeout=DEADLINE)
    assert gone.json() == {"ok": True, "slug": image["slug"]}
    assert server.get("/api/images", image["key"]).json()["total"] == 0


def test_a_page_that_could_not_name_its_links_uses_nothing_up(server: RunningServer) -> None:
    """A proxy tells what it was called, and calls us by no name."""
    image = burn(server)
    headers = {"Host": "", "X-Forwarded-Host": "pictures.example"}
    refused = requests.post(f"{server.url}/i/{image['slug']}", headers=headers, timeout=DEADLINE)
    assert refused.status_code == 400
    assert server.get(f"/f/{image['slug']}.{image['ext']}").content == PICTURE
