"""The share page in a real browser: what viewers see, click and hear read out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests import pictures
from tests.running import RunningServer, running

pytestmark = pytest.mark.slow

Profile = Callable[..., Any]
Look = Callable[[Any, str], None]

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
SHOWN = "() => { const i = document.querySelector('img'); return i.complete && i.naturalWidth > 0 }"


def landscape(width: int = 1600, height: int = 1067) -> bytes:
    """A picture that looks like one: hills before an evening sky."""
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge("RGB", [sky.point(lambda v, c=c: 40 + v * c // 255) for c in (210, 120, 60)])
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width * 0.62, height * 0.42, width * 0.7, height * 0.42 + width * 0.08), fill=(255, 236, 190))
    for depth, colour in enumerate(((92, 70, 86), (60, 50, 72), (30, 30, 48))):
        base = height * (0.62 + depth * 0.12)
        hills = [
            (x, base + (x * (depth + 3) * 7 % 97) * 0.4 - 60 * ((x // 200 + depth) % 2))
            for x in range(0, width + 40, 40)
        ]
        draw.polygon([(0, height), *hills, (width, height)], fill=colour)
    return pictures.jpeg(picture)


def uploaded(server: RunningServer, name: str = "evening on the hills.jpg", **fields: str) -> dict[str, Any]:
    key = server.new_key("pro")
    return {"key": key, **server.upload(key, landscape(), name, **fields).json()}


def status(page: Any, url: str) -> int:
    code: int = page.goto(url).status
    return code


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", DESKTOP),
        ("dark", {**DESKTOP, "color_scheme": "dark"}),
        ("phone", PHONE),
        ("phone-dark", {**PHONE, "color_scheme": "dark"}),
    ],
)
def test_a_picture_is_shown_first_in_the_light_in_the_dark_and_on_a_phone(
    server: RunningServer, profile: Profile, looked_at: Look, name: str, options: dict[str, Any]
) -> None:
    image = uploaded(server)
    page = profile(**options)
    assert status(page, image["share_url"]) == 200
    page.wait_for_function(SHOWN)
    looked_at(page, f"share-{name}")
    box = page.locator("img").bounding_box()
    assert box["y"] < 60
    assert box["height"] < options["viewport"]["height"] * 0.81
    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
    page.locator("summary").click()
    looked_at(page, f"links-{name}")
    assert page.get_by_label("Direct link", exact=True).input_value() == image["direct_url"]
    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]


def test_small_and_tall_and_transparent_pictures_have_their_place(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    tall = Image.new("RGB", (500, 4000), "teal")
    drawing = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    ImageDraw.Draw(drawing).ellipse((50, 20, 250, 180), outline="black", width=8)
    for name, data in (("tall", pictures.jpeg(tall)), ("drawing", pictures.png(drawing)), ("tiny", pictures.jpeg())):
        answer = server.upload(server.new_key(), data, f"{name}.png").json()
        page = profile(**DESKTOP, color_scheme="dark")
        assert status(page, answer["share_url"]) == 200
        page.wait_for_function(SHOWN)
        looked_at(page, f"share-{name}")
        box = page.locator("img").bounding_box()
        assert box["width"] <= answer["width"], "small ones are not blown up"
        assert abs(box["width"] / box["height"] - answer["width"] / answer["height"]) < 0.02


def test_a_link_is_copied_with_one_click_and_a_reader_hears_it(server: RunningServer, profile: Profile) -> None:
    image = uploaded(server)
    page = profile(**DESKTOP, permissions=["clipboard-read", "clipboard-write"])
    status(page, image["share_url"])
    page.get_by_role("button", name="Copy the link").click()
    page.get_by_role("status").filter(has_text="Link copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == image["share_url"]
    page.locator("summary").click()
    page.get_by_role("button", name="Copy Markdown").click()
    assert page.evaluate("navigator.clipboard.readText()") == image["embed"]["markdown"]


def test_without_javascript_all_is_there_but_the_copy_buttons(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    image = uploaded(server, expiration="burn", password="pw")
    page = profile(**DESKTOP, java_script_enabled=False)
    assert status(page, image["share_url"]) == 401
    page.get_by_label("Password").fill("pw")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Reveal the picture").click()
    assert page.locator("img").is_visible()
    assert page.get_by_role("link", name="Save the picture").is_visible()
    open_page = profile(**DESKTOP, java_script_enabled=False)
    status(open_page, uploaded(server)["share_url"])
    assert open_page.get_by_role("button").count() == 0


def test_a_picture_that_burns_is_revealed_by_a_click_to_one_profile_alone(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    image = uploaded(server, expiration="burn")
    first, second = profile(**DESKTOP), profile(**DESKTOP)
    for page in (first, second):
        assert status(page, image["share_url"]) == 200
        assert "evening" not in page.content()
    looked_at(first, "reveal")
    first.get_by_role("button", name="Reveal the picture").click()
    first.wait_for_function(SHOWN)
    looked_at(first, "revealed")
    second.get_by_role("button", name="Reveal the picture").click()
    assert "There is no picture here" in second.content()
    looked_at(second, "gone")
    assert status(second, image["share_url"]) == 404
    assert status(second, image["direct_url"]) == 404
    picture = first.locator("img").get_attribute("src")
    with first.expect_download() as download:
        first.get_by_role("link", name="Save the picture").click()
    assert download.value.suggested_filename == "evening on the hills.jpg"
    assert download.value.path().stat().st_size == image["size"]
    server.clock.advance(61)
    assert status(first, f"{server.url}/i/{picture}") == 404
    server.clock.offset = 0


def test_who_opens_the_bytes_of_a_burning_picture_is_asked_first(server: RunningServer, profile: Profile) -> None:
    image = uploaded(server, expiration="burn")
    page = profile(**DESKTOP)
    assert status(page, image["direct_url"]) == 200
    assert page.url == image["share_url"]
    page.get_by_role("button", name="Reveal the picture").click()
    page.wait_for_function(SHOWN)


def test_a_picture_that_burns_is_shown_where_a_page_embeds_it(server: RunningServer, profile: Profile) -> None:
    image = uploaded(server, expiration="burn")
    page = profile(**DESKTOP)
    status(page, f"{server.url}/healthz")
    page.set_content(f'<img src="{image["direct_url"]}">')
    page.wait_for_function(SHOWN)


def test_the_last_viewer_of_a_few_really_sees_the_picture(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    image = uploaded(server, expiration="views", view_limit="2")
    for locale in ("de", "fr"):
        page = profile(**DESKTOP, locale=locale)
        status(page, image["share_url"])
        looked_at(page, f"few-{locale}")
        page.get_by_role("button", name="Reveal the picture").click()
        page.wait_for_function(SHOWN)
        assert "counted" in page.content()
    third = profile(**DESKTOP, locale="it")
    assert status(third, image["share_url"]) == 404


def test_a_password_opens_page_and_picture_for_an_hour(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    image = uploaded(server, password="swordfish")
    page = profile(**DESKTOP)
    assert status(page, image["direct_url"]) == 401
    assert page.url == image["share_url"]
    looked_at(page, "password")
    page.keyboard.type("tuna")  # the field has the focus already
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "evening" not in page.content()
    looked_at(page, "password-wrong")
    page.keyboard.type("swordfish")
    page.keyboard.press("Enter")
    page.wait_for_function(SHOWN)
    looked_at(page, "password-opened")
    assert page.request.get(image["direct_url"]).status == 200
    server.clock.advance(3601)
    assert status(page, image["share_url"]) == 401
    server.clock.offset = 0


def test_a_password_page_on_a_phone_in_the_dark(server: RunningServer, profile: Profile, looked_at: Look) -> None:
    page = profile(**PHONE, color_scheme="dark")
    status(page, uploaded(server, password="swordfish")["share_url"])
    looked_at(page, "password-phone-dark")
    status(page, uploaded(server, expiration="burn")["share_url"])
    looked_at(page, "reveal-phone-dark")


def test_everything_can_be_reached_by_keyboard(server: RunningServer, profile: Profile) -> None:
    page = profile(**DESKTOP)
    status(page, uploaded(server)["share_url"])
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.tagName"))
    assert reached == ["A", "Save the picture", "Copy the link", "Links to this picture"]
    page.keyboard.press("Enter")
    assert page.get_by_label("Direct link", exact=True).is_visible()
    shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert shown == "solid"


def test_the_way_to_tell_of_abuse_is_on_the_page(tmp_path: Path, profile: Profile, looked_at: Look) -> None:
    with running(tmp_path, server={"abuse_contact": "abuse@example.org"}, imaging={"workers": 1}) as server:
        page = profile(**PHONE)
        status(page, uploaded(server)["share_url"])
        looked_at(page, "abuse-phone")
        assert page.get_by_role("link", name="Report abuse").get_attribute("href") == "mailto:abuse@example.org"


def test_what_is_not_there_and_the_deletion_link_are_pages_too(
    server: RunningServer, profile: Profile, looked_at: Look
) -> None:
    page = profile(**DESKTOP)
    assert status(page, f"{server.url}/i/nosuchim") == 404
    looked_at(page, "not-found")
    image = uploaded(server)
    assert status(page, image["delete_url"]) == 200
    looked_at(page, "delete")
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("heading", name="Deleted").wait_for()
    assert status(page, image["share_url"]) == 404


def test_only_our_own_page_can_press_the_button(server: RunningServer, profile: Profile) -> None:
    image, page = uploaded(server, expiration="burn"), profile()
    form = f'<form method="post" action="{image["share_url"]}"><button>Win a prize</button></form>'
    page.route("http://elsewhere.example/", lambda route: route.fulfill(body=form, content_type="text/html"))
    for address, button, expected in (
        ("http://elsewhere.example/", "Win a prize", 403),
        (image["share_url"], "Reveal the picture", 200),
    ):
        page.goto(address)
        with page.expect_response(image["share_url"]) as answer:
            page.get_by_role("button", name=button).click()
        assert answer.value.status == expected
    page.wait_for_function(SHOWN)
