"""The uploader in a real browser: drop, paste, bars, refusals, waiting, links, and many at once."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from tests import pictures
from tests.running import RunningServer, eventually, running
from tests.signed_in import Browser, signed_in
from tests.web.dropping import drop, paste, picture

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]
WIDTHS = {1360: 900, 768: 900, 360: 740}
BUSY = '{"error": "Upload queue overloaded, retry shortly", "code": "overloaded"}'
CLIPBOARD = ["clipboard-read", "clipboard-write"]

NOTE_ALL = """
window.noted = [];
new MutationObserver(() => document.querySelectorAll(".said").forEach((said) => noted.push(said.textContent)))
  .observe(document.getElementById("queue"), { childList: true, subtree: true, characterData: true });
"""
"""Notes all that rows have said, however briefly."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "web_per_minute": 0}
    plans = {"pro": {"max_file_mb": 3}, "starter": {"storage_mb": 1}}
    with running(tmp_path_factory.mktemp("data"), limits=limits, plans=plans, imaging={"workers": 1}) as server:
        yield server


@pytest.fixture
def owner(server: RunningServer) -> Browser:
    return signed_in(server, plan="pro")


@pytest.fixture
def uploader(owner: Browser, profile: Profile) -> Callable[..., Any]:
    """Opens the uploader in a profile that is signed in."""

    def open_it(**options: Any) -> Any:
        page = profile(permissions=CLIPBOARD, **options)
        page.context.add_cookies([{"name": "session", "value": owner.cookie, "url": owner.server.url}])
        page.goto(f"{owner.server.url}/dashboard")
        return page

    return open_it


def row(page: Any, name: str) -> Any:
    """The row of a file."""
    return page.locator(".item", has=page.get_by_text(name, exact=True))


def wait_for(page: Any, name: str, text: str) -> None:
    row(page, name).get_by_text(text).first.wait_for()


def wait_for_count(page: Any, text: str) -> None:
    page.get_by_role("heading", name=text, exact=True).wait_for()


def stored(owner: Browser) -> list[dict[str, Any]]:
    """The account's images, all of them."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = owner.server.get(f"/api/images?limit=100{after}", owner.key).json()
        found += page["images"]
        if not page["next"]:
            return found
        after = f"&after={page['next']}"


def until(page: Any, condition: str) -> None:
    """Wait until something holds in the page, whose policy lets no expression be evaluated from within."""
    eventually(lambda: page.evaluate(condition))


def clipboard(page: Any) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@contextlib.contextmanager
def sent_slowly(page: Any, rate: int) -> Iterator[None]:
    """Let what is uploaded meanwhile leave at a rate, in bytes a second."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate}
    network.send("Network.emulateNetworkConditions", conditions)
    yield
    network.send("Network.emulateNetworkConditions", {**conditions, "uploadThroughput": -1})


def test_pictures_are_dropped_and_pasted_and_all_but_the_wrong_one_come_through(
    owner: Browser, uploader: Callable[..., Any], profile: Profile
) -> None:
    page = uploader()
    busy = iter([True])

    def refuse_once(route: Any) -> None:
        if b'filename="slow.png"' in (route.request.post_data_buffer or b"") and next(busy, False):
            route.fulfill(status=503, headers={"Retry-After": "1"}, content_type="application/json", body=BUSY)
        else:
            route.continue_()

    page.route("**/api/upload", refuse_once)
    page.evaluate(NOTE_ALL)
    drop(page, ("first.png", picture(1)), ("clip.heic", b"\0\0\0\x18ftypheic" + bytes(40)), ("slow.png", picture(2)))
    paste(page, ("image.png", picture(3)))
    wait_for(page, "clip.heic", "HEIC is not accepted. Save it as JPEG or PNG first.")
    wait_for(page, "slow.png", "uploaded")
    wait_for_count(page, "3 of 4 uploaded, 1 not")
    assert "The server is busy. Tries again in 1 s." in page.evaluate("noted")
    names = sorted(image["filename"] for image in stored(owner))
    assert names[1:] == ["first.png", "slow.png"]
    assert re.fullmatch(r"Pasted \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png", names[0])
    assert {image["upload_source"] for image in stored(owner)} == {"web"}
    page.get_by_role("button", name="Copy all links").click()
    page.get_by_role("button", name="Copied").wait_for()
    links = clipboard(page).split("\n")
    assert set(links) == {image["share_url"] for image in stored(owner)}
    guest = profile()
    guest.goto(links[0])
    guest.locator(".mat img").wait_for()
    page.get_by_role("button", name="Clear finished").click()
    page.locator("#queue").wait_for(state="hidden")


def test_a_picture_that_burns_is_shown_once(uploader: Callable[..., Any], profile: Profile) -> None:
    page = uploader()
    page.get_by_label("Keep it").select_option(label="until seen once")
    drop(page, ("secret.png", picture(1)))
    wait_for(page, "secret.png", "seen once")
    row(page, "secret.png").get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    link = clipboard(page)
    first, second = profile(locale="de"), profile(locale="fr")
    first.goto(link)
    first.get_by_role("button", name="Reveal the picture").click()
    first.locator(".mat img").wait_for()
    assert second.goto(link).status == 404


def test_a_bar_tells_how_far_a_file_is(uploader: Callable[..., Any]) -> None:
    page = uploader()
    with sent_slowly(page, 20_000):
        drop(page, ("large.png", pictures.png(pictures.noise(800, 800))))
        until(page, "document.querySelector('.item progress')?.value > 0")
        wait_for(page, "large.png", " % of ")
    wait_for(page, "large.png", "uploaded")
    assert row(page, "large.png").locator("progress").is_hidden()


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.pdf", b"%PDF-1.7 " + bytes(40), "PDF is not accepted. Save it as JPEG or PNG first."),
        ("a.png", b"words", "This is no PNG, JPEG, WebP, GIF or AVIF picture."),
        ("b.png", b"", "The file is empty."),
        ("c.png", picture(1) + bytes(3 << 20), "The file is larger than 3 MB."),
    ],
    ids=["pdf", "text", "empty", "large"],
)
def test_what_cannot_work_is_said_before_it_is_sent(
    uploader: Callable[..., Any], name: str, data: bytes, sentence: str
) -> None:
    page = uploader()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    drop(page, (name, data))
    wait_for(page, name, sentence)
    assert not [url for url in sent if "/api/upload" in url]
    row(page, name).get_by_role("button", name="Remove").click()
    page.locator("#summary").wait_for(state="hidden")


def test_what_the_storage_has_no_room_for_is_said_before_it_is_sent(server: RunningServer, profile: Profile) -> None:
    owner, page = signed_in(server, plan="starter"), profile()
    page.context.add_cookies([{"name": "session", "value": owner.cookie, "url": server.url}])
    page.goto(f"{server.url}/dashboard")
    drop(page, ("large.png", picture(1) + bytes(1 << 20)), ("small.png", picture(2)))
    wait_for(page, "large.png", "There is no room for it in your storage any more.")
    wait_for(page, "small.png", "uploaded")


def test_what_the_server_refuses_is_said_in_its_words(uploader: Callable[..., Any]) -> None:
    page = uploader()
    drop(page, ("broken.png", picture(1)[:60]))
    wait_for(page, "broken.png", "not uploaded")
    assert row(page, "broken.png").locator(".said").text_content()


def test_a_lost_answer_stores_nothing_twice(owner: Browser, uploader: Callable[..., Any]) -> None:
    page = uploader()
    tries: list[str] = []

    def lose_the_first_answer(route: Any) -> None:
        tries.append(route.request.headers["idempotency-key"])
        if len(tries) == 1:
            route.fetch()  # the server has stored it
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/upload", lose_the_first_answer)
    drop(page, ("once.png", picture(1)))
    wait_for(page, "once.png", "uploaded")
    assert len(stored(owner)) == 1
    assert len(tries) == 2
    assert len(set(tries)) == 1


def test_who_is_signed_out_meanwhile_signs_in_and_tries_again(owner: Browser, uploader: Callable[..., Any]) -> None:
    page = uploader()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    drop(page, ("kept.png", picture(1)))
    wait_for(page, "kept.png", "You are signed out.")
    page.context.add_cookies(cookies)
    row(page, "kept.png").get_by_role("button", name="Try again").click()
    wait_for(page, "kept.png", "uploaded")
    assert len(stored(owner)) == 1


def test_to_cancel_sends_nothing_more_and_to_leave_asks_first(owner: Browser, uploader: Callable[..., Any]) -> None:
    page = uploader()
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with sent_slowly(page, 1):
        drop(page, *((f"{number}.png", picture(number)) for number in range(5)))
        until(page, "document.querySelectorAll('.item progress:not([hidden])').length === 3")
        page.locator("#drop h2").click()  # browsers ask only for those who have touched the page
        page.close(run_before_unload=True)
        eventually(lambda: page.evaluate("1") and asked)
        for number in range(3):
            row(page, f"{number}.png").get_by_role("button", name="Cancel").click()
            wait_for(page, f"{number}.png", "cancelled")
    wait_for_count(page, "2 of 5 uploaded")
    assert asked == ["beforeunload"]
    assert sorted(image["filename"] for image in stored(owner)) == ["3.png", "4.png"]


def test_options_are_remembered_and_the_password_is_not(owner: Browser, uploader: Callable[..., Any]) -> None:
    owner.post("/dashboard/folders", name="Holiday")
    page = uploader()
    assert page.get_by_label("Viewers").is_hidden()
    page.get_by_label("Keep it").select_option(label="until seen by …")
    page.get_by_label("Viewers").fill("3")
    page.get_by_label("Folder").select_option(label="Holiday")
    page.get_by_label("Password").fill("swordfish")
    drop(page, ("few.png", picture(1)))
    wait_for(page, "few.png", "password, seen by 3")
    (image,) = stored(owner)
    assert (image["view_limit"], image["folder"], image["password_protected"]) == (3, "holiday", True)
    page.reload()
    assert page.get_by_label("Viewers").input_value() == "3"
    assert page.get_by_label("Folder").input_value() == "holiday"
    assert page.get_by_label("Password").input_value() == ""


def test_more_formats_are_there_to_be_copied(owner: Browser, uploader: Callable[..., Any]) -> None:
    page = uploader()
    drop(page, ("a.png", picture(1)))
    row(page, "a.png").get_by_role("button", name="More formats").click()
    (image,) = stored(owner)
    for label, text in (
        ("Link", image["share_url"]),
        ("Direct link", image["direct_url"]),
        ("HTML", f'<img src="{image["direct_url"]}" alt="a.png" />'),
        ("Markdown", f"![a.png]({image['direct_url']})"),
        ("BBCode", f"[img]{image['direct_url']}[/img]"),
    ):
        page.get_by_role("button", name=f"Copy {label}", exact=True).click()
        eventually(lambda text=text: clipboard(page) == text)  # type: ignore[misc]
    until(page, "document.querySelector('.qr').naturalWidth > 0")


def test_files_are_chosen_and_the_form_works_without_scripts(
    owner: Browser, uploader: Callable[..., Any], tmp_path: Any
) -> None:
    (tmp_path / "one.png").write_bytes(picture(1))
    (tmp_path / "two.png").write_bytes(picture(2))
    page = uploader()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    assert chooser.value.is_multiple()
    chooser.value.set_files([tmp_path / "one.png", tmp_path / "two.png"])
    wait_for_count(page, "2 of 2 uploaded")
    plain = uploader(java_script_enabled=False)
    plain.get_by_label("Choose a picture").set_input_files(tmp_path / "one.png")
    plain.get_by_role("button", name="Upload", exact=True).click()
    plain.get_by_text("Look at it among your images").wait_for()
    assert len(stored(owner)) == 3


def test_markup_in_a_file_name_is_text(uploader: Callable[..., Any]) -> None:
    page = uploader()
    name = "<img src=x onerror=alert(1)><b>.png"
    drop(page, (name, picture(1)), (f"no {name}", b"words"))
    wait_for_count(page, "1 of 2 uploaded, 1 not")
    assert page.locator("#queue b").all_text_contents() == [name, f"no {name}"]
    assert page.locator("#queue img").count() == 0


def test_a_hundred_and_twenty_at_once_all_end_and_none_twice(owner: Browser, uploader: Callable[..., Any]) -> None:
    page = uploader()
    files = [(f"{number:03}.png", picture(number)) for number in range(120)]
    drop(page, *files, ("clip.heic", b"\0\0\0\x18ftypheic" + bytes(40)))
    page.get_by_role("heading", name="120 of 121 uploaded, 1 not", exact=True).wait_for(timeout=60_000)
    assert page.locator(".item").count() <= 50
    kept = [hashlib.sha256(owner.server.get(image["direct_url"]).content).digest() for image in stored(owner)]
    assert sorted(kept) == sorted(hashlib.sha256(data).digest() for _, data in files)
    page.get_by_label("Only those not uploaded").check()
    assert page.locator(".item b").all_text_contents() == ["clip.heic"]
    page.get_by_label("Only those not uploaded").uncheck()
    page.get_by_role("button", name="Later").click()
    page.get_by_text("51 to 100 of 121").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_looks(uploader: Callable[..., Any], looked_at: Look, width: int, scheme: str) -> None:
    page = uploader(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
    looked_at(page, f"upload-empty-{width}-{scheme}")
    with_gps = pictures.phone_jpeg(image=Image.new("RGB", (400, 300), "teal"))
    drop(page, ("harbour-at-dusk.jpg", with_gps), ("clip.heic", b"\0\0\0\x18ftypheic" + bytes(40)))
    wait_for_count(page, "1 of 2 uploaded, 1 not")
    with sent_slowly(page, 1):
        drop(page, ("Screenshot 2026-11-29 12.31.08.png", picture(1)))
        page.locator(".item progress:not([hidden])").wait_for()
        row(page, "harbour-at-dusk.jpg").get_by_role("button", name="More formats").click()
        until(page, "document.querySelector('.qr').naturalWidth > 0")
        looked_at(page, f"upload-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
