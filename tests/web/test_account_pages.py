"""The pages of the signed-in and of admins in a real browser: the whole story, looks, keyboard, plain http, a proxy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import pictures
from tests.proxying import Target, below, serving
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.signed_in import PASSWORD, Browser, signed_in

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]
SECTIONS: dict[str, dict[str, Any]] = {
    "imaging": {"workers": 1},
    "limits": {"api_per_minute": 0, "web_per_minute": 0},
    "server": {"abuse_contact": "abuse@example.org"},
    "accounts": {"upgrade_contact": "admin@example.org"},
}
TO_SIGN_IN = re.compile(r"/login\?next=")
FOCUSED = """
(e => e.ariaLabel || (e.labels?.[0]?.firstChild || e).textContent.trim())(document.activeElement)
"""
"""What a reader hears of what has the focus."""
WIDTHS = {1360: 900, 768: 900, 360: 740}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("data"), **SECTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def admin(server: RunningServer) -> Browser:
    """An admin with a few pictures, folders, other accounts, an invite and a blocked picture."""
    browser = signed_in(server, admin=True)
    for name in ("Screenshots", "Holiday 2026"):
        body, headers = {"name": name}, bearer(browser.key)
        requests.post(f"{server.url}/api/folders", json=body, headers=headers, timeout=DEADLINE).raise_for_status()
    for fields in ({"folder": "screenshots"}, {"password": "pw"}, {"expiration": "burn"}):
        server.upload(browser.key, pictures.jpeg(), "a long name of a picture.jpg", **fields)
    other, _ = server.new_email("business")
    server.call(server.server.accounts.disable(other))
    browser.post("/admin/invites", plan="pro", note="Kim from accounting")
    browser.post("/admin/blocklist", sha256="0" * 64)
    return browser


@pytest.fixture(params=["sqlite", "mongodb"])
def story_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    """A server of the test's own, on each catalog."""
    sections = dict(SECTIONS)
    if request.param == "mongodb":
        sections["catalog"] = {"url": request.getfixturevalue("mongo_database")}
    with running(tmp_path, **sections) as server:
        yield server


def let_in(page: Any, browser: Browser) -> None:
    """Give a page the cookie of a browser that is signed in."""
    page.context.add_cookies([{"name": "session", "value": browser.cookie, "url": browser.server.url}])


def link_for(server: RunningServer, email: str) -> str:
    """A one-time link, as `iuserver user link` prints it."""
    accounts = server.server.accounts
    return f"{server.url}/login/{server.call(accounts.make_link(server.call(accounts.named(email)))).token}"


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Any, name: str) -> None:
    """Go to a page by the navigation."""
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()


def sign_in(page: Any, url: str, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    press(page, "Sign in")


def works(server: RunningServer, key: str) -> bool:
    return server.get("/api/quota", key).status_code == 200


def regenerate(page: Any) -> str:
    """Make a new key on the profile, and read it from the page."""
    page.get_by_text("Regenerate", exact=True).click()
    page.get_by_label("Your password").fill(PASSWORD)
    press(page, "Make a new key")
    key: str = page.get_by_label("API key").input_value()
    return key


def test_the_whole_story_from_the_one_time_link_to_another_plan(
    story_server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    server = story_server
    email, old_key = server.new_email("free", admin=True)
    link, page = link_for(server, email), profile(permissions=["clipboard-read", "clipboard-write"])
    page.goto(link)
    press(page, "Sign in")
    page.wait_for_url("**/dashboard/profile#password")
    page.get_by_label("New password").fill(PASSWORD)
    press(page, "Set password")
    page.get_by_role("heading", name="Change password").wait_for()

    press(page, "Sign out")
    page.wait_for_url(f"{server.url}/")
    page.go_back()
    page.wait_for_url(TO_SIGN_IN)
    assert email not in page.content(), "nothing is shown from a cache"
    page.goto(link)
    assert "There is nothing here" in page.content(), "a link works once"
    sign_in(page, server.url, email, "not the password")
    assert page.get_by_role("alert").is_visible()
    sign_in(page, server.url, email)
    page.wait_for_url("**/dashboard")

    follow(page, "Profile")
    key = regenerate(page)
    looked_at(page, "new-key")
    press(page, "Copy")
    assert page.evaluate("navigator.clipboard.readText()") == key
    assert not works(server, old_key)
    assert works(server, key)
    press(page, "Show configurations with this key")
    assert page.locator("pre").first.text_content().count(key) == 1
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Download .*sxcu")).click()
    assert key in Path(download.value.path()).read_text()

    second = profile()
    sign_in(second, server.url, email)
    second.wait_for_url("**/dashboard")
    page.goto(f"{server.url}/dashboard/profile")
    page.get_by_role("button", name=re.compile("^Sign out .+ on ")).click()
    page.wait_for_url("**/dashboard/profile")
    second.reload()
    second.wait_for_url(TO_SIGN_IN)

    follow(page, "Admin")
    follow(page, "Invites")
    page.get_by_label("Plan").select_option("starter")
    press(page, "Make an invite")
    invite = page.get_by_label("Invite link").input_value()
    guest = profile()
    guest.goto(invite)
    guest.get_by_label("E-mail address").fill("guest@example.org")
    guest.get_by_label("Password").fill(PASSWORD)
    press(guest, "Sign up")
    guest.wait_for_url("**/dashboard")
    assert "Starter plan" in guest.content()
    late = profile()
    assert late.goto(invite).status == 404, "an invite works once"

    follow(page, "Accounts")
    page.get_by_label("Search accounts").fill("GUEST")
    press(page, "Search")
    page.get_by_role("link", name="Manage guest@example.org").click()
    page.get_by_label("Plan").select_option("business")
    press(page, "Change plan")
    page.wait_for_url("**/admin/accounts/*")
    guest.reload()
    assert "Business plan" in guest.content()
    follow(page, "Audit log")
    assert page.get_by_text(f"{email} put guest@example.org on business").is_visible()


PAGES = {
    "dashboard": "/dashboard",
    "profile": "/dashboard/profile",
    "connect": "/dashboard/connect",
    "admin": "/admin",
    "admin-day": "/admin?of=day",
    "admin-accounts": "/admin/accounts",
    "admin-account": None,
    "admin-images": "/admin/images",
    "admin-blocklist": "/admin/blocklist",
    "admin-invites": "/admin/invites",
    "admin-audit": "/admin/audit",
    "refused": "/admin/accounts/nobody",
}
FRONT = {"landing": "/", "login": "/login", "lost": "/nothing", "not-invited": "/signup", "used-link": "/login/no"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_clean_and_fits(
    server: RunningServer, admin: Browser, profile: Profile, looked_at: Look, width: int, scheme: str
) -> None:
    page = profile(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
    own = f"/admin/accounts/{admin.account.id}"
    for name, path in [*FRONT.items(), *PAGES.items()]:
        if name in PAGES:
            let_in(page, admin)
        page.goto(server.url + (path or own))
        looked_at(page, f"{name}-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_by_keyboard_alone(server: RunningServer, profile: Profile) -> None:
    user = signed_in(server, admin=True)
    page = profile()
    keyboard = page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(60):
            keyboard.press("Tab")
            if page.evaluate(FOCUSED) == name:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"one sees that {name} has the focus"
                return
        raise AssertionError(f"the focus does not come to {name}")

    page.goto(f"{server.url}/login")
    keyboard.type(user.account.email)  # the field has the focus
    tab_to("Password")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    page.wait_for_url("**/dashboard")
    keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    tab_to("Profile")
    keyboard.press("Enter")
    page.wait_for_url("**/dashboard/profile")
    for _ in range(60):
        keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    keyboard.press("Enter")
    tab_to("Your password")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    page.get_by_role("heading", name="Your new API key").wait_for()
    assert not works(server, user.key)
    tab_to("Admin")
    keyboard.press("Enter")
    page.wait_for_url("**/admin")
    tab_to("Accounts")
    keyboard.press("Enter")
    page.wait_for_url("**/admin/accounts")
    tab_to(f"Manage {user.account.email}")
    keyboard.press("Enter")
    page.wait_for_url("**/admin/accounts/*")
    tab_to("Plan")
    keyboard.press("ArrowDown")
    tab_to("Change plan")
    keyboard.press("Enter")
    page.get_by_text("Starter plan").wait_for()
    tab_to("Sign out")
    keyboard.press("Enter")
    page.wait_for_url(f"{server.url}/")


def test_without_javascript_everything_works(server: RunningServer, profile: Profile) -> None:
    user = signed_in(server)
    page = profile(java_script_enabled=False)
    sign_in(page, server.url, user.account.email)
    follow(page, "Profile")
    assert works(server, regenerate(page))
    assert page.get_by_role("button", name="Copy", exact=True).count() == 0


def test_under_a_plain_http_name_and_below_a_proxys_path(tmp_path: Path, profile: Profile) -> None:
    """Where browsers send no Sec-Fetch headers, Origin decides."""
    target = Target()
    with below("/pictures", target) as proxy:
        url = proxy.replace("127.0.0.1", "img.test")
        sections = {**SECTIONS, "server": {"public_url": url}}
        with running(tmp_path, **sections) as server:
            target.address = server.address
            email, _ = server.new_email("free", admin=True)
            page = profile()
            sent: list[dict[str, str]] = []
            page.on("request", lambda request: sent.append(request.all_headers()))
            page.goto(link_for(server, email).replace(server.url, url))
            press(page, "Sign in")
            page.wait_for_url(f"{url}/dashboard/profile#password")
            page.get_by_label("New password").fill(PASSWORD)
            press(page, "Set password")
            page.get_by_role("heading", name="Change password").wait_for()
            assert works(server, regenerate(page))
            follow(page, "Admin")
            page.wait_for_url(f"{url}/admin")
            press(page, "Sign out")
            page.wait_for_url(f"{url}/")
            sign_in(page, url, email)
            page.wait_for_url(f"{url}/dashboard")
            assert not any("sec-fetch-site" in headers for headers in sent)

            form = f'<form method="post" action="{url}/logout"><button>Win a prize</button></form>'
            elsewhere = "http://elsewhere.test/"
            page.route(elsewhere, lambda route: route.fulfill(body=form, content_type="text/html"))
            page.goto(elsewhere)
            with page.expect_response(f"{url}/logout") as answer:
                press(page, "Win a prize")
            assert answer.value.status == 403
            assert page.goto(f"{url}/dashboard").url == f"{url}/dashboard"


@pytest.mark.parametrize("way", ["form", "fetch", "image", "frame"])
def test_a_page_of_a_sibling_host_gets_nowhere(server: RunningServer, browser: Any, way: str) -> None:
    """For browsers it is the same site, so the cookie goes along; what keeps it out is its origin."""
    user, own = signed_in(server), server.url.replace("127.0.0.1", "img.test")
    target = f"{own}/dashboard/profile/sign-out-everywhere"
    pages = {
        "form": f'<form method="post" action="{target}"></form><script>document.forms[0].submit()</script>',
        "fetch": f"<script>fetch('{target}', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})"
        ".finally(() => document.title = 'done')</script>",
        "image": f"<img src='{target}' onerror='document.title = \"done\"'>",
        "frame": f"<iframe src='{own}/dashboard/profile' onload='document.title = \"done\"'></iframe>",
    }
    with contextlib.closing(browser.new_context()) as context, serving(pages[way]) as sibling:
        context.add_cookies([{"name": "session", "value": user.cookie, "url": own}])
        page, statuses = context.new_page(), []
        page.on("response", lambda response: statuses.append(response.status) if response.url == target else None)
        page.goto(sibling.replace("127.0.0.1", "evil.img.test"))
        if way == "form":
            page.wait_for_url(target)
        else:
            page.wait_for_function("document.title == 'done'")
        if way == "frame":
            assert user.account.email not in page.frames[1].content()
        elif way != "image":  # of an image that is none, the page hears nothing
            assert statuses == [403]
    assert user.get("/dashboard").status_code == 200
