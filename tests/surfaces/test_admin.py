"""The pages of admins: accounts, everybody's images, the blocklist, invites, the audit log, the server's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest
import requests

from handlers.web.admin.charts import HEIGHT, WIDTH, area, line
from handlers.web.admin.sentences import SENTENCES
from iuserver.records import AuditAction
from tests import pictures
from tests.running import DEADLINE, RunningServer, running
from tests.signed_in import PASSWORD, Browser, signed_in


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "web_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture(scope="module")
def admin(server: RunningServer) -> Browser:
    return signed_in(server, admin=True)


def test_accounts_are_found_put_on_plans_disabled_and_enabled(server: RunningServer, admin: Browser) -> None:
    user = signed_in(server)
    email, path = user.account.email, f"/admin/accounts/{user.account.id}"
    assert email in admin.get("/admin/accounts").text
    assert email in admin.get(f"/admin/accounts?q={email[:5].upper()}").text
    assert email not in admin.get("/admin/accounts?q=nobody-has-this").text.partition("<table>")[2]
    assert email in admin.get(path).text
    assert admin.post(f"{path}/plan", plan="business").headers["Location"] == path
    assert user.http.get(f"{server.url}/api/quota", timeout=DEADLINE).json()["plan"] == "business"
    assert "Business plan" in user.get("/dashboard").text
    assert admin.post(f"{path}/plan", plan="golden").status_code == 400
    assert admin.post(f"{path}/disable").status_code == 303
    assert "disabled" in admin.get(path).text
    assert server.get("/api/quota", user.key).status_code == 401
    assert user.get("/dashboard").status_code == 303
    assert admin.post(f"{path}/enable").status_code == 303
    assert server.get("/api/quota", user.key).status_code == 200
    assert admin.post("/admin/accounts/nosuchone/enable").status_code == 404


def test_a_one_time_link_is_shown_once_and_signs_in(server: RunningServer, admin: Browser) -> None:
    user = signed_in(server)
    path = f"/admin/accounts/{user.account.id}"
    (token,) = re.findall(rf'value="{re.escape(server.url)}/login/([\w-]+)"', admin.post(f"{path}/link").text)
    assert token not in admin.get(path).text
    answer = requests.post(f"{server.url}/login/{token}", allow_redirects=False, timeout=DEADLINE)
    assert answer.status_code == 303


def test_an_account_is_removed_with_its_images_when_its_address_is_typed(server: RunningServer, admin: Browser) -> None:
    user = signed_in(server)
    image = server.upload(user.key, pictures.jpeg()).json()
    path = f"/admin/accounts/{user.account.id}"
    assert admin.post(f"{path}/remove", email="somebody@example.org").status_code == 400
    assert server.get(image["direct_url"]).status_code == 200
    assert admin.post(f"{path}/remove", email=user.account.email).headers["Location"] == "/admin/accounts"
    assert server.get(image["direct_url"]).status_code == 404
    assert admin.get(path).status_code == 404


def test_admins_cannot_lock_themselves_out(server: RunningServer, admin: Browser) -> None:
    path = f"/admin/accounts/{admin.account.id}"
    page = admin.get(path).text
    assert f"{path}/disable" not in page
    assert admin.post(f"{path}/disable").status_code == 400
    assert admin.post(f"{path}/remove", email=admin.account.email).status_code == 400


def test_of_gated_pictures_an_admin_sees_the_record_and_no_way_to_the_bytes(
    server: RunningServer, admin: Browser
) -> None:
    key = server.new_key("pro")
    opened = server.upload(key, pictures.jpeg(), "open.jpg").json()
    gated = [
        server.upload(key, pictures.jpeg(), f"gated-{number}.jpg", **fields).json()
        for number, fields in enumerate(
            ({"password": "pw"}, {"expiration": "burn"}, {"expiration": "views", "view_limit": "2"})
        )
    ]
    page = admin.get("/admin/images").text
    assert f"/i/{opened['slug']}" in page
    for image in gated:
        assert image["filename"] in page
        assert f"/i/{image['slug']}" not in page
        assert f"/f/{image['slug']}" not in page
        assert f"/t/{image['slug']}" not in page
        assert admin.get(f"/f/{image['slug']}.jpg", Accept="text/html").status_code != 200


def test_a_picture_is_blocked_purged_and_let_in_again(server: RunningServer, admin: Browser) -> None:
    key, data = server.new_key("pro"), pictures.png()
    first, second = (server.upload(key, data).json() for _ in range(2))
    assert admin.post(f"/admin/images/{first['slug']}/block", purge="1").headers["Location"] == "/admin/blocklist"
    assert [server.get(image["direct_url"]).status_code for image in (first, second)] == [404, 404]
    assert server.upload(key, data).json()["code"] == "blocked"
    page = admin.get("/admin/blocklist").text
    (id_,) = re.findall(r"/admin/blocklist/([\w-]+)/remove", page)
    (sha256,) = re.findall(r"<code>([0-9a-f]{64})</code>", page)
    assert admin.post(f"/admin/blocklist/{id_}/remove").status_code == 303
    assert server.upload(key, data).status_code == 200
    assert admin.post("/admin/blocklist", sha256="no hash").status_code == 400
    assert admin.post("/admin/blocklist", sha256=sha256.upper()).status_code == 303
    assert server.upload(key, data).json()["code"] == "blocked"
    assert admin.post("/admin/images/nosuchone/block").status_code == 404


def test_an_invite_is_shown_once_listed_and_revoked(server: RunningServer, admin: Browser) -> None:
    made = admin.post("/admin/invites", plan="pro", note="for Kim")
    (token,) = re.findall(rf'value="{re.escape(server.url)}/signup/([\w-]+)"', made.text)
    page = admin.get("/admin/invites").text
    assert "for Kim" in page
    assert token not in page
    (id_,) = re.findall(r"/admin/invites/([\w-]+)/revoke", page)
    assert admin.post(f"/admin/invites/{id_}/revoke").status_code == 303
    assert server.get(f"/signup/{token}").status_code == 404
    assert admin.post("/admin/invites", plan="golden", note="").status_code == 400
    assert admin.post("/admin/invites", plan="pro", note="x" * 101).status_code == 400


def test_the_audit_log_says_who_did_what_from_where(server: RunningServer, admin: Browser) -> None:
    user = signed_in(server)
    admin.post(f"/admin/accounts/{user.account.id}/plan", plan="pro")
    page = admin.get("/admin/audit").text
    assert f"{admin.account.email} put {user.account.email} on pro" in page
    assert f"{user.account.email} signed in by a link" in page
    assert "127.0.0.0/24" in page
    assert page.index("put") < page.index("signed in by a link"), "the newest first"


def test_the_audit_log_goes_on_page_by_page(server: RunningServer, admin: Browser) -> None:
    for _ in range(60):
        server.new_email()
    page, seen = admin.get("/admin/audit").text, []
    while True:
        rows = re.findall(r"operator added (user\d+@example\.org)", page)
        assert not set(rows) & set(seen)
        seen += rows
        older = re.search(r'href="\?after=([^"]+)">Older', page)
        if not older:
            break
        page = admin.get(f"/admin/audit?after={older[1]}").text
    assert len(seen) >= 60
    assert admin.get("/admin/audit?after=no-cursor").status_code in (200, 400)


def test_every_action_has_a_sentence() -> None:
    assert set(SENTENCES) == set(get_args(AuditAction))


def test_the_status_page_shows_what_the_server_is_like(server: RunningServer, admin: Browser) -> None:
    for path in ("/admin", "/admin?of=day"):
        page = admin.get(path).text
        assert "1 of 1 workers" in page
        assert '<span class="chip ok">catalog</span>' in page
        assert page.count('role="img"') == 5
        assert "style=" not in page


def test_points_of_a_chart_fill_the_width_and_stay_in_it() -> None:
    assert line([], 60) == ""
    assert area("") == ""
    for values, of in (([0.0] * 60, 60), ([1, 5, 3], 60), (list(range(1440)), 1440), ([7], 60)):
        points = [tuple(map(float, point.split(","))) for point in line(values, of).split(" ")]
        assert len(points) <= 120
        assert points[-1][0] == WIDTH
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_a_password_of_an_admin_is_asked_like_anybodys(server: RunningServer, admin: Browser) -> None:
    answer = admin.post("/login", email=admin.account.email, password=PASSWORD, next="/admin")
    assert answer.headers["Location"] == "/admin"
