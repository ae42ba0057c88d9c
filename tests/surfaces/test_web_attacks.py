"""What pages of other sites, other accounts and their names cannot do, on every route of the table."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from handlers.http.routing import Access
from handlers.routes import ROUTES
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.signed_in import PASSWORD, Browser, another, signed_in

SAFE = {"GET", "HEAD"}
BY_ITS_ADDRESS: set[Access] = {"ticket"}
"""Whoever knows the address may do it, from wherever: no cookie is looked at."""
FROM_ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://sibling.example.org"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
]
MARKUP = "<img src=x onerror=alert(1)>\"'&{{7*7}}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0, "web_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture(scope="module")
def victim(server: RunningServer) -> Browser:
    """An admin with an image and a folder, who is signed in."""
    browser = signed_in(server, admin=True, plan="pro")
    assert server.upload(browser.key, pictures.jpeg(), custom_slug="victims").status_code == 200
    made = requests.post(
        f"{server.url}/api/folders", json={"name": "Mine"}, headers=bearer(browser.key), timeout=DEADLINE
    )
    assert made.json()["slug"] == "mine"
    return browser


EXAMPLES = ("victims", "jpg", "0" * 32, "a" * 43, "style.css")
"""What stands for the variable parts of addresses: each takes the first that it allows."""


def operations(*, unsafe: bool) -> list[tuple[str, str, Access]]:
    """Every operation of the table: a method, an address, who may."""
    return [
        (method, address(route.pattern), operation.access)
        for route in ROUTES
        for operation in route.operations
        for method in operation.methods
        if (method not in SAFE) is unsafe
    ]


def address(pattern: str) -> str:
    """An address that a pattern allows."""

    def example(group: re.Match[str]) -> str:
        words = group[0].strip("()").split("|")
        fitting = [text for text in (*EXAMPLES, *words) if re.fullmatch(group[0], text)]
        assert fitting, f"no example fits {group[0]}"
        return fitting[0]

    return re.sub(r"\([^)]*\)", example, pattern).replace("\\", "").rstrip("?").rstrip("/") or "/"


UNSAFE = operations(unsafe=True)


def send(browser: Browser, method: str, path: str, headers: dict[str, str]) -> requests.Response:
    """Send a request with the cookie of a browser."""
    return browser.http.request(
        method, browser.server.url + path, headers=headers, data={}, allow_redirects=False, timeout=DEADLINE
    )


def state(browser: Browser) -> list[Any]:
    """All that a request could have changed."""
    server, admin = browser.server, browser.server.server._services.admin
    caller = server.call(server.server._services.sign_in.caller(browser.cookie))
    parts = [
        server.server.accounts.all(),
        admin.newest_images(caller),
        admin.blocks(caller),
        admin.invites(caller),
        admin.audit(caller),
        server.server._services.sign_in.sessions(caller),
        server.server._services.library.folders(caller),
    ]
    return [server.call(part) for part in parts]


@pytest.mark.parametrize(("method", "path", "access"), UNSAFE)
def test_no_page_of_another_site_changes_anything(victim: Browser, method: str, path: str, access: Access) -> None:
    before = state(victim)
    for headers in FROM_ELSEWHERE:
        answer = send(victim, method, path, headers)
        if access not in BY_ITS_ADDRESS:
            assert answer.status_code == 403, headers
    assert state(victim) == before


@pytest.mark.parametrize(("method", "path", "access"), UNSAFE)
def test_a_cookie_alone_changes_nothing_where_nobody_says_where_it_comes_from(
    victim: Browser, method: str, path: str, access: Access
) -> None:
    before = state(victim)
    answer = send(victim, method, path, {})
    if access in ("key", "optional key", "session", "admin"):
        assert answer.status_code == 403
    elif path != "/logout":
        assert answer.status_code != 200, "nobody is identified by the cookie"
    assert state(victim) == before


@pytest.mark.parametrize("path", sorted({path for _, path, _ in [*UNSAFE, *operations(unsafe=False)]}))
def test_to_look_changes_nothing_from_wherever(victim: Browser, path: str) -> None:
    """An <img> of another site, and a link from there."""
    before = state(victim)
    for mode, dest in (("no-cors", "image"), ("navigate", "document")):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert send(victim, "GET", path, headers).status_code < 500
    assert state(victim) == before


def test_the_same_requests_from_our_own_pages_are_let_in(victim: Browser) -> None:
    """So that the tests above are about what they say."""
    own = {"Sec-Fetch-Site": "same-origin"}
    paths = [(method, path) for method, path, access in UNSAFE if access in ("key", "session")]
    browser = signed_in(victim.server)
    codes = {
        (method, path): send(browser, method, path, own).status_code
        for method, path in paths
        if "everywhere" not in path
    }
    assert 403 not in codes.values(), codes


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path, access in [*UNSAFE, *operations(unsafe=False)] if access == "admin"],
)
def test_what_admins_may_nobody_else_may(server: RunningServer, victim: Browser, method: str, path: str) -> None:
    before, user = state(victim), signed_in(server)
    own = {"Sec-Fetch-Site": "same-origin"}
    before = state(victim)
    assert send(user, method, path, own).status_code == 403
    by_key = requests.request(
        method, server.url + path, headers=bearer(victim.key), allow_redirects=False, timeout=DEADLINE
    )
    assert by_key.status_code == 303, "an admin's key opens no page"
    assert state(victim) == before


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [each for each in operations(unsafe=False) if each[2] in ("session", "admin")],
)
def test_what_the_signed_in_see_is_in_no_cache_and_in_no_frame(
    victim: Browser, method: str, path: str, access: Access
) -> None:
    answer = send(victim, method, path, {})
    assert "no-store" in answer.headers["Cache-Control"]
    assert "ETag" not in answer.headers
    stranger = requests.request(method, victim.server.url + path, allow_redirects=False, timeout=DEADLINE)
    assert stranger.status_code == (401 if path.startswith("/api/") else 303)
    assert victim.account.email not in stranger.text


@pytest.mark.parametrize("path", ["/", "/login", "/signup", "/nothing", "/dashboard", "/dashboard/profile", "/admin"])
def test_pages_are_in_no_frame_and_run_no_script_of_others(victim: Browser, path: str) -> None:
    answer = victim.get(path, Accept="text/html")
    for got in (answer, requests.get(victim.server.url + path, headers={"Accept": "text/html"}, timeout=DEADLINE)):
        policy = got.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert got.headers["Referrer-Policy"] == "same-origin"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in got.headers["Cache-Control"]


def test_markup_in_names_is_shown_as_text(server: RunningServer) -> None:
    admin = signed_in(server, admin=True, plan="pro")
    accounts, named = server.server.accounts, "<b>&'\"@example.org"
    server.call(accounts.add(named, "free"))
    other = server.call(accounts.named(named))
    own = {"Sec-Fetch-Site": "same-origin"}
    made = admin.http.post(f"{server.url}/api/folders", json={"name": MARKUP}, headers=own, timeout=DEADLINE)
    assert made.status_code == 200
    name = made.json()["name"]
    slug = server.upload(admin.key, pictures.jpeg(), f"{MARKUP}.jpg").json()["slug"]
    assert admin.post("/admin/invites", plan="free", note=MARKUP).status_code == 200
    assert admin.post(f"/admin/images/{slug}/block").status_code == 303
    admin.post("/login", email=named, password="wrong password")
    shown = 0
    for path in (
        *{path for _, path, access in operations(unsafe=False) if access in ("session", "admin")},
        f"/admin/accounts/{other.id}",
        f"/admin/accounts?q={MARKUP}",
        f"/login?next={MARKUP}",
        f"/i/{slug}",
    ):
        text = admin.get(path, Accept="text/html").text
        assert "<img src=x" not in text, path
        assert "<b>&" not in text, path
        assert "49" not in re.sub(r"\d{3,}|[0-9a-f]{8,}", "", text) or "{{7*7}}" in html.unescape(text)
        shown += name in html.unescape(text)
    assert shown > 10, "the folder's name stands in every frame"
    for block in re.findall(r"/admin/blocklist/([\w-]+)/remove", admin.get("/admin/blocklist").text):
        assert admin.post(f"/admin/blocklist/{block}/remove").status_code == 303


def test_a_form_that_is_shown_again_shows_markup_as_text(server: RunningServer) -> None:
    form = {"email": f'"><script>{MARKUP}', "password": "wrong password", "next": f'/"><script>{MARKUP}'}
    answer = requests.post(f"{server.url}/login", data=form, timeout=DEADLINE)
    assert answer.status_code == 401
    assert "<script>" not in answer.text


def test_a_session_ends_with_its_password_its_account_and_by_being_disabled(server: RunningServer) -> None:
    accounts = server.server.accounts

    def is_in(browser: Browser) -> bool:
        page = browser.get("/dashboard").status_code == 200
        api = browser.get("/api/quota").status_code == 200
        assert page is api
        return page

    first = signed_in(server)
    second = another(first)
    planted = first.cookie
    assert first.post("/dashboard/profile/password", current=PASSWORD, new="another password").status_code == 303
    assert is_in(first)
    assert not is_in(second)
    assert first.cookie != planted
    third = another(first)
    assert third.post("/dashboard/profile/sign-out-everywhere").status_code == 303
    assert not is_in(first)
    fourth = another(first)
    server.call(accounts.disable(first.account.email))
    assert not is_in(fourth)
    assert fourth.post("/login", email=first.account.email, password="another password").status_code == 401
    server.call(accounts.enable(first.account.email))
    assert not is_in(fourth), "it does not come back"
    fifth = another(first)
    admin = signed_in(server, admin=True)
    removed = admin.post(f"/admin/accounts/{first.account.id}/remove", email=first.account.email)
    assert removed.status_code == 303
    assert not is_in(fifth)


def test_an_accounts_slugs_folders_and_sessions_are_nobody_elses(server: RunningServer, victim: Browser) -> None:
    other, before = signed_in(server, plan="pro"), state(victim)
    own = {"Sec-Fetch-Site": "same-origin"}
    url = server.url
    assert other.http.get(f"{url}/api/images/victims", timeout=DEADLINE).status_code == 404
    assert other.http.delete(f"{url}/api/images/victims", headers=own, timeout=DEADLINE).status_code == 404
    assert other.http.get(f"{url}/api/images?folder=mine", timeout=DEADLINE).json()["images"] == []
    files = {"file": ("a.png", pictures.png())}
    answer = other.http.post(f"{url}/api/upload", files=files, data={"folder": "mine"}, headers=own, timeout=DEADLINE)
    assert answer.status_code == 400
    session = victim.http.get(f"{url}/api/sessions", timeout=DEADLINE).json()["sessions"][0]["id"]
    assert other.post(f"/dashboard/profile/sessions/{session}").status_code == 404
    before[0] = state(victim)[0]  # there is one account more
    after = state(victim)
    assert [after[1], after[5], after[6]] == [before[1], before[5], before[6]]
