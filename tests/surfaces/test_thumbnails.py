"""GET and HEAD /t: what a thumbnail shows, who sees it, what it costs, and when it goes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pyvips
import requests
from PIL import Image, ImageCms

from iuserver import thumbnails
from iuserver.imaging.pool import Pool
from iuserver.imaging.thumbnail import SIDE
from iuserver.policy import DAY
from iuserver.ports import thumbnail_key
from iuserver.server import janitor_of
from iuserver.thumbnails import PLACEHOLDER
from tests import pictures
from tests.conftest import LogGuard, corpus, corpus_folder
from tests.running import DEADLINE, RunningServer, bearer, eventually, running

LARGE = pictures.jpeg(pictures.noise(900, 600), quality=80)


@pytest.fixture(autouse=True)
def present(server: RunningServer, log_guard: LogGuard) -> Iterator[None]:
    log_guard.allow(r"^image \S+ has no thumbnail: ")
    yield
    server.clock.offset = 0


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets of all thumbnails that workers are asked for."""
    targets: list[str] = []
    real = Pool.thumbnail

    async def counted(pool: Pool, origin: bytes | str, target: str) -> int:
        targets.append(target)
        return await real(pool, origin, target)

    monkeypatch.setattr(Pool, "thumbnail", counted)
    return targets


def uploaded(server: RunningServer, data: bytes = LARGE, **fields: str) -> dict[str, Any]:
    key = server.new_key("pro")
    return {"key": key, **server.upload(key, data, **fields).json()}


def thumbnail(server: RunningServer, image: dict[str, Any], key: str | None = None, **headers: str) -> Any:
    return requests.get(
        f"{server.url}/t/{image['slug']}.webp",
        headers={**(bearer(key) if key else {}), **headers},
        timeout=DEADLINE,
        allow_redirects=False,
    )


def kept(server: RunningServer) -> set[str]:
    return {key for key in server.blobs() if "." in key}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


# What it shows


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_upright_whatever_the_format_says_that_is(server: RunningServer, orientation: int) -> None:
    upright = pictures.striped()
    stored = pictures.turned(upright, orientation)
    for data in (pictures.phone_jpeg(orientation, stored), pictures.phone_png(orientation, stored)):
        answer = thumbnail(server, uploaded(server, data))
        assert answer.status_code == 200
        assert pictures.metadata(answer.content) == {}
        assert pictures.looks_like(answer.content, upright)
    browsers_do_not_turn = uploaded(server, pictures.phone_webp(orientation, image=upright))
    assert pictures.looks_like(thumbnail(server, browsers_do_not_turn).content, upright)


def test_the_longer_side_has_320_pixels_at_most(server: RunningServer) -> None:
    for size, wanted in (
        ((900, 600), (320, 213)),
        ((600, 900), (213, 320)),
        ((48, 32), (48, 32)),
        ((2000, 3), (320, 1)),
    ):
        for data in (pictures.jpeg(pictures.noise(*size)), pictures.png(pictures.noise(*size))):
            answer = thumbnail(server, uploaded(server, data))
            assert answer.headers["Content-Type"] == "image/webp"
            assert opened(answer.content).size == wanted
            assert opened(answer.content).format == "WEBP"


def test_colours_are_those_of_srgb_whatever_the_profile(server: RunningServer) -> None:
    p3 = bytes(pyvips.Operation.call("profile_load", "p3"))
    stored = Image.new("RGB", (100, 80), (200, 100, 50))
    shown = ImageCms.profileToProfile(stored, io.BytesIO(p3), ImageCms.createProfile("sRGB"))
    assert not pictures.looks_like(pictures.png(stored), shown)
    for data in (pictures.jpeg(stored, icc_profile=p3), pictures.png(stored, icc_profile=p3)):
        answer = thumbnail(server, uploaded(server, data))
        assert pictures.looks_like(answer.content, shown)
        assert "icc_profile" not in opened(answer.content).info


def test_of_an_animation_it_shows_the_first_frame_and_transparency_stays(server: RunningServer) -> None:
    for data in (pictures.phone_gif(), pictures.apng(), pictures.phone_webp(1, frames=3)):
        answer = opened(thumbnail(server, uploaded(server, data)).content)
        assert getattr(answer, "n_frames", 1) == 1
    clear = Image.new("RGBA", (40, 30), (10, 200, 30, 0))
    assert opened(thumbnail(server, uploaded(server, pictures.png(clear))).content).mode == "RGBA"


def test_the_picture_of_48_megapixels_that_phones_make_has_one(server: RunningServer) -> None:
    flat = Image.new("RGB", (8000, 6000), (200, 120, 40))
    answer = thumbnail(server, uploaded(server, pictures.jpeg(flat)))
    assert opened(answer.content).size == (320, 240)
    assert pictures.looks_like(answer.content, flat.resize((320, 240)))


@pytest.mark.parametrize("row", corpus(), ids=lambda row: row["file"])
def test_every_file_of_the_corpus_has_one(server: RunningServer, row: dict[str, str]) -> None:
    folder = corpus_folder()
    assert folder
    if row["expected"] != "accept":
        return
    key = server.new_key("business")
    image = server.upload(key, (folder / row["file"]).read_bytes(), row["file"]).json()
    answer = thumbnail(server, image)
    assert answer.status_code == 200
    assert pictures.metadata(answer.content) == {}
    is_placeholder = answer.content == PLACEHOLDER
    assert is_placeholder == ((row["format"] == "avif" and row["frames"] not in ("", "1")) or "PQ" in str(row.values()))
    sides, scale = (image["width"], image["height"]), min(1, SIDE / max(image["width"], image["height"]))
    assert is_placeholder or opened(answer.content).size == tuple(max(1, round(side * scale)) for side in sides)


def test_a_picture_that_cannot_be_decoded_has_a_placeholder_and_is_not_tried_twice(
    server: RunningServer, decoded: list[str]
) -> None:
    image = uploaded(server, pictures.phone_avif(frames=3))
    for _ in range(3):
        assert thumbnail(server, image).content == PLACEHOLDER
    assert len(decoded) == 1
    assert server.get(image["direct_url"]).status_code == 200, "the image itself is as it was"


# Who sees it


def test_everybody_sees_that_of_a_public_image_and_caches_keep_it(server: RunningServer) -> None:
    image = uploaded(server, expiration="1d")
    first = thumbnail(server, image)
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "public, max-age=3600")
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    etag = first.headers["Etag"]
    again = thumbnail(server, image, **{"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["Etag"]) == (304, b"", etag)
    head = requests.head(f"{server.url}/t/{image['slug']}.webp", timeout=DEADLINE)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(first.content)))
    server.clock.advance(DAY - 1000)
    assert 0 < int(thumbnail(server, image).headers["Cache-Control"].removeprefix("public, max-age=")) <= 1000
    server.clock.advance(1000)
    assert thumbnail(server, image).status_code == 404


def test_there_is_none_where_there_is_no_image(server: RunningServer) -> None:
    image = uploaded(server)
    for path in ("/t/nothere1.webp", f"/t/{image['slug']}.jpg", f"/t/{image['slug']}", "/t/..%2fx.webp"):
        assert server.get(path).status_code == 404
    assert requests.post(f"{server.url}/t/{image['slug']}.webp", timeout=DEADLINE).status_code == 405


def test_that_of_an_image_with_a_password_asks_for_it(server: RunningServer, decoded: list[str]) -> None:
    image = uploaded(server, password="swordfish")
    locked = thumbnail(server, image)
    assert (locked.status_code, locked.json()["code"]) == (401, "password_required")
    wrong = thumbnail(server, image, **{"X-Image-Password": "carp"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_password")
    assert thumbnail(server, image, **{"Sec-Fetch-Mode": "navigate"}).headers["Location"] == f"../i/{image['slug']}"
    assert decoded == []
    right = thumbnail(server, image, **{"X-Image-Password": "swordfish"})
    assert (right.status_code, right.headers["Cache-Control"]) == (200, "private, no-store")
    assert "Etag" not in right.headers
    session = requests.Session()
    session.post(f"{server.url}/i/{image['slug']}", data={"password": "swordfish"}, timeout=DEADLINE)
    assert session.get(f"{server.url}/t/{image['slug']}.webp", timeout=DEADLINE).content == right.content
    assert thumbnail(server, image, image["key"]).content == right.content, "its owner is not asked"


@pytest.mark.parametrize("fields", [{"expiration": "burn"}, {"expiration": "views", "view_limit": "2"}])
def test_that_of_an_image_shown_for_a_view_is_its_owners_alone(
    server: RunningServer, decoded: list[str], fields: dict[str, str]
) -> None:
    image = uploaded(server, **fields)
    slug = image["slug"]
    for headers, status in (
        ({}, 403),
        ({"Sec-Purpose": "prefetch"}, 403),
        ({"Sec-Fetch-Mode": "navigate"}, 303),
        ({"User-Agent": "facebookexternalhit/1.1"}, 303),
    ):
        assert thumbnail(server, image, **headers).status_code == status
        assert thumbnail(server, image, server.new_key(), **headers).status_code == status
    assert requests.head(f"{server.url}/t/{slug}.webp", timeout=DEADLINE).status_code == 403
    assert decoded == []
    owners = thumbnail(server, image, image["key"])
    assert (owners.status_code, owners.headers["Cache-Control"]) == (200, "private, no-store")
    assert server.get(f"/api/images/{slug}", image["key"]).json()["views"] == 0, "nobody has been counted"
    revealed = requests.post(f"{server.url}/i/{slug}", timeout=DEADLINE).text
    grant = revealed.partition("?grant=")[2].partition('"')[0]
    seen = thumbnail(server, {"slug": slug}, **{"X-Forwarded-For": ""}).status_code
    assert seen == (404 if fields["expiration"] == "burn" else 403)
    with_grant = requests.get(f"{server.url}/t/{slug}.webp?grant={grant}", timeout=DEADLINE)
    assert with_grant.status_code == seen, "a grant is for the picture"


# When it goes


def swept(server: RunningServer) -> None:
    janitor = janitor_of(server.server._services.library, server.data, serving=lambda: True)
    server.call(janitor.sweep())


def deleted(server: RunningServer, image: dict[str, Any]) -> None:
    requests.delete(f"{server.url}/api/images/{image['slug']}", headers=bearer(image["key"]), timeout=DEADLINE)


def expired(server: RunningServer, image: dict[str, Any]) -> None:
    server.clock.advance(2 * DAY)
    swept(server)


def seen(server: RunningServer, image: dict[str, Any]) -> None:
    assert server.get(image["direct_url"]).status_code == 200
    swept(server)


@pytest.mark.parametrize(
    ("goes", "fields"),
    [(deleted, {}), (expired, {"expiration": "1d"}), (seen, {"expiration": "burn"})],
)
def test_it_goes_with_its_image(
    server: RunningServer, goes: Callable[[RunningServer, dict[str, Any]], None], fields: dict[str, str]
) -> None:
    before = server.blobs()
    image = uploaded(server, **fields)
    assert thumbnail(server, image, image["key"]).status_code == 200
    assert len(server.blobs() - before) == 2
    goes(server, image)
    assert server.blobs() <= before
    assert thumbnail(server, image, image["key"]).status_code == 404


def test_one_that_is_made_while_its_image_goes_is_not_left_behind(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.blobs()
    image = uploaded(server)
    real = Pool.thumbnail

    async def late(pool: Pool, origin: bytes | str, target: str) -> int:
        size = await real(pool, origin, target)
        library = server.server._services.library
        await library.delete_record(await library.catalog.image(image["slug"]))
        return size

    monkeypatch.setattr(Pool, "thumbnail", late)
    assert thumbnail(server, image).status_code == 200, "who asked in time has it"
    assert server.blobs() == before


@pytest.mark.parametrize("change", ["password", "deletion"])
def test_no_cache_keeps_one_whose_image_is_not_for_all_by_the_time_it_is_made(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    image = uploaded(server)
    url, of = f"{server.url}/api/images/{image['slug']}", server.server._services.thumbnails.of

    async def late(record: Any) -> bytes:
        made = await of(record)
        changed = {"method": "DELETE"} if change == "deletion" else {"method": "PATCH", "json": {"password": "pw"}}
        answer = await asyncio.to_thread(
            lambda: requests.request(url=url, headers=bearer(image["key"]), timeout=DEADLINE, **changed)
        )
        assert answer.status_code == 200
        return made

    monkeypatch.setattr(server.server._services.thumbnails, "of", late)
    answer = thumbnail(server, image)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "Etag" not in answer.headers


def test_a_lost_one_is_made_again_and_one_of_no_image_is_swept(server: RunningServer, decoded: list[str]) -> None:
    image = uploaded(server)
    first = thumbnail(server, image)
    blobs = server.server._services.viewing.blobs
    (key,) = (found for found in kept(server) if found.partition(".")[0] in decoded[-1])
    server.call(blobs.delete(key))
    again = thumbnail(server, image)
    assert (again.content, again.headers["Etag"]) == (first.content, first.headers["Etag"])
    assert len(decoded) == 2
    path = server.data / "orphan"
    path.write_bytes(first.content)
    orphan = thumbnail_key("ef" + "0" * 30)
    server.call(blobs.put(orphan, str(path)))
    server.clock.advance(2 * 3600)
    swept(server)
    assert orphan not in server.blobs()
    assert key in server.blobs(), "that of an image stays"


def test_a_check_takes_them_for_what_they_are(server: RunningServer) -> None:
    image = uploaded(server)
    thumbnail(server, image)
    server.clock.advance(2 * 3600)
    swept(server)
    janitor = janitor_of(server.server._services.library, server.data, serving=lambda: True)
    lines: list[str] = []
    check = server.call(janitor.check(lines.append))
    assert (lines, check.leftovers, check.blobs) == ([], 0, check.records)


# What it costs


def test_of_64_viewers_of_a_new_one_the_picture_is_decoded_once(server: RunningServer, decoded: list[str]) -> None:
    image = uploaded(server)
    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(lambda _: thumbnail(server, image), range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(decoded) == 1
    thumbnail(server, image)
    assert len(decoded) == 1, "it is kept"
    assert server.files("spool") == []


def test_many_that_wait_are_refused_and_nothing_is_held(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "WAIT_SECONDS", 0.1)
    image, service = uploaded(server), server.server._services.thumbnails

    async def take() -> None:
        for _ in range(2):
            assert await service._permits.acquire("somebody")

    async def give() -> None:
        for _ in range(2):
            service._permits.release("somebody")

    server.call(take())
    refused = thumbnail(server, image)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    server.call(give())
    assert thumbnail(server, image).status_code == 200
    assert (service._permits.held, service._large.held, service.asked) == (0, 0, 0)


@pytest.fixture
def pool(server: RunningServer) -> Pool:
    """The pool that makes thumbnails, whole."""
    pool = server.server._services.thumbnails._imaging
    eventually(lambda: len(pool.idle_pids) == 2)
    return pool


def test_a_worker_that_is_killed_at_it_costs_nobody_anything(
    server: RunningServer, pool: Pool, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    image = uploaded(server)
    pid = pool.idle_pids[-1]
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(thumbnail, server, image)
        eventually(lambda: pool.busy_pids == [pid])
        os.kill(pid, signal.SIGKILL)
        answer = waiting.result()
    assert answer.status_code == 200
    assert answer.content != PLACEHOLDER
    assert server.files("spool") == []


def test_a_picture_that_hangs_its_worker_costs_one_and_keeps_its_place(
    server: RunningServer, pool: Pool, log_guard: LogGuard, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    image = uploaded(server)
    monkeypatch.setattr(pool, "deadline", 0.05)
    os.kill(pool.idle_pids[-1], signal.SIGSTOP)
    assert thumbnail(server, image).content == PLACEHOLDER
    eventually(lambda: len(pool.idle_pids) == 2)
    assert thumbnail(server, image).content == PLACEHOLDER
    assert len(decoded) == 1
    assert server.get(image["direct_url"]).content == LARGE


def test_a_server_that_only_reads_makes_them_and_keeps_none(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        image = uploaded(server)
    with running(tmp_path, imaging={"workers": 1}, server={"read_only": True}) as server:
        before = server.blobs()
        assert thumbnail(server, image).status_code == 200
        assert server.blobs() == before
