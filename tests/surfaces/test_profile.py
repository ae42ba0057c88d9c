"""The profile and what is on it: key, plan, sessions, password; and the configurations that go with the key."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from handlers.browsers import browser_name
from tests import pictures
from tests.running import DEADLINE, RunningServer, running
from tests.signed_in import PASSWORD, Browser, another, signed_in

KEY = re.compile(r'value="(iu_live_\w{38})"')
HOSTS = ("Claude Desktop", "Claude Code", "Cursor", "VS Code", "Windsurf")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    sections: dict[str, dict[str, Any]] = {
        "limits": {"api_per_minute": 0, "web_per_minute": 0},
        "imaging": {"workers": 1},
        "accounts": {"upgrade_contact": "admin@example.org"},
        "plans": {"starter": {"uploads_per_month": 77}},
    }
    with running(tmp_path_factory.mktemp("data"), **sections) as server:
        yield server


def regenerate(browser: Browser, password: str = PASSWORD) -> requests.Response:
    return browser.post("/dashboard/profile/key", password=password)


def test_the_profile_shows_the_keys_end_and_the_day_when_it_was_used(server: RunningServer) -> None:
    browser = signed_in(server)
    page = browser.get("/dashboard/profile").text
    assert browser.account.key_last4 in page
    assert browser.key not in page
    assert "never used" in page
    assert server.get("/api/quota", browser.key).status_code == 200
    server.call(server.server._services.sign_in.last_used.flush())  # what happens each minute
    assert "used today" in browser.get("/dashboard/profile").text
    server.clock.advance(2 * 86400)
    assert "used 2 days ago" in browser.get("/dashboard/profile").text
    server.clock.offset = 0


def test_regenerate_takes_the_password_and_shows_the_new_key_once(server: RunningServer) -> None:
    browser = signed_in(server)
    wrong = regenerate(browser, "not the password")
    assert wrong.status_code == 401
    assert "X-Image-Password" not in wrong.headers.get("WWW-Authenticate", "")
    assert server.get("/api/quota", browser.key).status_code == 200
    shown = regenerate(browser)
    assert shown.status_code == 200
    assert "no-store" in shown.headers["Cache-Control"]
    match = KEY.search(shown.text)
    assert match
    assert server.get("/api/quota", browser.key).status_code == 401, "at once"
    assert server.get("/api/quota", match[1]).status_code == 200
    assert match[1] not in browser.get("/dashboard/profile").text
    assert match[1][-4:] in browser.get("/dashboard/profile").text
    assert browser.get("/dashboard").status_code == 200, "browsers stay signed in"


def test_without_a_password_there_is_no_new_key_but_the_way_to_one(server: RunningServer) -> None:
    browser = signed_in(server, password="")
    assert 'href="#password"' in browser.get("/dashboard/profile").text
    assert regenerate(browser, "").status_code == 401
    short = browser.post("/dashboard/profile/password", new="short")
    assert short.status_code == 400
    assert 'role="alert"' in short.text
    answer = browser.post("/dashboard/profile/password", new=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/profile")
    assert regenerate(browser).status_code == 200


def test_the_api_makes_a_key_for_a_cookie_with_a_password(server: RunningServer) -> None:
    browser, own = signed_in(server), {"Sec-Fetch-Site": "same-origin"}
    url = f"{server.url}/api/key"

    def ask(body: object) -> requests.Response:
        return browser.http.post(url, json=body, headers=own, timeout=DEADLINE)

    assert requests.post(url, json={"password": PASSWORD}, timeout=DEADLINE).status_code == 401
    bearer = {"Authorization": f"Bearer {browser.key}"}
    assert requests.post(url, json={"password": PASSWORD}, headers=bearer, timeout=DEADLINE).status_code == 401
    assert [ask(body).status_code for body in ({}, {"password": 5}, [], {"password": "wrong"})] == [400, 400, 400, 401]
    assert browser.http.post(url, data=b"{", headers=own, timeout=DEADLINE).json()["code"] == "bad_body"
    made = ask({"password": PASSWORD}).json()
    assert set(made) == {"ok", "key"}
    assert server.get("/api/quota", made["key"]).status_code == 200
    assert server.get("/api/quota", browser.key).status_code == 401


def test_a_new_password_takes_the_old_one_and_signs_the_others_out(server: RunningServer) -> None:
    browser = signed_in(server)
    other = another(browser)
    assert browser.post("/dashboard/profile/password", new="another password").status_code == 401, "no current one"
    wrong = browser.post("/dashboard/profile/password", current="wrong password", new="another password")
    assert wrong.status_code == 401
    assert other.get("/dashboard").status_code == 200
    changed = browser.post("/dashboard/profile/password", current=PASSWORD, new="another password")
    assert changed.status_code == 303
    assert browser.get("/dashboard").status_code == 200
    assert other.get("/dashboard").status_code == 303
    assert regenerate(browser, "another password").status_code == 200


def test_the_plans_are_those_of_the_settings_with_somebody_to_ask(server: RunningServer) -> None:
    page = signed_in(server, plan="pro").get("/dashboard/profile").text
    assert 'id="upgrade"' in page
    assert ">77<" in page
    assert "mailto:admin@example.org" in page
    assert '<th scope="col" aria-current="true">Pro</th>' in page


def test_another_browser_is_signed_out_from_the_list(server: RunningServer) -> None:
    browser = signed_in(server)
    other = another(browser)
    page = browser.get("/dashboard/profile").text
    (id_,) = re.findall(r"/dashboard/profile/sessions/([0-9a-f]+)", page)
    assert browser.post(f"/dashboard/profile/sessions/{id_}").status_code == 303
    assert other.get("/dashboard").status_code == 303
    assert browser.post(f"/dashboard/profile/sessions/{id_}").status_code == 404
    answer = browser.post("/dashboard/profile/sign-out-everywhere")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert browser.get("/dashboard").status_code == 303


def test_every_host_of_the_docs_has_its_configuration_and_the_key_is_in_it_right_after_it_was_made(
    server: RunningServer,
) -> None:
    browser = signed_in(server)
    plain = browser.get("/dashboard/connect").text
    docs = (Path(__file__).parents[2] / "docs/agents.md").read_text()
    for host in HOSTS:
        assert host in docs
        assert f"<h2>{host}</h2>" in plain
    assert plain.count("YOUR_KEY") > 8
    assert f"{server.url}/mcp" in plain
    match = KEY.search(regenerate(browser).text)
    assert match
    page = browser.post("/dashboard/connect", key=match[1]).text
    assert page.count(match[1]) > 8
    assert "YOUR_KEY" not in page
    foreign = browser.post("/dashboard/connect", key="iu_live_" + "x" * 38).text
    assert "x" * 38 not in foreign


def test_the_file_for_sharex_has_the_documented_fields_and_uploads(server: RunningServer) -> None:
    """Names and values as in getsharex.com/docs/custom-uploader."""
    browser = signed_in(server)
    answer = browser.get("/dashboard/connect/sharex.sxcu")
    assert re.fullmatch(r'attachment; filename="[a-z0-9.]+\.sxcu"', answer.headers["Content-Disposition"])
    assert answer.json()["Headers"] == {"Authorization": "Bearer YOUR_KEY"}
    match = KEY.search(regenerate(browser).text)
    assert match
    uploader = browser.post("/dashboard/connect/sharex.sxcu", key=match[1]).json()
    assert uploader["DestinationType"] == "ImageUploader"
    assert uploader["Body"] == "MultipartFormData"
    assert set(uploader) <= {
        *("Version", "Name", "DestinationType", "RequestMethod", "RequestURL", "Parameters", "Headers", "Body"),
        *("Arguments", "FileFormName", "Data", "URL", "ThumbnailURL", "DeletionURL", "ErrorMessage"),
    }
    sent = requests.request(
        uploader["RequestMethod"],
        uploader["RequestURL"],
        headers=uploader["Headers"],
        files={uploader["FileFormName"]: ("shot.png", pictures.png())},
        timeout=DEADLINE,
    ).json()
    for field in ("URL", "DeletionURL"):
        name = re.fullmatch(r"\{json:(\w+)\}", uploader[field])
        assert name
        assert requests.get(sent[name[1]], timeout=DEADLINE).status_code == 200
    wrong = requests.post(uploader["RequestURL"], timeout=DEADLINE).json()
    assert uploader["ErrorMessage"] == "{json:error}"
    assert wrong["error"]


def test_what_is_pasted_into_a_shell_uploads(server: RunningServer, tmp_path: Path) -> None:
    browser = signed_in(server)
    match = KEY.search(regenerate(browser).text)
    assert match
    page = browser.post("/dashboard/connect", key=match[1]).text
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg())

    def shown(id_: str) -> str:
        return html.unescape(re.findall(rf'<pre[^>]* id="{id_}"[^>]*>(.*?)</pre>', page, re.DOTALL)[0])

    def run(script: str, **files: str) -> str:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=True
        )
        return done.stdout.decode()

    assert json.loads(run(shown("curl-line")))["ok"] is True
    assert run(f"{shown('shell-alias')}\niu photo.jpg").startswith(f"{server.url}/f/")
    fakes = {"flameshot": f"#!/bin/sh\ncat {shlex.quote(str(tmp_path / 'photo.jpg'))}\n", "xclip": "#!/bin/sh\ncat\n"}
    assert run(shown("flameshot-script"), **fakes).startswith(f"{server.url}/f/")


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
            "Safari/537.36 Edg/126.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
            "Safari/537.36",
            "Chrome on Android",
        ),
        ("", "A browser"),
        ("<script>" + "x" * 10_000, "A browser"),
    ],
)
def test_browsers_have_names(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
