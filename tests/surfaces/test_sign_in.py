"""How one gets in and out: password, one-time links, sign-up, and who is believed to be whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.signed_in import PASSWORD, Browser, another, signed_in

LIMITS = {"api_per_minute": 0, "web_per_minute": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("data"), limits=LIMITS, imaging={"workers": 1}) as server:
        yield server


def sign_in(server: RunningServer, email: str, password: str = PASSWORD, **fields: str) -> requests.Response:
    """Send the sign-in form, from an address of its own: wrong passwords count by network."""
    headers = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": fields.pop("network", "192.0.2.1")}
    form = {"email": email, "password": password, **fields}
    return requests.post(f"{server.url}/login", data=form, headers=headers, allow_redirects=False, timeout=DEADLINE)


def test_a_visitor_sees_what_this_is_and_the_signed_in_go_on(server: RunningServer) -> None:
    front = server.get("/")
    assert front.status_code == 200
    assert "Sign in" in front.text
    assert "Sign up" not in front.text, "not without an invite"
    answer = signed_in(server).get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")


def test_the_right_password_opens_the_dashboard_by_a_cookie_that_scripts_cannot_read(server: RunningServer) -> None:
    browser = signed_in(server)
    answer = sign_in(server, browser.account.email)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_over_tls_the_cookie_is_bound_to_the_host(server: RunningServer) -> None:
    browser = signed_in(server)
    token = server.call(server.server.accounts.make_link(browser.account)).token
    headers = {"X-Forwarded-Proto": "https", "Origin": f"https://{server.url.partition('//')[2]}"}
    answer = requests.post(f"{server.url}/login/{token}", headers=headers, allow_redirects=False, timeout=DEADLINE)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert "Secure" in cookie
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    value = cookie.partition("=")[2].partition(";")[0]
    for proto, name, status in (
        ("https", "__Host-session", 200),
        ("https", "session", 303),
        ("http", "__Host-session", 303),
    ):
        headers = {"X-Forwarded-Proto": proto, "Cookie": f"{name}={value}"}
        got = requests.get(f"{server.url}/dashboard", headers=headers, allow_redirects=False, timeout=DEADLINE)
        assert got.status_code == status, (proto, name)


@pytest.mark.parametrize("email", ["known", "nobody@example.org", "no address", ""])
def test_a_wrong_password_is_told_alike_whoever_it_is_for(server: RunningServer, email: str) -> None:
    if email == "known":
        email = signed_in(server).account.email
    answer = sign_in(server, email, "wrong password", network="192.0.2.2")
    assert answer.status_code == 401
    assert "WWW-Authenticate" not in answer.headers or "X-Image-Password" not in answer.headers["WWW-Authenticate"]
    assert "Set-Cookie" not in answer.headers
    assert email in answer.text
    assert "wrong password" not in answer.text
    assert 'role="alert"' in answer.text


def test_the_sixth_wrong_try_is_429_for_that_network_alone(server: RunningServer) -> None:
    email = signed_in(server).account.email
    tries = [sign_in(server, email, f"wrong {number}", network="192.0.2.3") for number in range(6)]
    assert [answer.status_code for answer in tries] == [401] * 5 + [429]
    assert int(tries[-1].headers["Retry-After"]) >= 1
    assert sign_in(server, email, network="192.0.2.3").status_code == 429
    assert sign_in(server, email, network="192.0.2.4").status_code == 303, "strangers elsewhere lock nobody out"


def test_after_signing_in_one_is_where_one_wanted_to_be(server: RunningServer) -> None:
    browser = signed_in(server)
    stranger = requests.get(f"{server.url}/dashboard/connect?a=b", allow_redirects=False, timeout=DEADLINE)
    assert stranger.status_code == 303
    assert stranger.headers["Location"] == "/login?next=" + quote("/dashboard/connect?a=b", safe="/")
    form = server.get(stranger.headers["Location"])
    assert 'name="next" value="/dashboard/connect?a=b"' in form.text
    answer = sign_in(server, browser.account.email, next="/dashboard/connect?a=b")
    assert answer.headers["Location"] == "/dashboard/connect?a=b"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/../../x",
        "/%0d%0aSet-Cookie:a=b\r\nX: y",
        "/" + "a" * 1000,
        "",
    ],
)
def test_nobody_is_sent_elsewhere(server: RunningServer, elsewhere: str) -> None:
    browser = signed_in(server)
    assert sign_in(server, browser.account.email, next=elsewhere).headers["Location"] == "/dashboard"


def test_a_link_signs_in_once_and_to_look_at_it_uses_nothing_up(server: RunningServer) -> None:
    browser = signed_in(server, password="")
    token = server.call(server.server.accounts.make_link(browser.account)).token
    for _ in range(3):  # scanners of mail look at it
        assert server.get(f"/login/{token}").status_code == 200
    fresh = Browser(server, browser.account, browser.key, requests.Session())
    answer = fresh.post(f"/login/{token}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/profile#password")
    assert fresh.get("/dashboard").status_code == 200
    assert fresh.post(f"/login/{token}").status_code == 404
    assert server.get(f"/login/{token}").status_code == 404


def test_signing_out_ends_the_session_for_good(server: RunningServer) -> None:
    browser = signed_in(server)
    token = browser.cookie
    answer = browser.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert 'session=""' in answer.headers["Set-Cookie"] or "session=;" in answer.headers["Set-Cookie"]
    kept = requests.get(f"{server.url}/dashboard", cookies={"session": token}, allow_redirects=False, timeout=DEADLINE)
    assert kept.status_code == 303


def test_a_new_sign_in_has_a_new_session_and_ends_the_one_that_it_came_with(server: RunningServer) -> None:
    browser = signed_in(server)
    planted = browser.cookie
    answer = browser.post("/login", email=browser.account.email, password=PASSWORD)
    assert answer.status_code == 303
    assert browser.cookie != planted
    kept = requests.get(f"{server.url}/api/sessions", cookies={"session": planted}, timeout=DEADLINE)
    assert kept.status_code == 401


def test_of_two_session_cookies_none_is_believed(server: RunningServer) -> None:
    victim, attacker = signed_in(server), signed_in(server)
    for header, status in (
        (f"session={victim.cookie}", 200),
        (f"session={attacker.cookie}; session={victim.cookie}", 401),
        (f"session={victim.cookie}; session={attacker.cookie}", 401),
        (f"session={victim.cookie}; session={victim.cookie}", 200),
        (f"a=b; session={victim.cookie}; c=d", 200),
        (f"session=; session={victim.cookie}", 200),
        (f"Session={victim.cookie}", 401),
        ("session=" + "x" * 5000, 401),
        ("session=" + "é" * 43, 401),
    ):
        got = requests.get(f"{server.url}/api/quota", headers={"Cookie": header.encode("utf-8")}, timeout=DEADLINE)
        assert got.status_code == status, header[:100]


def test_the_api_takes_the_cookie_and_a_key_comes_first(server: RunningServer) -> None:
    browser, other = signed_in(server, plan="pro"), signed_in(server)
    assert browser.http.get(f"{server.url}/api/quota", timeout=DEADLINE).json()["plan"] == "pro"
    answer = browser.http.get(f"{server.url}/api/quota", headers=bearer(other.key), timeout=DEADLINE)
    assert answer.json()["plan"] == "free"
    wrong = browser.http.get(f"{server.url}/api/quota", headers=bearer("iu_live_no"), timeout=DEADLINE)
    assert wrong.status_code == 401
    assert "RateLimit-Policy" not in answer.headers  # no limit is set here


def test_uploads_by_cookie_are_the_webs_and_do_not_count_in_the_month(tmp_path: Path) -> None:
    plans = {"free": {"uploads_per_month": 1}}
    with running(tmp_path, plans=plans, imaging={"workers": 1}) as server:
        browser = signed_in(server)
        own = {"Sec-Fetch-Site": "same-origin"}
        for _ in range(2):
            files = {"file": ("a.jpg", pictures.jpeg())}
            answer = browser.http.post(f"{server.url}/api/upload", files=files, headers=own, timeout=DEADLINE)
            assert answer.status_code == 200
            assert answer.json()["upload_source"] == "web"
            assert answer.json()["quota"]["used"] == 0
        assert server.upload(browser.key, pictures.jpeg()).json()["quota"]["used"] == 1
        assert server.upload(browser.key, pictures.jpeg()).status_code == 429
        files = {"file": ("a.jpg", pictures.jpeg())}
        answer = browser.http.post(f"{server.url}/api/upload", files=files, headers=own, timeout=DEADLINE)
        assert answer.status_code == 200, "the month is used up for the key alone"
        assert answer.headers["X-Quota-Used"] == "1"


def test_calls_by_cookie_have_a_rate_of_their_own(tmp_path: Path) -> None:
    with running(tmp_path, limits={"api_per_minute": 1, "web_per_minute": 6}, imaging={"workers": 1}) as server:
        browser = signed_in(server)
        answer = browser.get("/api/quota")
        assert answer.headers["RateLimit-Policy"] == '"web";q=6;w=60'
        codes = [browser.get("/api/quota").status_code for _ in range(6)]
        assert codes[-1] == 429
        assert server.get("/api/quota", browser.key).status_code == 200
        assert browser.get("/dashboard").status_code == 429


def test_sessions_are_listed_and_ended_by_cookie_alone(server: RunningServer) -> None:
    first = signed_in(server)
    second = another(first)
    found = first.http.get(f"{server.url}/api/sessions", timeout=DEADLINE).json()["sessions"]
    assert [set(session) for session in found] == [{"id", "browser", "network", "created_at", "seen_at", "current"}] * 2
    assert sorted(session["current"] for session in found) == [False, True]
    assert server.get("/api/sessions", first.key).status_code == 401, "no key will do"
    other_id = next(session["id"] for session in found if not session["current"])
    url, own = f"{server.url}/api/sessions/{other_id}", {"Sec-Fetch-Site": "same-origin"}
    stranger = signed_in(server)
    assert stranger.http.delete(url, headers=own, timeout=DEADLINE).status_code == 404
    assert first.http.delete(url, headers=own, timeout=DEADLINE).json() == {"ok": True, "id": other_id}
    assert second.get("/dashboard").status_code == 303
    assert first.http.delete(url, headers=own, timeout=DEADLINE).status_code == 404


def test_sign_up_is_for_the_invited_unless_the_setting_says_otherwise(server: RunningServer) -> None:
    form = {"email": "new@example.org", "password": PASSWORD}
    assert server.get("/signup").status_code == 403
    assert requests.post(f"{server.url}/signup", data=form, timeout=DEADLINE).status_code == 403
    assert server.get("/signup/nosuchinvite").status_code == 404
    admin = signed_in(server, admin=True)
    page = admin.post("/admin/invites", plan="starter", note="New <b>colleague</b>").text
    link = page.partition(f"{server.url}/signup/")[2].partition('"')[0]
    assert server.get(f"/signup/{link}").status_code == 200
    guest = requests.Session()
    wrong = guest.post(f"{server.url}/signup/{link}", data={**form, "password": "short"}, timeout=DEADLINE)
    assert wrong.status_code == 400
    assert "new@example.org" in wrong.text
    answer = guest.post(f"{server.url}/signup/{link}", data=form, allow_redirects=False, timeout=DEADLINE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
    assert guest.get(f"{server.url}/api/quota", timeout=DEADLINE).json()["plan"] == "starter"
    again = requests.post(f"{server.url}/signup/{link}", data={**form, "email": "b@example.org"}, timeout=DEADLINE)
    assert again.status_code == 404, "an invite is good once"


def test_open_and_closed_sign_up(tmp_path: Path) -> None:
    form = {"email": "new@example.org", "password": PASSWORD}
    with running(tmp_path / "open", accounts={"sign_up": "open"}, imaging={"workers": 1}) as server:
        assert "Sign up" in server.get("/").text
        assert server.get("/signup").status_code == 200
        answer = requests.post(f"{server.url}/signup", data=form, allow_redirects=False, timeout=DEADLINE)
        assert answer.status_code == 303
        taken = requests.post(f"{server.url}/signup", data=form, timeout=DEADLINE)
        assert taken.status_code == 409
    with running(tmp_path / "closed", accounts={"sign_up": "closed"}, imaging={"workers": 1}) as server:
        assert requests.post(f"{server.url}/signup", data=form, timeout=DEADLINE).status_code == 403


def test_what_is_not_there_is_a_page_for_browsers_and_json_for_programs(server: RunningServer) -> None:
    page = server.get("/nothing", Accept="text/html,*/*;q=0.8")
    assert page.status_code == 404
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    framed = signed_in(server).get("/dashboard/nothing", Accept="text/html")
    assert framed.status_code == 404
    assert 'aria-label="Usage"' in framed.text
    assert server.get("/nothing").json()["code"] == "not_found"
    assert server.get("/api/nothing", Accept="text/html").json()["code"] == "not_found"


def test_a_plain_http_name_and_a_path_of_a_proxy(tmp_path: Path) -> None:
    """A name that is not loopback: browsers send no Sec-Fetch headers there, but Origin with forms."""
    with running(tmp_path, server={"public_url": "http://img.test/pictures"}, imaging={"workers": 1}) as server:
        accounts = server.server.accounts
        email, _ = server.new_email()
        token = server.call(accounts.make_link(server.call(accounts.named(email)))).token
        http = requests.Session()
        own, foreign = {"Origin": "http://img.test"}, {"Origin": "http://elsewhere.test"}

        def post(path: str, headers: dict[str, str], **form: str) -> requests.Response:
            return http.post(server.url + path, data=form, headers=headers, allow_redirects=False, timeout=DEADLINE)

        assert post(f"/login/{token}", foreign).status_code == 403
        answer = post(f"/login/{token}", own)
        assert answer.headers["Location"] == "/pictures/dashboard/profile#password"
        assert answer.headers["Set-Cookie"].startswith("session=")
        page = http.get(f"{server.url}/dashboard", timeout=DEADLINE).text
        assert 'href="/pictures/dashboard/profile"' in page
        assert 'action="/pictures/logout"' in page
        assert post("/dashboard/profile/password", foreign, new=PASSWORD).status_code == 403
        assert post("/dashboard/profile/password", {"Origin": "null"}, new=PASSWORD).status_code == 403
        assert post("/dashboard/profile/password", {}, new=PASSWORD).status_code == 403, "neither is sent"
        assert post("/dashboard/profile/password", own, new=PASSWORD).status_code == 303
        assert post("/logout", own).headers["Location"] == "/pictures/"
        answer = post("/login", own, email=email, password=PASSWORD, next="/dashboard/connect")
        assert answer.headers["Location"] == "/pictures/dashboard/connect"
        stranger = requests.get(f"{server.url}/dashboard", allow_redirects=False, timeout=DEADLINE)
        assert stranger.headers["Location"] == "/pictures/login?next=/dashboard"
