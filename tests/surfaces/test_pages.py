"""The share page without a browser: statuses, headers, what is told to whom, forms, cookies, static files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.errors import Fault
from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, RunningServer, running

PICTURE = pictures.jpeg()
NAME = 'secret "plan" & <b>.jpg'
ROBOT = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"


@pytest.fixture(autouse=True)
def present(server: RunningServer) -> Iterator[None]:
    yield
    server.clock.offset = 0


def uploaded(server: RunningServer, **fields: str) -> dict[str, Any]:
    key = server.new_key("pro")
    return {"key": key, **server.upload(key, PICTURE, NAME, **fields).json()}


def post(image: dict[str, Any], session: Any = requests, **more: Any) -> requests.Response:
    answer: requests.Response = session.post(image["share_url"], timeout=DEADLINE, **more)
    return answer


def picture_url(server: RunningServer, page: requests.Response) -> str:
    """Where the page's picture is."""
    (source,) = re.findall(r'<img src="\.\./([^"]+)"', page.text)
    return f"{server.url}/{unescape(source)}"


def tags(page: requests.Response) -> dict[str, str]:
    """The page's OpenGraph and Twitter tags."""
    found = re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]+)" content="([^"]*)"', page.text)
    return {name: unescape(value) for name, value in found}


def views(server: RunningServer, image: dict[str, Any]) -> int:
    told: int = server.get(f"/api/images/{image['slug']}", image["key"]).json()["views"]
    return told


def test_the_page_shows_the_picture_and_tells_about_it(server: RunningServer) -> None:
    image = uploaded(server)
    page = server.get(image["share_url"])
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert server.get(picture_url(server, page)).content == PICTURE
    assert "48 \N{MULTIPLICATION SIGN} 32" in page.text
    assert "Here until" in page.text
    assert "<b>" not in page.text
    for link in (image["share_url"], image["direct_url"], image["embed"]["html"], image["embed"]["markdown"]):
        assert f'value="{link}"' in unescape(page.text)
    assert requests.head(image["share_url"], timeout=DEADLINE).status_code == 200


def test_a_public_pictures_tags_show_it_and_a_private_ones_tell_nothing(server: RunningServer) -> None:
    image = uploaded(server)
    shown = tags(server.get(image["share_url"], **{"User-Agent": ROBOT}))
    assert (shown["og:title"], shown["og:image"], shown["og:url"]) == (
        image["filename"],
        image["direct_url"],
        image["share_url"],
    )
    assert (shown["og:image:width"], shown["twitter:card"]) == ("48", "summary_large_image")
    for fields in ({"password": "pw"}, {"expiration": "burn"}, {"expiration": "views", "view_limit": "3"}):
        private = uploaded(server, **fields)
        for agent in (ROBOT, "Mozilla/5.0"):
            page = server.get(private["share_url"], **{"User-Agent": agent})
            assert "secret" not in page.text
            assert "\N{MULTIPLICATION SIGN}" not in page.text
            assert f"/f/{private['slug']}" not in page.text
            assert not {name for name in tags(page) if "image" in name or "url" in name}
            assert tags(page)["og:title"] == "A private picture"
        revealed = server.get(private["share_url"], private["key"])
        assert "og:image" not in tags(revealed), "nor when its owner looks"


@pytest.mark.parametrize("path", ["/i/nosuchim", "/d/nosuchim/" + "0" * 32])
def test_pages_let_no_foreign_thing_in_and_tell_nobody_where_you_were(server: RunningServer, path: str) -> None:
    for page in (server.get(path), server.get(uploaded(server)["share_url"])):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "style-src 'self'" in policy
        assert "form-action 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "style=" not in page.text
        assert (page.headers["Referrer-Policy"], page.headers["X-Robots-Tag"]) == ("same-origin", "noindex")
        assert page.headers["Cache-Control"] == "no-store"
        assert 'lang="en"' in page.text


def test_nobody_can_tell_what_never_was_from_what_is_gone(server: RunningServer) -> None:
    burnt, deleted, expired = uploaded(server, expiration="burn"), uploaded(server), uploaded(server)
    server.get(burnt["direct_url"])
    requests.post(deleted["delete_url"], timeout=DEADLINE)
    server.clock.set(expired["expires_at"])
    told = set()
    for slug in ("nosuchim", burnt["slug"], deleted["slug"], expired["slug"]):
        for method in ("GET", "POST"):
            page = requests.request(method, f"{server.url}/i/{slug}", timeout=DEADLINE)
            assert page.status_code == 404
            headers = {name: value for name, value in page.headers.items() if name not in ("Date", "X-Request-Id")}
            told.add((page.text, str(headers)))
    assert len(told) == 1
    assert "There is no picture here" in told.pop()[0]


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "{own}.elsewhere.example"},
    {"Origin": "{own}1"},
    {"Origin": ""},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "{own}"},
]


def named(server: RunningServer, headers: dict[str, str]) -> dict[str, str]:
    """Headers with the server's own origin filled in."""
    return {name: value.format(own=server.url) for name, value in headers.items()}


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_form_of_another_site_reveals_unlocks_and_deletes_nothing(
    server: RunningServer, headers: dict[str, str]
) -> None:
    sealed, locked, public = uploaded(server, expiration="burn"), uploaded(server, password="pw"), uploaded(server)
    asked = named(server, headers)
    refused = [
        post(sealed, headers=asked),
        post(locked, headers=asked, data={"password": "pw"}),
        requests.post(public["delete_url"], headers=asked, timeout=DEADLINE),
    ]
    for page in refused:
        assert page.status_code == 403
        assert "not from another site" in page.text
        assert not page.cookies
    assert views(server, sealed) == 0
    assert server.get(public["direct_url"]).content == PICTURE
    for image in (sealed, locked):
        assert server.get(image["share_url"], **asked).status_code in (200, 401), "to follow a link is no harm"


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_a_form_of_our_own_page_and_a_script_do_what_they_say(server: RunningServer, headers: dict[str, str]) -> None:
    sealed, locked, public = uploaded(server, expiration="burn"), uploaded(server, password="pw"), uploaded(server)
    asked = named(server, headers)
    assert "?grant=" in post(sealed, headers=asked).text
    assert post(locked, headers=asked, data={"password": "pw"}, allow_redirects=False).status_code == 303
    assert requests.post(public["delete_url"], headers=asked, timeout=DEADLINE).status_code == 200
    assert server.get(public["direct_url"]).status_code == 404


def test_a_form_behind_a_proxy_comes_from_the_name_that_the_proxy_was_called(server: RunningServer) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "img.example.org"}
    image = uploaded(server, expiration="burn")
    assert post(image, headers={**forwarded, "Origin": server.url}).status_code == 403
    assert post(image, headers={**forwarded, "Origin": "http://img.example.org"}).status_code == 403
    assert "?grant=" in post(image, headers={**forwarded, "Origin": "https://img.example.org"}).text


def test_a_click_reveals_a_picture_and_a_grant_shows_it_for_a_minute(server: RunningServer) -> None:
    image = uploaded(server, expiration="burn")
    for _ in range(2):
        asked = server.get(image["share_url"])
        assert asked.status_code == 200
        assert "Reveal the picture" in asked.text
    page = post(image)
    assert page.status_code == 200
    url = picture_url(server, page)
    assert post(image).status_code == server.get(image["direct_url"]).status_code == 404
    server.clock.advance(58)
    for headers in ({}, {"Sec-Fetch-Mode": "navigate"}, {"User-Agent": "another"}):
        shown = server.get(url, **headers)
        assert (shown.status_code, shown.content) == (200, PICTURE)
        assert shown.headers["Cache-Control"] == "private, no-store"
    assert server.get(url[:-1] + "_").status_code == 404
    server.clock.advance(3)
    assert server.get(url).status_code == 404


def test_robots_and_prefetch_reveal_nothing(server: RunningServer) -> None:
    image = uploaded(server, expiration="burn")
    for headers in ({"User-Agent": ROBOT}, {"Sec-Purpose": "prefetch"}):
        page = post(image, headers=headers)
        assert page.status_code == 200
        assert "Reveal the picture" in page.text
    assert server.get(image["share_url"], **{"Sec-Purpose": "prefetch;prerender"}).status_code == 200
    assert views(server, image) == 0


def test_the_last_viewers_grant_outlives_the_limit(server: RunningServer) -> None:
    image = uploaded(server, expiration="views", view_limit="2")
    pages = [post(image, headers={"User-Agent": agent}) for agent in "aab"]
    assert [page.status_code for page in pages] == [200, 200, 200]
    for page in pages:
        assert server.get(picture_url(server, page)).content == PICTURE
    assert post(image, headers={"User-Agent": "c"}).status_code == 404
    assert post(image, headers={"User-Agent": "a"}).status_code == 404


def test_a_failing_store_reveals_nothing_and_uses_nothing_up(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow("^request .*The image store is not available")
    image = uploaded(server, expiration="burn")

    async def away(self: object, key: str) -> None:
        raise Fault("storage_unavailable", "The image store is not available")

    with monkeypatch.context() as patch:
        patch.setattr(type(server.server._services.viewing.blobs), "open", away)
        failed = post(image)
    assert failed.status_code == 502
    assert "The image store is not available." in failed.text
    assert views(server, image) == 0
    assert post(image).status_code == 200


def test_the_password_opens_page_and_bytes(server: RunningServer) -> None:
    image = uploaded(server, password="pass wörd ")
    with requests.Session() as session:
        asked = session.get(image["share_url"], timeout=DEADLINE)
        assert (asked.status_code, asked.headers["WWW-Authenticate"]) == (401, "X-Image-Password")
        assert 'type="password"' in asked.text
        wrong = post(image, session, data={"password": "pass wörd"})
        assert wrong.status_code == 401
        assert "This is not the password." in wrong.text
        assert 'aria-invalid="true"' in wrong.text
        assert not session.cookies
        opened = post(image, session, data={"password": "pass wörd "})
        assert (opened.status_code, opened.url, len(opened.history)) == (200, image["share_url"], 1)
        assert opened.history[0].status_code == 303
        assert session.get(picture_url(server, opened), timeout=DEADLINE).content == PICTURE
        assert server.get(picture_url(server, opened)).status_code == 401
        server.clock.advance(3601)
        assert session.get(image["share_url"], timeout=DEADLINE).status_code == 401


def test_a_password_and_a_reveal_come_one_after_the_other(server: RunningServer) -> None:
    image = uploaded(server, password="pw", expiration="burn")
    assert "Reveal" not in post(image).text
    with requests.Session() as session:
        assert "Reveal" in post(image, session, data={"password": "pw"}).text
        assert views(server, image) == 0
        assert post(image).status_code == 401, "another's click does not use it up"
        page = post(image, session)
        assert server.get(picture_url(server, page)).content == PICTURE


def test_the_sixth_wrong_guess_in_a_minute_is_told_to_wait(server: RunningServer) -> None:
    image = uploaded(server, password="pw")
    statuses = [post(image, data={"password": str(number)}).status_code for number in range(6)]
    assert statuses == [401] * 5 + [429]
    refused = post(image, data={"password": "pw"})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "wait a moment" in refused.text
    assert server.get(image["direct_url"], **{"X-Image-Password": "pw"}).status_code == 429, "it is one count"
    server.clock.advance(60)
    assert post(image, data={"password": "pw"}).status_code == 200


def test_a_body_that_is_no_form_is_a_wrong_password(server: RunningServer) -> None:
    image = uploaded(server, password="pw")
    for more in ({"json": {"password": "pw"}}, {"data": {"password": "x" * 5000}}, {"data": b"\xff\xfe"}):
        assert post(image, **more).status_code == 401


def test_nothing_private_stands_in_the_log(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    image = uploaded(server, password="pw-in-the-log", expiration="burn")
    with requests.Session() as session:
        post(image, session, data={"password": "pw-in-the-log"})
        url = picture_url(server, post(image, session))
        server.get(url)
    told = " ".join(str(record.__dict__) for record in caplog.records)
    assert "/i/" in told
    assert "pw-in-the-log" not in told
    assert url.partition("grant=")[2] not in told


def test_what_pages_need_is_kept_by_browsers_for_as_long_as_it_stays(server: RunningServer) -> None:
    page = server.get(uploaded(server)["share_url"])
    addresses = re.findall(r'(?:href|src)="\.\./(static/[^"]+)"', page.text)
    assert {address.partition("?")[0] for address in addresses} == {
        "static/style.css",
        "static/icon.svg",
        "static/copy.js",
    }
    for address in addresses:
        file = server.get(f"/{address}")
        assert file.status_code == 200
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        again = server.get(f"/{address}", **{"If-None-Match": file.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        outdated = server.get(f"/{address.partition('?')[0]}?v=0")
        assert outdated.headers["Cache-Control"] == "public, max-age=86400"
    assert server.get("/static/style.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert server.get("/static/no.css").status_code == 404
    assert server.get("/static/..%2fpages.py").status_code == 404


def test_a_method_that_a_page_does_not_answer_is_told_which_it_does(server: RunningServer) -> None:
    refused = requests.put(f"{server.url}/i/nosuchim", data=b"x" * 100_000, timeout=DEADLINE)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert refused.headers["Content-Length"] == str(len(refused.content))


def test_robots_and_icons_find_what_they_look_for(server: RunningServer) -> None:
    robots = server.get("/robots.txt")
    assert (robots.status_code, robots.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "Disallow: /api/" in robots.text
    assert "Disallow: /f" not in robots.text, "or no preview would show a public picture"
    icon = server.get("/favicon.ico")
    assert (icon.headers["Content-Type"], icon.content[:4]) == ("image/vnd.microsoft.icon", b"\0\0\1\0")
    assert requests.head(f"{server.url}/favicon.ico", timeout=DEADLINE).headers["Content-Length"] == str(
        len(icon.content)
    )


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("", None),
        ("abuse@example.org", "mailto:abuse@example.org"),
        ("https://example.org/a?b=1", "https://example.org/a?b=1"),
    ],
)
def test_who_to_tell_of_abuse_stands_on_every_page(tmp_path: Path, contact: str, shown: str | None) -> None:
    settings = {"abuse_contact": contact, "public_url": "https://img.example.org/x"}
    with running(tmp_path, server=settings, imaging={"workers": 1}) as server:
        slug = server.upload(server.new_key(), PICTURE, password="pw").json()["slug"]
        for path in (f"/i/{slug}", "/i/nosuchim"):
            page = server.get(path).text
            assert re.findall(r'<a href="([^"]*)">Report abuse', page) == ([shown] if shown else [])
            assert "img.example.org" in page
        cookies = requests.post(
            f"{server.url}/i/{slug}", data={"password": "pw"}, timeout=DEADLINE, allow_redirects=False
        ).raw.headers.getlist("Set-Cookie")
        assert len(cookies) == 3
        assert all("; Secure" in cookie and "; Path=/x/" in cookie for cookie in cookies)
