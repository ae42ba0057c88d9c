"""The gallery in a real browser: search, selection, keys, panel, place, and many images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.running import DEADLINE, RunningServer, eventually, running
from tests.signed_in import Browser, signed_in
from tests.web.dropping import picture

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]
Open = Callable[..., Any]
WIDTHS = {1360: 900, 768: 900, 360: 740}
MARKUP = "<img src=x onerror=alert(1)> & <b>"
FIRST_IN_SIGHT = """
(() => {
  const seen = [...document.querySelectorAll(".tile")].find((tile) => tile.getBoundingClientRect().bottom > 60);
  return seen && [seen.querySelector(".name").textContent, seen.getBoundingClientRect().top];
})()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "web_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture
def owner(server: RunningServer) -> Browser:
    return signed_in(server, plan="pro")


@pytest.fixture
def gallery(owner: Browser, profile: Profile) -> Open:
    """Opens the gallery in a profile that is signed in, and waits until its script is ready."""

    def open_it(query: str = "", **options: Any) -> Any:
        page = profile(permissions=["clipboard-read", "clipboard-write"], **options)
        page.context.add_cookies([{"name": "session", "value": owner.cookie, "url": owner.server.url}])
        page.goto(f"{owner.server.url}/dashboard/images{query}")
        ready(page)
        return page

    return open_it


def ready(page: Any) -> None:
    page.locator("#selection[data-count]").wait_for(state="attached")


def upload(owner: Browser, name: str, number: int = 1, **fields: str) -> dict[str, Any]:
    answer = owner.server.upload(owner.key, picture(number), name, **fields)
    assert answer.status_code == 200, answer.text
    image: dict[str, Any] = answer.json()
    return image


def fill(owner: Browser, count: int, name: str = "picture") -> list[str]:
    """Upload pictures, named by their numbers; their slugs."""
    return [upload(owner, f"{name} {number:03}.png", number)["slug"] for number in range(count)]


def left(owner: Browser, query: str = "") -> set[str]:
    """The names of the account's images, a hundred at most."""
    images = owner.server.get(f"/api/images?limit=100{query}", owner.key).json()["images"]
    return {image["filename"] for image in images}


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".tile .name").all_text_contents()
    return found


def tile(page: Any, name: str) -> Any:
    return page.locator(".tile", has=page.get_by_text(name, exact=True))


def wait_for_total(page: Any, text: str) -> None:
    page.locator("#total", has_text=re.compile(rf"^{text}(,|$)")).wait_for()


def wait_for_selected(page: Any, count: int) -> None:
    page.locator(f'#selection[data-count="{count}"]').wait_for(state="attached")


def confirm(page: Any, name: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()


def test_search_select_a_range_move_select_all_and_delete_all(owner: Browser, gallery: Open) -> None:
    owner.post("/dashboard/folders", name="Kept")
    fill(owner, 12)
    upload(owner, "other.png")
    page = gallery("?sort=name")
    wait_for_total(page, "13 pictures")
    page.get_by_role("searchbox").fill("PICTURE")
    wait_for_total(page, "12 pictures")
    tile(page, "picture 002.png").get_by_role("checkbox").check()
    tile(page, "picture 006.png").get_by_role("checkbox").click(modifiers=["Shift"])
    wait_for_selected(page, 5)
    page.get_by_role("button", name="Copy links").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert len(page.evaluate("navigator.clipboard.readText()").split("\n")) == 5
    page.get_by_role("button", name="Move to …").click()
    page.get_by_role("dialog").get_by_label("Folder").select_option(label="Kept")
    confirm(page, "Move")
    wait_for_selected(page, 0)
    assert left(owner, "&folder=kept") == {f"picture 00{number}.png" for number in range(2, 7)}
    page.locator(".tile a").first.focus()
    page.keyboard.press("Control+a")
    wait_for_selected(page, 12)
    page.keyboard.press("Delete")
    page.get_by_role("heading", name="Delete all 12 pictures?").wait_for()
    assert len(left(owner)) == 13, "nothing goes before the answer"
    confirm(page, "Delete")
    page.get_by_text("Nothing here fits.").wait_for()
    assert left(owner) == {"other.png"}


def test_of_all_what_is_uploaded_later_and_what_was_taken_out_stay(owner: Browser, gallery: Open) -> None:
    fill(owner, 4)
    page = gallery()
    page.locator(".tile a").first.focus()
    page.keyboard.press("Control+a")
    wait_for_selected(page, 4)
    tile(page, "picture 001.png").get_by_role("checkbox").uncheck()
    wait_for_selected(page, 3)
    owner.server.clock.advance(60)
    upload(owner, "later.png", 9)
    page.keyboard.press("Delete")
    confirm(page, "Delete")
    wait_for_total(page, "2 pictures")
    assert left(owner) == {"picture 001.png", "later.png"}
    owner.server.clock.offset = 0


def test_to_cancel_or_press_escape_does_nothing(owner: Browser, gallery: Open) -> None:
    fill(owner, 2)
    page = gallery()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page, "Cancel")
    page.keyboard.press("Delete")
    page.get_by_role("heading", name="Delete 1 picture?").wait_for()
    page.keyboard.press("Escape")
    wait_for_selected(page, 1)
    page.keyboard.press("Escape")
    wait_for_selected(page, 0)
    assert len(left(owner)) == 2


def test_a_thousand_and_more_go_in_batches(owner: Browser, gallery: Open) -> None:
    """The scripts ask the API for what it takes; here for what is not there any more, which counts as gone."""
    fill(owner, 3)
    page = gallery()
    sent: list[int] = []

    def count(route: Any) -> None:
        slugs = route.request.post_data_json["slugs"]
        sent.append(len(slugs))
        results = [{"slug": slug, "ok": False, "code": "not_found"} for slug in slugs]
        route.fulfill(json={"ok": True, "done": 0, "results": results})

    (model, *_) = owner.server.get("/api/images", owner.key).json()["images"]

    def pages(route: Any) -> None:
        number = int(route.request.url.partition("after=")[2] or 0)
        images = [{**model, "slug": f"made{number}-{each}"} for each in range(100)]
        route.fulfill(json={"images": images, "total": 2500, "next": str(number + 1) if number < 24 else None})

    page.route("**/api/images/bulk", count)
    page.locator(".tile a").first.focus()
    page.keyboard.press("Control+a")
    page.route("**/api/images?*", pages)
    page.keyboard.press("Delete")
    confirm(page, "Delete")
    eventually(lambda: page.evaluate("!document.querySelector('dialog').open") and len(sent) == 3)
    assert sent == [1000, 1000, 500]


def test_what_could_not_be_deleted_is_told_and_stays(owner: Browser, gallery: Open) -> None:
    slugs = fill(owner, 3)
    page = gallery()
    failed = {"ok": False, "error": "The image store is not available", "code": "storage_unavailable"}
    results = [{"slug": slugs[0], "ok": True}, *({"slug": slug, **failed} for slug in slugs[1:])]
    outcomes = iter(
        [lambda route: route.fulfill(json={"ok": True, "done": 1, "results": results}), lambda route: route.abort()]
    )
    page.route("**/api/images/bulk", lambda route: next(outcomes)(route))
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.keyboard.press("Delete")
    confirm(page, "Delete")
    page.get_by_text("1 picture deleted, 2 could not be").wait_for()
    wait_for_selected(page, 2)
    page.keyboard.press("Delete")
    confirm(page, "Delete")
    page.get_by_text("The server could not be reached.").wait_for()
    assert len(names(page)) == 2


def test_keys_alone_do_everything(owner: Browser, gallery: Open) -> None:
    fill(owner, 6)
    page = gallery("?sort=name", viewport={"width": 700, "height": 800})
    columns = page.evaluate("getComputedStyle(document.querySelector('#grid')).gridTemplateColumns.split(' ').length")
    assert columns > 1
    focused = lambda: page.evaluate("document.activeElement.closest('.tile')?.querySelector('.name').textContent")  # noqa: E731
    page.get_by_label("Show").focus()
    page.keyboard.press("Tab")
    assert focused() == "picture 000.png"
    for key, number in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowUp", 1), ("End", 5), ("Home", 0)):
        page.keyboard.press(key)
        assert focused() == f"picture 00{number}.png", key
    page.keyboard.press("Space")
    wait_for_selected(page, 1)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    wait_for_selected(page, 3)
    page.keyboard.press("Delete")
    page.get_by_role("heading", name="Delete 3 pictures?").wait_for()
    page.keyboard.press("Enter")
    wait_for_total(page, "3 pictures")
    assert left(owner) == {f"picture 00{number}.png" for number in (3, 4, 5)}
    eventually(lambda: focused() == "picture 003.png")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="picture 003.png").wait_for()
    page.keyboard.press("Escape")
    page.locator("#panel").wait_for(state="hidden")


def test_the_panel_changes_what_the_tile_shows(owner: Browser, gallery: Open) -> None:
    owner.post("/dashboard/folders", name="Kept")
    image = upload(owner, "old.png")
    page = gallery()
    tile(page, "old.png").click()
    panel = page.locator("#panel")
    panel.get_by_role("button", name="Copy link").click()
    panel.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == image["share_url"]
    panel.get_by_text("rename", exact=True).click()
    panel.get_by_label("File name").fill("new.png")
    panel.get_by_role("button", name="Save").locator("visible=true").click()
    panel.get_by_role("heading", name="new.png").wait_for()
    tile(page, "new.png").wait_for()
    panel.get_by_label("Set the password").click()
    panel.get_by_label("Password for viewers").fill("swordfish")
    panel.get_by_role("button", name="Save").locator("visible=true").click()
    tile(page, "new.png").get_by_text("password", exact=True).wait_for()
    panel.get_by_label("Set the password").click()
    panel.get_by_role("button", name="Remove it").click()
    tile(page, "new.png").get_by_text("password", exact=True).wait_for(state="detached")
    panel.get_by_label("Change when it expires").click()
    panel.get_by_label("Keep it, from now").select_option(label="until seen by …")
    panel.get_by_label("Viewers, if by them").fill("2")
    panel.get_by_role("button", name="Save").locator("visible=true").click()
    tile(page, "new.png").get_by_text("0 of 2 seen").wait_for()
    panel.get_by_label("Move to another folder").click()
    panel.get_by_role("combobox", name="Folder").select_option(label="Kept")
    panel.get_by_role("button", name="Move", exact=True).click()
    eventually(lambda: left(owner, "&folder=kept") == {"new.png"})
    eventually(lambda: "Kept" in panel.locator("dd").nth(5).inner_text())
    panel.get_by_text("Delete", exact=True).click()
    panel.get_by_role("button", name="Delete it").click()
    page.get_by_text("There are no pictures yet.").wait_for()
    assert panel.is_hidden()


def test_what_the_panel_cannot_change_is_said_there(server: RunningServer, profile: Profile) -> None:
    owner = signed_in(server, plan="free")
    upload(owner, "a.png")
    page = profile()
    page.context.add_cookies([{"name": "session", "value": owner.cookie, "url": owner.server.url}])
    page.goto(f"{server.url}/dashboard/images")
    ready(page)
    tile(page, "a.png").click()
    page.get_by_text("rename", exact=True).click()
    page.locator("#panel").get_by_label("File name").fill("\u200b")
    page.locator("#panel").get_by_role("button", name="Save").locator("visible=true").click()
    page.get_by_role("alert").get_by_text("visible character").wait_for()


def test_a_double_click_opens_the_picture(owner: Browser, gallery: Open) -> None:
    image = upload(owner, "a.png", password="swordfish")
    page = gallery()
    with page.context.expect_page() as opened:
        tile(page, "a.png").dblclick()
    opened.value.wait_for_url(image["direct_url"])


def test_a_view_scrolls_on_and_reload_and_back_return_to_the_place(owner: Browser, gallery: Open) -> None:
    fill(owner, 130)
    page = gallery("?sort=name", viewport={"width": 700, "height": 700})
    eventually(lambda: end_is_in_sight(page))
    assert page.locator(".tile").count() < 60, "what is far away is not on the page"
    page.evaluate("scrollBy(0, -900)")
    eventually(lambda: "after=" in page.url)
    name, top = page.evaluate(AT_REST)
    place = [name, pytest.approx(top, abs=2)]
    page.reload()
    ready(page)
    eventually(lambda: page.evaluate(FIRST_IN_SIGHT) == place)
    page.goto(f"{owner.server.url}/dashboard/profile")
    page.go_back()
    ready(page)
    eventually(lambda: page.evaluate(FIRST_IN_SIGHT) == place)
    eventually(lambda: scroll_up(page) and names(page)[0] == "picture 000.png")
    wait_for_total(page, "130 pictures")


AT_REST = f"""
new Promise((resolve) => {{
  let last = "", frames = 0;
  requestAnimationFrame(function look() {{
    const place = {FIRST_IN_SIGHT};
    frames = String(place) === last ? frames + 1 : 0;
    last = String(place);
    frames > 60 ? resolve(place) : requestAnimationFrame(look);
  }});
}})
"""
"""The same once nothing has moved for sixty frames."""


def end_is_in_sight(page: Any) -> bool:
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    return "picture 129.png" in names(page)


def scroll_up(page: Any) -> bool:
    page.evaluate("scrollTo(0, 0)")
    return True


def test_an_address_of_a_later_page_leads_to_the_beginning_too(owner: Browser, gallery: Open) -> None:
    fill(owner, 65)
    page = gallery("?sort=name")
    plain = page.request.get(f"{owner.server.url}/dashboard/images?sort=name").text()
    address = re.findall(r'id="next"><a[^>]* href="([^"]+)"', plain)[0].replace("&amp;", "&")
    page.goto(owner.server.url + address)
    ready(page)
    assert names(page)[0] == "picture 060.png"
    page.get_by_role("link", name="To the beginning").click()
    tile(page, "picture 000.png").wait_for()


def test_sort_show_and_folder_are_in_the_address(owner: Browser, gallery: Open) -> None:
    owner.post("/dashboard/folders", name="Kept")
    upload(owner, "b.png", 1, folder="kept")
    upload(owner, "a.png", 2, password="pw")
    page = gallery()
    page.get_by_label("Sort").select_option(label="By name")
    eventually(lambda: names(page) == ["a.png", "b.png"] and "sort=name" in page.url)
    page.get_by_label("Show").select_option(label="With a password")
    eventually(lambda: names(page) == ["a.png"] and "show=password" in page.url)
    page.go_back()
    ready(page)
    eventually(lambda: names(page) == ["a.png", "b.png"])
    assert page.get_by_label("Show").input_value() == "all"
    page.get_by_label("Folder", exact=True).select_option(label="Kept")
    page.get_by_role("heading", name="Kept").wait_for()
    ready(page)
    assert names(page) == ["b.png"]


def test_what_its_last_viewer_has_seen_shows_as_a_note(owner: Browser, gallery: Open) -> None:
    image = upload(owner, "secret.png", expiration="burn")
    agent = {"User-Agent": "Firefox"}
    assert requests.post(image["share_url"], headers=agent, timeout=DEADLINE).status_code == 200
    page = gallery("?show=gone")
    assert names(page) == ["Seen and gone"]
    assert page.locator(".tile img").count() == 0
    page.locator(".tile a").click()
    page.get_by_text("only this note is left").wait_for()
    assert "secret" not in page.content()


def test_markup_in_names_is_text(owner: Browser, gallery: Open) -> None:
    owner.post("/dashboard/folders", name=MARKUP[:40])
    fill(owner, 60)
    upload(owner, f"{MARKUP}.png")
    page = gallery("?sort=name")
    tile(page, f"{MARKUP}.png").first.click()
    page.locator("#panel").get_by_role("heading", name=f"{MARKUP}.png").wait_for()
    page.get_by_role("searchbox").fill("<img src=x")
    wait_for_total(page, "1 picture")
    assert page.locator("img[src=x]").count() == 0


def test_it_works_by_links_and_forms_without_scripts(owner: Browser, profile: Profile) -> None:
    fill(owner, 3)
    page = profile(java_script_enabled=False)
    page.context.add_cookies([{"name": "session", "value": owner.cookie, "url": owner.server.url}])
    page.goto(f"{owner.server.url}/dashboard/images")
    page.get_by_role("searchbox").fill("001")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="picture 001.png").click()
    page.get_by_text("rename", exact=True).click()
    page.get_by_label("File name", exact=True).fill("renamed.png")
    page.get_by_role("button", name="Save").locator("visible=true").click()
    page.get_by_role("heading", name="renamed.png").wait_for()
    page.get_by_role("main").get_by_role("link", name="Images", exact=True).click()
    page.get_by_label("Select renamed.png").check()
    page.get_by_label("Select picture 002.png").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("heading", name="Delete 2 pictures?").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.locator("#total", has_text="1 picture").wait_for()
    assert left(owner) == {"picture 000.png"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_looks(owner: Browser, gallery: Open, looked_at: Look, width: int, scheme: str) -> None:
    size = {"viewport": {"width": width, "height": WIDTHS[width]}, "color_scheme": scheme}
    looked_at(gallery(**size), f"gallery-empty-{width}-{scheme}")
    for name in ("Screenshots", "Holiday 2026"):
        owner.post("/dashboard/folders", name=name)
    fill(owner, 8, "IMG")
    upload(owner, "passport-copy.png", 20, password="pw", expiration="1mo")
    upload(owner, "menu.png", 21, expiration="views", view_limit="5")
    page = gallery("?sort=name", **size)
    looked_at(page, f"gallery-plain-{width}-{scheme}")
    boxes = page.get_by_role("checkbox")
    boxes.nth(1).check()
    boxes.nth(2).check()
    tile(page, "IMG 000.png").click()
    page.locator("#panel h2").wait_for()
    looked_at(page, f"gallery-{width}-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Close").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    looked_at(page, f"gallery-question-{width}-{scheme}")
    confirm(page, "Cancel")
    page.goto(f"{owner.server.url}/dashboard/images?folder=screenshots")
    ready(page)
    page.locator("summary", has_text="Rename").click()
    looked_at(page, f"gallery-folder-{width}-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
