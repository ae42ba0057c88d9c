"""Lists, changes of images, many at once, and folders, as an account's scripts and pages use them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from iuserver import forms
from iuserver.policy import DAY
from tests import pictures
from tests.running import RunningServer, bearer
from tests.surfaces.test_library import ask
from tests.surfaces.test_viewing import swept

MARKUP = "<img src=x onerror=alert(1)>"


def listed(server: RunningServer, key: str, **query: str | int) -> dict[str, Any]:
    answer = ask(server, "GET", "/api/images", key, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def names(page: dict[str, Any]) -> list[str]:
    return [image["filename"] for image in page["images"]]


def uploaded(server: RunningServer, key: str, name: str = "a.jpg", **fields: str) -> dict[str, Any]:
    answer = server.upload(key, pictures.jpeg(), name, **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def patch(server: RunningServer, key: str, slug: str, **changes: Any) -> requests.Response:
    return ask(server, "PATCH", f"/api/images/{slug}", key, json=changes)


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Lists


def test_a_list_is_gone_through_by_its_cursor_whatever_happens_to_what_was_seen(server: RunningServer) -> None:
    key = server.new_key("pro")
    slugs = {uploaded(server, key, f"{number}.jpg")["slug"] for number in range(7)}
    first = listed(server, key, limit=3)
    assert (len(first["images"]), first["total"], first["offset"]) == (3, 7, 0)
    seen = [image["slug"] for image in first["images"]]
    ask(server, "DELETE", f"/api/images/{seen[-1]}", key)
    server.clock.advance(2)
    try:
        uploaded(server, key, "new.jpg")
    finally:
        server.clock.offset = 0
    second = listed(server, key, limit=3, after=first["next"])
    third = listed(server, key, limit=3, after=second["next"])
    seen += [image["slug"] for page in (second, third) for image in page["images"]]
    assert sorted(seen) == sorted(slugs)
    assert third["next"] is None


def test_a_list_is_sorted_searched_and_filtered(server: RunningServer) -> None:
    key = server.new_key("pro")
    ask(server, "POST", "/api/folders", key, json={"name": "Cats"})
    uploaded(server, key, "Zebra.jpg", expiration="forever", folder="cats")
    uploaded(server, key, "ärger.jpg", expiration="1d")
    server.upload(key, pictures.png(), "Straße 100%_.png", password="secret", expiration="1mo")
    assert names(listed(server, key, sort="name")) == ["Straße 100%_.png", "Zebra.jpg", "ärger.jpg"]
    assert names(listed(server, key, sort="largest"))[0] == "Straße 100%_.png"
    assert len(names(listed(server, key, sort="oldest", limit=2))) == 2
    assert names(listed(server, key, q="ÄRGER")) == ["ärger.jpg"]
    assert names(listed(server, key, q="STRASSE")) == ["Straße 100%_.png"]
    assert names(listed(server, key, q="%_")) == ["Straße 100%_.png"]
    assert names(listed(server, key, q=".jpg", folder="cats")) == ["Zebra.jpg"]
    assert names(listed(server, key, q="' OR 1=1 --")) == []
    assert names(listed(server, key, show="password")) == ["Straße 100%_.png"]
    assert names(listed(server, key, show="expiring")) == ["ärger.jpg"]
    assert listed(server, key, show="gone") == {"images": [], "total": 0, "limit": 50, "offset": 0, "next": None}


def test_what_its_last_viewer_has_seen_is_listed_as_gone(server: RunningServer) -> None:
    key = server.new_key("pro")
    burnt = uploaded(server, key, "secret plan.jpg", expiration="burn")
    uploaded(server, key)
    assert server.get(burnt["direct_url"]).status_code == 200
    swept(server)
    (gone,) = listed(server, key, show="gone")["images"]
    assert (gone["slug"], gone["filename"], gone["removed"]) == (burnt["slug"], "image.jpg", None)
    assert listed(server, key, q="plan")["total"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "sideways"},
        {"show": "everything"},
        {"q": "x" * 201},
        {"q": "a\u202eb"},
        {"after": "x"},
        {"after": "=" * 4},
        {"after": "x" * 5000},
        {"after": "W10", "offset": 0},
    ],
)
def test_a_list_that_cannot_be_is_refused(server: RunningServer, query: dict[str, str]) -> None:
    assert code_of(ask(server, "GET", "/api/images", server.new_key(), params=query)) == (400, "bad_field")


def test_a_cursor_is_good_for_its_own_order_alone(server: RunningServer) -> None:
    key = server.new_key("pro")
    for number in range(2):
        uploaded(server, key, f"{number}.jpg")
    cursors = {sort: listed(server, key, limit=1, sort=sort)["next"] for sort in forms.SORTS}
    for sort, (other, cursor) in ((sort, item) for sort in forms.SORTS for item in cursors.items()):
        answer = ask(server, "GET", "/api/images", key, params={"sort": sort, "after": cursor})
        assert answer.status_code == (200 if sort == other else 400)
    both = {"after": cursors["newest"], "offset": 1}
    assert code_of(ask(server, "GET", "/api/images", key, params=both)) == (400, "bad_field")


def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(server: RunningServer) -> None:
    theirs, mine = server.new_key("pro"), server.new_key("pro")
    for number in range(3):
        uploaded(server, theirs, f"{number}.jpg")
    own = uploaded(server, mine)["slug"]
    cursor = listed(server, theirs, limit=1)["next"]
    seen = [image["slug"] for image in listed(server, mine, after=cursor)["images"]]
    assert set(seen) <= {own}


# Changes of an image


def test_an_image_is_renamed_and_keeps_the_ending_of_its_type(server: RunningServer) -> None:
    key = server.new_key()
    slug = uploaded(server, key)["slug"]
    answer = patch(server, key, slug, filename="../etc/Mein Hund.png")
    assert (answer.status_code, answer.json()["filename"]) == (200, "Mein Hund.jpg")
    assert answer.json() == ask(server, "GET", f"/api/images/{slug}", key).json()
    assert names(listed(server, key, q="HUND")) == ["Mein Hund.jpg"]
    marked = patch(server, key, slug, filename=MARKUP).json()
    assert MARKUP.partition(" ")[0] not in marked["embed"]["html"].partition("alt=")[2]
    assert MARKUP not in server.get(marked["share_url"]).text


def test_an_image_is_moved_to_a_folder_and_back(server: RunningServer) -> None:
    key, other = server.new_key(), server.new_key()
    slug = uploaded(server, key)["slug"]
    ask(server, "POST", "/api/folders", key, json={"name": "Cats"})
    ask(server, "POST", "/api/folders", other, json={"name": "Dogs"})
    assert patch(server, key, slug, folder="cats").json()["folder"] == "cats"
    assert ask(server, "GET", "/api/folders", key).json()["folders"][0]["count"] == 1
    for unknown in ("dogs", "A B", 7.5, ["cats"], True):
        assert code_of(patch(server, key, slug, folder=unknown)) == (400, "bad_field")
    assert patch(server, key, slug, folder=None).json()["folder"] is None
    assert ask(server, "GET", "/api/folders", key).json()["folders"][0]["count"] == 0


def test_an_expiry_counts_from_its_change_and_by_the_plan(server: RunningServer) -> None:
    free, pro = server.new_key("free"), server.new_key("pro")
    image = uploaded(server, free, expiration="1d")
    server.clock.advance(DAY / 2)
    try:
        now = int(server.clock())
        changed = patch(server, free, image["slug"], expiration="1w").json()
        assert 0 <= changed["expires_at"] - (now + 7 * DAY) <= 20
        assert code_of(patch(server, free, image["slug"], expiration="forever")) == (403, "plan_required")
        assert code_of(patch(server, free, image["slug"], expires_at=now + DAY)) == (403, "plan_required")
        image = uploaded(server, pro, expiration="1d")
        assert patch(server, pro, image["slug"], expiration="forever").json()["expires_at"] is None
        custom = patch(server, pro, image["slug"], expires_at=now + 2 * DAY).json()
        assert (custom["expiration"], custom["expires_at"]) == ("custom", now + 2 * DAY)
        assert code_of(patch(server, pro, image["slug"], expires_at=now - 1)) == (400, "bad_field")
        views = patch(server, pro, image["slug"], expiration="views", view_limit=2).json()
        assert (views["view_limit"], views["views"]) == (2, 0)
        assert patch(server, pro, image["slug"], expiration="1d").json()["view_limit"] is None
    finally:
        server.clock.offset = 0


def test_the_expiry_of_what_has_been_viewed_stays(server: RunningServer) -> None:
    key = server.new_key("pro")
    image = uploaded(server, key, expiration="views", view_limit="2")
    assert server.get(image["direct_url"]).status_code == 200
    assert code_of(patch(server, key, image["slug"], expiration="1w")) == (400, "bad_field")
    assert patch(server, key, image["slug"], filename="other.jpg").status_code == 200
    burnt = uploaded(server, key, expiration="burn")
    assert server.get(burnt["direct_url"]).status_code == 200
    for changes in ({"filename": "mine again.jpg"}, {"expiration": "1w"}, {"password": "secret"}):
        assert code_of(patch(server, key, burnt["slug"], **changes)) == (400, "bad_field")
    assert patch(server, key, burnt["slug"], folder=None).status_code == 200


def test_a_password_is_set_changed_and_removed_and_ends_what_it_has_unlocked(server: RunningServer) -> None:
    key = server.new_key()
    image = uploaded(server, key)
    for word in ("first", "second", "second"):
        changed = patch(server, key, image["slug"], password=word).json()
        assert changed["password_protected"]
        assert server.get(image["direct_url"]).status_code == 401
        unlocked = server.get(image["direct_url"], **{"X-Image-Password": word})
        cookies = unlocked.cookies.get_dict()
        assert (unlocked.status_code, bool(cookies)) == (200, True)
        again = requests.get(image["direct_url"], cookies=cookies, timeout=9)
        assert again.status_code == 200
        assert patch(server, key, image["slug"], password="another").status_code == 200
        assert requests.get(image["direct_url"], cookies=cookies, timeout=9).status_code == 401
    assert not patch(server, key, image["slug"], password=None).json()["password_protected"]
    assert server.get(image["direct_url"]).status_code == 200
    for wrong in ("", "x" * 257, ["a"], False):
        assert code_of(patch(server, key, image["slug"], password=wrong)) == (400, "bad_field")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_body"),
        (b"{", "bad_body"),
        (b"[]", "bad_body"),
        (b"null", "bad_body"),
        (b"[" * 5000, "bad_body"),
        (b"{}", "bad_field"),
        (b'{"file_name": "x"}', "bad_field"),
        (b'{"filename": ""}', "bad_field"),
        (b'{"filename": " \\u200d "}', "bad_field"),
        (b'{"filename": {"a": 1}}', "bad_field"),
        (b'{"view_limit": 5}', "bad_field"),
        (b'{"expiration": "views"}', "bad_field"),
        (b'{"expiration": "views", "view_limit": 0}', "bad_field"),
        (b'{"expiration": "custom"}', "bad_field"),
        (b'{"expiration": "1d", "expires_at": "2099-12-31T23:59:59Z"}', "bad_field"),
        (b'{"expires_at": "soon"}', "bad_field"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    server: RunningServer, image: tuple[str, str], body: bytes, code: str
) -> None:
    key, slug = image
    before = ask(server, "GET", f"/api/images/{slug}", key).json()
    assert code_of(ask(server, "PATCH", f"/api/images/{slug}", key, data=body)) == (400, code)
    assert ask(server, "GET", f"/api/images/{slug}", key).json() == before


@pytest.fixture(scope="module")
def image(server: RunningServer) -> tuple[str, str]:
    """A key and the slug of an image."""
    key = server.new_key("pro")
    return key, uploaded(server, key)["slug"]


def test_nobody_changes_somebody_elses_image(server: RunningServer) -> None:
    image = uploaded(server, server.new_key())
    for slug in (image["slug"], "unknown"):
        assert code_of(patch(server, server.new_key(), slug, filename="mine.jpg")) == (404, "not_found")
    assert patch(server, "iu_live_wrong", image["slug"], filename="mine.jpg").status_code == 401
    assert (
        requests.patch(f"{server.url}/api/images/{image['slug']}", json={"folder": None}, timeout=9).status_code == 401
    )


# Many at once


def bulk(server: RunningServer, key: str, **body: Any) -> requests.Response:
    return ask(server, "POST", "/api/images/bulk", key, json=body)


def test_many_are_deleted_and_each_is_answered_for(server: RunningServer) -> None:
    key = server.new_key()
    theirs = uploaded(server, server.new_key())
    mine = [uploaded(server, key) for _ in range(3)]
    before = len(server.blobs())
    slugs = [mine[0]["slug"], theirs["slug"], "unknown", MARKUP, mine[2]["slug"], mine[0]["slug"]]
    answer = bulk(server, key, action="delete", slugs=slugs).json()
    assert (answer["ok"], answer["action"], answer["done"]) == (True, "delete", 2)
    assert [(result["slug"], result["ok"]) for result in answer["results"]] == [
        (mine[0]["slug"], True),
        (theirs["slug"], False),
        ("unknown", False),
        (MARKUP, False),
        (mine[2]["slug"], True),
    ]
    refusals = [result for result in answer["results"] if not result["ok"]]
    assert len({(result["error"], result["code"]) for result in refusals}) == 1
    assert refusals[0]["code"] == "not_found"
    assert [server.get(image["direct_url"]).status_code for image in mine] == [404, 200, 404]
    assert server.get(theirs["direct_url"]).status_code == 200
    assert len(server.blobs()) == before - 2
    assert ask(server, "GET", "/api/quota", key).json()["storage"]["used"] == mine[1]["size"]
    assert bulk(server, key, action="delete", slugs=slugs).json()["done"] == 0


def test_many_are_moved_into_a_folder_of_ones_own_alone(server: RunningServer) -> None:
    key, other = server.new_key(), server.new_key()
    ask(server, "POST", "/api/folders", key, json={"name": "Cats"})
    ask(server, "POST", "/api/folders", other, json={"name": "Dogs"})
    slugs = [uploaded(server, key)["slug"] for _ in range(3)]
    theirs = uploaded(server, other)["slug"]
    answer = bulk(server, key, action="move", slugs=[*slugs[:2], theirs], folder="cats").json()
    assert ([result["ok"] for result in answer["results"]], answer["done"]) == ([True, True, False], 2)
    assert listed(server, key, folder="cats")["total"] == 2
    assert listed(server, other)["images"][0]["folder"] is None
    assert code_of(bulk(server, key, action="move", slugs=slugs, folder="dogs")) == (400, "bad_field")
    assert bulk(server, key, action="move", slugs=slugs, folder=None).json()["done"] == 3
    assert listed(server, key, folder="unsorted")["total"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "burn", "slugs": ["a"]},
        {"action": ["delete"], "slugs": ["a"]},
        {"action": "delete"},
        {"action": "delete", "slugs": []},
        {"action": "delete", "slugs": "abc"},
        {"action": "delete", "slugs": ["a", 7]},
        {"action": "delete", "slugs": ["a"] * 1001},
        {"action": "move", "slugs": ["a"]},
        {"action": "move", "slugs": ["a"], "folder": ["x"]},
    ],
)
def test_what_cannot_be_done_with_many_is_refused(server: RunningServer, body: dict[str, Any]) -> None:
    assert code_of(bulk(server, server.new_key(), **body)) == (400, "bad_field")


def test_a_thousand_of_the_longest_slugs_are_taken_and_no_more_than_128_kib(server: RunningServer) -> None:
    key = server.new_key()
    slugs = [f"{number:064}" for number in range(1000)]
    assert bulk(server, key, action="delete", slugs=slugs).json()["done"] == 0
    answer = ask(server, "POST", "/api/images/bulk", key, data=b" " * (128 * 1024 + 1))
    assert code_of(answer) == (413, "too_large")
    assert ask(server, "GET", "/api/images/bulk", key).status_code == 405


# Folders


def test_a_folder_is_renamed_and_keeps_its_slug(server: RunningServer) -> None:
    key = server.new_key()
    for name in ("Cats", "Dogs"):
        ask(server, "POST", "/api/folders", key, json={"name": name})
    uploaded(server, key, folder="cats")
    answer = ask(server, "PATCH", "/api/folders/cats", key, json={"name": MARKUP})
    assert answer.status_code == 200
    assert (answer.json()["slug"], answer.json()["name"], answer.json()["count"]) == ("cats", MARKUP, 1)
    assert ask(server, "PATCH", "/api/folders/cats", key, data={"name": "Lions"}).json()["name"] == "Lions"
    for body, refusal in (
        ({"name": "Dogs"}, (409, "name_taken")),
        ({"name": "unsorted"}, (400, "bad_field")),
        ({"name": ""}, (400, "bad_field")),
        ({"name": 7}, (400, "bad_field")),
        ([], (400, "bad_field")),
    ):
        assert code_of(ask(server, "PATCH", "/api/folders/cats", key, json=body)) == refusal
    folders = ask(server, "GET", "/api/folders", key).json()["folders"]
    assert {folder["slug"]: folder["name"] for folder in folders} == {"cats": "Lions", "dogs": "Dogs"}


def test_a_folder_goes_and_its_images_are_in_the_root(server: RunningServer) -> None:
    key = server.new_key()
    ask(server, "POST", "/api/folders", key, json={"name": "Cats"})
    image = uploaded(server, key, folder="cats")
    answer = ask(server, "DELETE", "/api/folders/cats", key)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "slug": "cats"})
    assert ask(server, "GET", f"/api/images/{image['slug']}", key).json()["folder"] is None
    assert listed(server, key, folder="unsorted")["total"] == 1
    assert server.get(image["direct_url"]).status_code == 200
    assert code_of(ask(server, "DELETE", "/api/folders/cats", key)) == (404, "not_found")


def test_nobody_renames_or_deletes_somebody_elses_folder(server: RunningServer) -> None:
    key = server.new_key()
    ask(server, "POST", "/api/folders", key, json={"name": "Cats"})
    stranger = server.new_key()
    assert code_of(ask(server, "PATCH", "/api/folders/cats", stranger, json={"name": "Mine"})) == (404, "not_found")
    assert code_of(ask(server, "DELETE", "/api/folders/cats", stranger)) == (404, "not_found")
    assert ask(server, "DELETE", "/api/folders/cats").status_code == 401
    assert ask(server, "GET", "/api/folders", key).json()["folders"][0]["name"] == "Cats"


def test_pages_of_any_origin_may_ask_for_a_change_with_a_key(server: RunningServer) -> None:
    key = server.new_key()
    slug = uploaded(server, key)["slug"]
    origin = {"Origin": "https://elsewhere.example", **bearer(key)}
    answer = requests.patch(f"{server.url}/api/images/{slug}", json={"folder": None}, headers=origin, timeout=9)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
