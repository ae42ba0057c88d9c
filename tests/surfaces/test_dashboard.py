"""The uploader's form and the gallery without scripts: what their pages say and what their forms do."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from iuserver import policy
from iuserver.records import ListQuery
from tests import pictures
from tests.running import DEADLINE, RunningServer, running
from tests.signed_in import Browser, signed_in

MARKUP = "<script>alert(1)</script>\"'&"
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "web_per_minute": 0}
    plans = {"free": {"max_file_mb": 1}}
    with running(tmp_path_factory.mktemp("data"), limits=limits, plans=plans, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture
def browser(server: RunningServer) -> Browser:
    return signed_in(server, plan="free")


def send(browser: Browser, data: bytes, name: str = "beach.jpg", **fields: str) -> requests.Response:
    """Send the uploader's form, as a browser does."""
    return browser.http.post(
        f"{browser.server.url}/dashboard",
        files={"file": (name, data, "image/jpeg")},
        data=fields,
        headers=OURS,
        allow_redirects=False,
        timeout=DEADLINE,
    )


def images(browser: Browser, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.server.get(f"/api/images?limit=100{query}", browser.key).json()["images"]
    return found


def names(page: requests.Response) -> list[str]:
    """The names on the tiles of a page."""
    return [html.unescape(name) for name in re.findall(r'<span class="name">([^<]+)</span></?span', page.text)]


def tiles(page: requests.Response) -> list[str]:
    """The slugs of a page's tiles."""
    return re.findall(r'<li class="tile" data-slug="([^"]+)"', page.text)


def upload(browser: Browser, name: str = "a.png", **fields: str) -> str:
    answer = browser.server.upload(browser.key, pictures.png(), name, **fields)
    assert answer.status_code == 200, answer.text
    slug: str = answer.json()["slug"]
    return slug


def folder(browser: Browser, name: str) -> str:
    answer = browser.post("/dashboard/folders", name=name)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].partition("?folder=")[2]


def test_the_form_uploads_a_picture_and_its_links_are_on_the_next_page(browser: Browser) -> None:
    slug = folder(browser, "Holiday")
    answer = send(browser, pictures.phone_jpeg(), expiration="views", view_limit="3", folder=slug, password="")
    assert answer.status_code == 303
    (image,) = images(browser)
    assert answer.headers["Location"] == f"/dashboard?uploaded={image['slug']}"
    assert (image["upload_source"], image["expiration"], image["view_limit"]) == ("web", "views", 3)
    assert image["folder"] == "holiday"
    page = browser.get(answer.headers["Location"])
    assert image["share_url"] in page.text
    assert f"/dashboard/images/{image['slug']}/qr.svg" in page.text
    quota = browser.get("/api/quota").json()
    assert (quota["used"], quota["storage"]["used"]) == (0, image["size"])


@pytest.mark.parametrize(
    ("data", "fields", "status", "sentence"),
    [
        (b"no picture", {}, 415, "Unsupported file type"),
        (bytes(1 << 20) + b"x", {}, 413, "maximum size of 1 MB"),
        (pictures.png(), {"expiration": "forever"}, 403, "Pro-only"),
        (pictures.png(), {"folder": "nowhere"}, 400, "folder"),
        (b"", {}, 400, "empty"),
    ],
)
def test_what_the_form_cannot_do_is_said_on_a_page(
    browser: Browser, data: bytes, fields: dict[str, str], status: int, sentence: str
) -> None:
    answer = send(browser, data, **fields)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert sentence in html.unescape(answer.text)
    assert images(browser) == []


def test_the_form_takes_nothing_from_a_stranger_or_another_site(server: RunningServer, browser: Browser) -> None:
    files = {"file": ("a.jpg", pictures.jpeg())}
    stranger = requests.post(f"{server.url}/dashboard", files=files, allow_redirects=False, timeout=DEADLINE)
    assert (stranger.status_code, stranger.headers["Location"]) == (303, "/login")
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    other = browser.http.post(f"{server.url}/dashboard", files=files, headers=elsewhere, timeout=DEADLINE)
    assert other.status_code == 403
    assert images(browser) == []


def test_the_uploader_shares_nothing_with_pages_of_other_origins(browser: Browser) -> None:
    page = browser.get("/dashboard", Origin="https://elsewhere.example")
    assert not [name for name in page.headers if name.startswith("Access-Control")]
    assert browser.http.options(f"{browser.server.url}/dashboard", timeout=DEADLINE).status_code == 405


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/images"])
def test_scripts_may_call_this_server_and_no_other(browser: Browser, path: str) -> None:
    policy = browser.get(path).headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_scripts_name_what_they_import_with_its_version(server: RunningServer, browser: Browser) -> None:
    """A cache that keeps each version for ever never mixes two."""
    for path in ("/dashboard", "/dashboard/images"):
        waiting = re.findall(r'src="(?:\.\./)*(static/[a-z]+\.js\?v=\w+)"', browser.get(path).text)
        seen = set()
        while waiting:
            address = waiting.pop()
            script = requests.get(f"{server.url}/{address}", timeout=DEADLINE)
            assert "immutable" in script.headers["Cache-Control"], address
            imported = re.findall(r'from "\./([^"]+)"', script.text)
            assert all(re.fullmatch(r"[a-z]+\.js\?v=\w{12}", name) for name in imported), address
            seen.add(address)
            waiting += [f"static/{name}" for name in imported if f"static/{name}" not in seen]
        assert len(seen) > 3


def test_a_page_has_sixty_tiles_and_a_link_to_the_next(browser: Browser) -> None:
    slugs = [upload(browser, f"{number:03}.png") for number in range(10)]
    page = browser.get("/dashboard/images?sort=oldest")
    assert sorted(tiles(page)) == sorted(slugs)
    assert 'id="next"' not in page.text
    assert all(f'src="/t/{slug}.webp" width="48" height="32"' in page.text for slug in slugs)
    browser.server.call(seeded(browser, 70))
    first = browser.get("/dashboard/images?sort=name&q=SEED")
    more = html.unescape(re.findall(r'id="next"><a[^>]* href="([^"]+)"', first.text)[0])
    second = browser.get(more)
    assert (len(tiles(first)), len(tiles(second))) == (60, 10)
    assert not set(tiles(first)) & set(tiles(second))
    assert "70 pictures" in second.text
    assert 'href="/dashboard/images?q=SEED&amp;sort=name"' in second.text, "the way back to the beginning"


async def seeded(browser: Browser, count: int) -> None:
    """Put more records like the account's first into the catalog, without pictures."""
    services = browser.server.server._services
    model, *_ = (await services.library.catalog.list_images(browser.account.id, ListQuery())).images
    caller = await services.sign_in.caller(browser.cookie)
    assert caller
    charge = policy.charge_for(caller, model.created_at)
    for number in range(count):
        names = {"slug": secrets.token_hex(4), "blob": secrets.token_hex(16), "filename": f"seed {number:04}.png"}
        await services.uploads.catalog.commit_upload(replace(model, **names), charge, None)


def test_the_first_page_is_light(browser: Browser) -> None:
    upload(browser)
    browser.server.call(seeded(browser, 70))
    assert len(browser.get("/dashboard/images").content) < 60_000


def test_views_of_the_gallery(browser: Browser) -> None:
    slug = folder(browser, "Trips & more")
    upload(browser, "Alps.png", folder=slug)
    upload(browser, "beach.png", password="pw")
    upload(browser, "City.png", expiration="1mo")
    upload(browser, "dune.png", expiration="burn")
    for query, expected in {
        "sort=name": ["Alps.png", "beach.png", "City.png", "dune.png"],
        f"folder={slug}": ["Alps.png"],
        "folder=unsorted&sort=name": ["beach.png", "City.png", "dune.png"],
        "q=EACH": ["beach.png"],
        "show=password": ["beach.png"],
        "show=expiring&sort=name": ["Alps.png", "beach.png"],
        "show=gone": [],
        "q=nothing": [],
    }.items():
        page = browser.get(f"/dashboard/images?{query}")
        assert names(page) == expected, query
        assert ('id="empty" hidden' in page.text) is bool(expected)
    assert "shows once" in browser.get("/dashboard/images").text
    assert browser.get("/dashboard/images?sort=colour").status_code == 400


def test_an_empty_gallery_says_what_to_do(browser: Browser) -> None:
    page = browser.get("/dashboard/images")
    assert 'id="empty">' in page.text
    assert "Upload the first" in page.text


def test_those_ticked_are_moved_and_deleted_after_a_question(browser: Browser) -> None:
    slug = folder(browser, "Kept")
    slugs = [upload(browser, f"{number}.png") for number in range(4)]
    post = lambda fields: browser.http.post(  # noqa: E731
        f"{browser.server.url}/dashboard/images", data=fields, headers=OURS, allow_redirects=False, timeout=DEADLINE
    )
    assert post([("action", "move"), ("folder", slug), *(("slug", each) for each in slugs[:2])]).status_code == 303
    assert {image["slug"] for image in images(browser, f"&folder={slug}")} == set(slugs[:2])
    chosen = [("action", "delete"), *(("slug", each) for each in slugs[1:3])]
    asked = post(chosen)
    assert asked.status_code == 200
    assert "Delete 2 pictures?" in asked.text
    assert len(images(browser)) == 4
    assert post([*chosen, ("sure", "yes")]).status_code == 303
    assert {image["slug"] for image in images(browser)} == {slugs[0], slugs[3]}
    assert post([("action", "delete")]).status_code == 303, "nothing is ticked: nothing is done"
    assert post([("action", "burn"), ("slug", slugs[0])]).status_code == 400


def test_an_image_is_changed_by_forms(browser: Browser) -> None:
    slug, place = upload(browser, "old.png"), folder(browser, "Kept")
    path = f"/dashboard/images/{slug}"
    one = lambda: images(browser)[0]  # noqa: E731
    assert browser.post(path, filename="new.png").headers["Location"] == path
    assert browser.post(path, folder=place).status_code == 303
    assert browser.post(path, expiration="views", view_limit="4").status_code == 303
    assert browser.post(path, password="swordfish").status_code == 303
    image = one()
    assert (image["filename"], image["folder"], image["view_limit"]) == ("new.png", "kept", 4)
    assert image["password_protected"]
    assert browser.post(path, remove_password="yes", password="").status_code == 303
    assert browser.post(path, folder="").status_code == 303
    image = one()
    assert (image["folder"], image["password_protected"]) == (None, False)
    refused = browser.post(path, expiration="forever")
    assert refused.status_code == 403
    assert "Pro-only" in refused.text
    assert browser.post(f"{path}/delete").status_code == 303
    assert images(browser) == []
    assert browser.get(path).status_code == 404


def test_another_account_has_no_part_in_any_of_it(server: RunningServer, browser: Browser) -> None:
    slug, place = upload(browser, "mine.png"), folder(browser, "Mine")
    other = signed_in(server)
    path = f"/dashboard/images/{slug}"
    for answer in (
        other.get(path),
        other.get(f"{path}/qr.svg"),
        other.post(path, filename="theirs.png"),
        other.post(f"{path}/delete"),
        other.post(f"/dashboard/folders/{place}", name="Theirs"),
        other.post(f"/dashboard/folders/{place}/delete"),
    ):
        assert answer.status_code == 404
    assert other.post("/dashboard/images", action="delete", slug=slug, sure="yes").status_code == 303
    assert "mine.png" not in other.get(f"/dashboard?uploaded={slug}").text
    assert [image["filename"] for image in images(browser)] == ["mine.png"]


def test_what_its_last_viewer_has_seen_is_a_note(browser: Browser) -> None:
    slug = upload(browser, "secret plan.png", expiration="burn")
    link = f"{browser.server.url}/i/{slug}"
    assert requests.post(link, headers={"User-Agent": "Firefox"}, timeout=DEADLINE).status_code == 200
    page = browser.get("/dashboard/images")
    assert names(page) == ["Seen and gone"]
    assert f"/t/{slug}.webp" not in page.text
    panel = browser.get(f"/dashboard/images/{slug}")
    assert "only this note is left" in panel.text
    assert "secret plan" not in panel.text + page.text
    assert "rename" not in panel.text


def test_folders_are_made_renamed_and_deleted_by_forms(browser: Browser) -> None:
    slug = folder(browser, "Trips")
    image = upload(browser, "a.png", folder=slug)
    for path, name, sentence in (
        ("/dashboard/folders", "Trips", "There is a folder"),
        ("/dashboard/folders", "default", "reserved"),
        ("/dashboard/folders", "", "name"),
        (f"/dashboard/folders/{slug}", "", "name"),
    ):
        refused = browser.post(path, name=name)
        assert refused.status_code in (400, 409)
        assert sentence in refused.text
        assert f'action="{path}"' in refused.text, "the form is there again"
    assert browser.post(f"/dashboard/folders/{slug}", name=f"Tours {MARKUP}"[:40]).status_code == 303
    page = browser.get(f"/dashboard/images?folder={slug}")
    assert "Tours &lt;script&gt;" in page.text
    assert 'aria-current="page"' in page.text
    assert tiles(page) == [image]
    assert browser.post(f"/dashboard/folders/{slug}/delete").status_code == 303
    assert images(browser)[0]["folder"] is None


def test_markup_in_names_stays_text(browser: Browser) -> None:
    slug = upload(browser, f"{MARKUP.replace('/', '')}.png")
    for path in ("/dashboard/images", f"/dashboard/images/{slug}", f"/dashboard?uploaded={slug}"):
        text = browser.get(path).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
    hostile = browser.get(f"/dashboard/images?q={MARKUP}&folder=unsorted")
    assert "<script>alert" not in hostile.text


def test_the_qr_code_is_a_drawing_without_script_or_style(server: RunningServer, browser: Browser) -> None:
    slug = upload(browser)
    code = browser.get(f"/dashboard/images/{slug}/qr.svg")
    assert (code.status_code, code.headers["Content-Type"]) == (200, "image/svg+xml")
    assert code.text.startswith("<svg ")
    assert "style" not in code.text
    assert "<script" not in code.text
    assert "default-src 'none'" in code.headers["Content-Security-Policy"]


def test_thumbnails_that_anybody_may_see_come_from_the_second_origin(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    origin = "http://files.example.net"
    with running(tmp_path_factory.mktemp("data"), server={"files_url": origin}, imaging={"workers": 1}) as server:
        browser = signed_in(server)
        shown, locked = upload(browser, "a.png"), upload(browser, "b.png", password="pw")
        page = browser.get("/dashboard/images")
        assert f'src="{origin}/t/{shown}.webp"' in page.text
        assert f'src="/t/{locked}.webp"' in page.text
        assert f"img-src 'self' {origin};" in page.headers["Content-Security-Policy"]
