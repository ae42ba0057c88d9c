"""Folders, deletion, and the other things that a caller can ask of an upload."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from iuserver.policy import DAY
from tests import pictures
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.surfaces.test_cli import command


def ask(server: RunningServer, method: str, path: str, key: str = "", **more: object) -> requests.Response:
    headers = bearer(key) if key else {}
    url = path if path.startswith("http") else server.url + path
    return requests.request(method, url, headers=headers, timeout=DEADLINE, **more)  # type: ignore[arg-type]


# Folders


def test_a_folder_has_a_name_in_any_script_that_can_be_seen(server: RunningServer) -> None:
    key = server.new_key("pro")
    for name in ("می\u200cشود", "👨\u200d👩\u200d👧"):
        made = ask(server, "POST", "/api/folders", key, json={"name": name})
        assert (made.status_code, made.json()["name"]) == (200, name)
    for name in ("\u3164", "\u200d", "a\u2028b", "a\u202eb"):
        refused = ask(server, "POST", "/api/folders", key, json={"name": name})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_field")


def test_a_folder_is_made_listed_and_filled(server: RunningServer) -> None:
    key = server.new_key("pro")
    made = ask(server, "POST", "/api/folders", key, json={"name": "Straße & Café 2026"})
    assert made.status_code == 200
    assert (made.json()["slug"], made.json()["name"], made.json()["count"]) == (
        "strasse-cafe-2026",
        "Straße & Café 2026",
        0,
    )
    assert server.upload(key, pictures.jpeg(), folder="strasse-cafe-2026").json()["folder"] == "strasse-cafe-2026"
    assert server.upload(key, pictures.jpeg(), folder="unsorted").json()["folder"] is None
    (listed,) = ask(server, "GET", "/api/folders", key).json()["folders"]
    assert (listed["slug"], listed["count"]) == ("strasse-cafe-2026", 1)
    assert listed["created_at"] <= server.clock()
    assert ask(server, "GET", "/api/folders", server.new_key()).json() == {"folders": []}


def test_a_folder_of_somebody_else_is_unknown(server: RunningServer) -> None:
    ask(server, "POST", "/api/folders", server.new_key(), json={"name": "mine"})
    refused = server.upload(server.new_key(), pictures.jpeg(), folder="mine")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_field")


def test_a_name_without_any_letter_to_spell_gets_a_slug_too(server: RunningServer) -> None:
    slug = ask(server, "POST", "/api/folders", server.new_key(), data={"name": "写真"}).json()["slug"]
    assert slug.startswith("folder-")
    assert len(slug) == len("folder-") + 6


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"json": {"name": ""}}, 400, "bad_field"),
        ({"json": {"name": "x" * 41}}, 400, "bad_field"),
        ({"json": {"name": "a\nb"}}, 400, "bad_field"),
        ({"json": {"name": 7}}, 400, "bad_field"),
        ({"json": {"name": "Default"}}, 400, "bad_field"),
        ({"json": []}, 400, "bad_field"),
        ({"data": b"{"}, 400, "bad_body"),
        ({"json": {"name": "taken"}}, 409, "name_taken"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(
    server: RunningServer, body: dict[str, object], status: int, code: str
) -> None:
    key = server.new_key()
    ask(server, "POST", "/api/folders", key, json={"name": "taken"})
    refused = ask(server, "POST", "/api/folders", key, **body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_there_may_be_200_folders(server: RunningServer) -> None:
    key = server.new_key()
    for number in range(200):
        assert ask(server, "POST", "/api/folders", key, json={"name": f"n{number}"}).status_code == 200
    refused = ask(server, "POST", "/api/folders", key, json={"name": "one more"})
    assert (refused.status_code, refused.json()["code"]) == (403, "folder_limit")


# Deletion


def test_a_deleted_image_is_gone_with_its_bytes_and_keeps_its_count(server: RunningServer) -> None:
    key = server.new_key()
    before = len(server.blobs())
    answer = server.upload(key, pictures.jpeg()).json()
    assert ask(server, "DELETE", f"/api/images/{answer['slug']}", server.new_key()).status_code == 404
    deleted = ask(server, "DELETE", f"/api/images/{answer['slug']}", key)
    assert (deleted.status_code, deleted.json()) == (200, {"ok": True, "slug": answer["slug"]})
    assert server.get(answer["direct_url"]).status_code == 404
    assert ask(server, "DELETE", f"/api/images/{answer['slug']}", key).status_code == 404
    assert len(server.blobs()) == before
    quota = server.get("/api/quota", key).json()
    assert (quota["used"], quota["storage"]["used"]) == (1, 0)


def test_a_deletion_link_asks_and_works_once(server: RunningServer) -> None:
    answer = server.upload(server.new_key(), pictures.jpeg(), "<b>.jpg").json()
    asked = ask(server, "GET", answer["delete_url"])
    assert asked.status_code == 200
    assert '<form method="post">' in asked.text
    assert "&lt;b&gt;.jpg" in asked.text
    assert "default-src 'none'" in asked.headers["Content-Security-Policy"]
    assert server.get(answer["direct_url"]).status_code == 200
    assert "Deleted" in ask(server, "POST", answer["delete_url"]).text
    assert server.get(answer["direct_url"]).status_code == 404
    assert ask(server, "POST", answer["delete_url"]).status_code == 404
    assert ask(server, "GET", answer["delete_url"]).status_code == 404


def test_a_deletion_link_cannot_be_guessed_or_used_for_another_image(server: RunningServer) -> None:
    key = server.new_key()
    one, other = (server.upload(key, pictures.jpeg()).json() for _ in range(2))
    token = one["delete_url"].rpartition("/")[2]
    assert ask(server, "POST", f"/d/{other['slug']}/{token}").status_code == 404
    assert ask(server, "POST", f"/d/{one['slug']}/{'0' * 32}").status_code == 404
    assert server.get(one["direct_url"]).status_code == server.get(other["direct_url"]).status_code == 200


def test_deletion_links_outlive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        link = server.upload(server.new_key(), pictures.jpeg()).json()["delete_url"].removeprefix(server.url)
    with running(tmp_path, imaging={"workers": 1}) as server:
        assert ask(server, "POST", link).status_code == 200


def test_a_removed_account_takes_its_images_along(server: RunningServer) -> None:
    email, key = server.new_email()
    before = len(server.blobs())
    links = [server.upload(key, pictures.jpeg()).json()["direct_url"] for _ in range(3)]
    done = command("user", "remove", email, "--data", str(server.data))
    assert (done.returncode, done.stderr) == (0, "")
    assert [server.get(link).status_code for link in links] == [404] * 3
    assert server.upload(key, pictures.jpeg()).status_code == 401
    assert len(server.blobs()) == before
    assert command("user", "remove", email, "--data", str(server.data)).returncode == 1


# Fields of an upload


def test_an_image_can_expire_at_a_time_of_its_own(server: RunningServer) -> None:
    key = server.new_key("pro")
    when = int(server.clock()) + 400 * DAY
    for text in (str(when), "2099-12-31T23:59:59Z", "2099-12-31T23:59:59.5+02:00"):
        answer = server.upload(key, pictures.jpeg(), expires_at=text).json()
        assert answer["expiration"] == "custom"
        assert answer["expires_at"] in (when, 4102444799, 4102437599)


@pytest.mark.parametrize(
    ("plan", "fields", "status", "code"),
    [
        ("free", {"expires_at": "4102444799"}, 403, "plan_required"),
        ("free", {"custom_slug": "my-cat"}, 403, "plan_required"),
        ("pro", {"expires_at": "1000"}, 400, "bad_field"),
        ("pro", {"expires_at": "soon"}, 400, "bad_field"),
        ("pro", {"expires_at": "2099-12-31T23:59:59"}, 400, "bad_field"),
        ("pro", {"expires_at": "2099-13-41T23:59:59Z"}, 400, "bad_field"),
        ("pro", {"expires_at": "4102444799", "expiration": "1d"}, 400, "bad_field"),
        ("pro", {"expiration": "custom"}, 400, "bad_field"),
        ("pro", {"custom_slug": "ab"}, 400, "bad_field"),
        ("pro", {"custom_slug": "a/b"}, 400, "bad_field"),
        ("pro", {"custom_slug": "tk_mine"}, 400, "bad_field"),
        ("pro", {"custom_slug": "API"}, 400, "bad_field"),
    ],
)
def test_a_field_that_cannot_be_is_refused(
    server: RunningServer, plan: str, fields: dict[str, str], status: int, code: str
) -> None:
    refused = server.upload(server.new_key(plan), pictures.jpeg(), **fields)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_a_short_link_of_ones_own_is_taken_once_and_kept_for_30_days(server: RunningServer) -> None:
    key = server.new_key("business")
    answer = server.upload(key, pictures.jpeg(), custom_slug="my_Cat-1").json()
    assert answer["slug"] == "my_Cat-1"
    assert answer["direct_url"].endswith("/f/my_Cat-1.jpg")
    assert server.get(answer["direct_url"]).status_code == 200
    taken = server.upload(server.new_key("pro"), pictures.jpeg(), custom_slug="my_Cat-1")
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    ask(server, "DELETE", "/api/images/my_Cat-1", key)
    try:
        server.clock.advance(29 * DAY)
        assert server.upload(key, pictures.jpeg(), custom_slug="my_Cat-1").status_code == 409
        server.clock.advance(DAY)
        assert server.upload(key, pictures.jpeg(), custom_slug="my_Cat-1").status_code == 200
    finally:
        server.clock.offset = 0


def test_who_wants_text_gets_the_direct_url_alone(server: RunningServer) -> None:
    response = requests.post(
        f"{server.url}/api/upload",
        headers={**bearer(server.new_key()), "Accept": "text/plain"},
        files={"file": ("a.jpg", pictures.jpeg())},
        timeout=DEADLINE,
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Quota-Used"] == "1"
    assert server.get(response.text.strip()).status_code == 200


# Around it


def test_pages_of_any_origin_may_call_the_api(server: RunningServer) -> None:
    preflight = ask(server, "OPTIONS", "/api/upload")
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = server.upload(server.new_key(), pictures.jpeg())
    refused = server.upload("iu_live_wrong", pictures.jpeg())
    for response in (answer, refused):
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Quota-Used" in response.headers["Access-Control-Expose-Headers"]


def test_the_calls_that_are_left_are_told(tmp_path: Path) -> None:
    with running(tmp_path, limits={"api_per_minute": 2}, imaging={"workers": 1}) as server:
        key = server.new_key()
        told = [server.get("/api/quota", key).headers for _ in range(3)]
        assert {headers["RateLimit-Policy"] for headers in told} == {'"api";q=2;w=60'}
        assert [headers["RateLimit"].partition(";t=")[0] for headers in told] == ['"api";r=1', '"api";r=0', '"api";r=0']
        assert told[2]["RateLimit"].partition(";t=")[2] == told[2]["Retry-After"]
        refused = server.upload(key, pictures.jpeg())
        assert refused.headers["RateLimit"].startswith('"api";r=0')
