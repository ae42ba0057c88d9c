"""`iuserver block`: what is on the list cannot be uploaded, and what is purged is gone; nothing else is touched."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from iuserver.imaging.pool import Pool
from iuserver.moderation import FRESH
from tests import pictures
from tests.running import RunningServer, eventually, running
from tests.surfaces.test_cli import command, told

ORIGINAL = pictures.phone_jpeg()
OTHER = pictures.jpeg(pictures.noise(seed=2))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running(tmp_path / "data", imaging={"workers": 1}) as server:
        yield server


def block(server: RunningServer, *arguments: str) -> Any:
    return told("block", *arguments, "--data", str(server.data))


def statuses(server: RunningServer, *data: bytes) -> list[int]:
    return [server.upload(server.new_key("pro"), picture).status_code for picture in data]


def is_refused(server: RunningServer, data: bytes) -> bool:
    return statuses(server, data) == [403]


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "bad picture.jpg"
    path.write_bytes(ORIGINAL)
    return path


def test_a_blocked_file_is_refused_within_a_second_at_no_cost(server: RunningServer, original: Path) -> None:
    """The file is what somebody once sent: it is cleaned first, as what is stored is."""
    assert statuses(server, ORIGINAL) == [200]
    made = block(server, "add", str(original))
    assert original.read_bytes() == ORIGINAL, "the operator's own file is left alone"
    assert (made["origin"], made["id"]) == ("bad picture.jpg", made["sha256"][:12])
    server.clock.advance(FRESH)
    key, before = server.new_key(), len(server.blobs())
    refused = server.upload(key, ORIGINAL, "another name.png", expiration="burn")
    assert (refused.status_code, refused.json()["code"]) == (403, "blocked")
    quota = server.get("/api/quota", key).json()
    assert (quota["used"], quota["storage"]["used"]) == (0, 0)
    assert len(server.blobs()) == before
    assert server.files("spool") == []
    assert statuses(server, OTHER, pictures.phone_jpeg(orientation=1)) == [200, 200]
    assert block(server, "list") == made
    assert block(server, "remove", made["id"]) == {"id": made["id"], "removed": True}
    server.clock.advance(FRESH)
    assert statuses(server, ORIGINAL) == [200]


def test_a_server_learns_of_a_block_by_itself(server: RunningServer, original: Path) -> None:
    statuses(server, OTHER)  # it knows now that the list is empty
    block(server, "add", str(original))
    eventually(lambda: is_refused(server, ORIGINAL), deadline=2 * FRESH)


def test_a_link_or_a_hash_says_the_same(server: RunningServer) -> None:
    image = server.upload(server.new_key(), OTHER).json()
    digest = hashlib.sha256(server.get(image["direct_url"]).content).hexdigest()
    by_page, by_file = (block(server, "add", image[name]) for name in ("share_url", "direct_url"))
    assert by_page["sha256"] == digest
    assert by_page["size"] == image["size"]
    assert by_file["id"] == by_page["id"]
    server.clock.advance(FRESH)
    assert is_refused(server, OTHER)
    block(server, "remove", by_page["id"])
    assert (block(server, "add", digest.upper())["size"], is_refused(server, OTHER)) == (None, True)


@pytest.mark.parametrize("how", ["file", "hash", "url"])
def test_a_purge_removes_these_bytes_everywhere_and_nothing_else(
    server: RunningServer, original: Path, how: str
) -> None:
    keys = [server.new_key("pro") for _ in range(3)]
    bad = [server.upload(key, ORIGINAL, **fields).json() for key, fields in zip(keys, VARIANTS, strict=True)]
    good = [server.upload(key, OTHER).json() for key in keys]
    digest = hashlib.sha256(server.get(bad[0]["direct_url"]).content)
    target = {"file": str(original), "hash": digest.hexdigest(), "url": bad[1]["share_url"]}[how]
    done = block(server, "add", target, "--purge")
    assert done["purged"] == 3
    for key, gone, kept in zip(keys, bad, good, strict=True):
        assert server.get(f"/api/images/{gone['slug']}", key).status_code == 404
        assert server.get(kept["direct_url"]).content == OTHER
        assert server.get("/api/quota", key).json()["storage"]["used"] == kept["size"]
    assert len(server.blobs()) == 3
    assert command("fsck", "--data", str(server.data)).stdout == "3 records, 3 blobs, 0 leftovers, 0 problems\n"
    if how == "hash":
        assert block(server, "add", target, "--purge")["purged"] == 0


VARIANTS: list[dict[str, str]] = [{}, {"password": "pw"}, {"expiration": "burn"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "/nowhere/x.jpg"], "/nowhere/x.jpg: No such file or directory"),
        (["add", "https://example.org/f/nosuchim.jpg"], "There is no image nosuchim"),
        (["add", "https://example.org/about"], "https://example.org/about is no link of this server"),
        (["remove", "nothing"], "There is nothing with the id nothing on the blocklist"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command("block", *arguments, "--data", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"iuserver: {said}\n")


def test_what_is_no_picture_cannot_be_blocked_as_one(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no picture")
    done = command("block", "add", str(tmp_path / "x.txt"), "--data", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert command("block", "list", "--data", str(tmp_path / "data")).stdout == ""


def test_a_link_of_another_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    ours = {"IUSERVER_SERVER_PUBLIC_URL": "https://img.example.org/x"}
    data = ("--data", str(tmp_path))
    for url in ("https://example.com/x/i/abcdefgh", "https://img.example.org/y/i/abcdefgh"):
        assert command("block", "add", url, *data, **ours).stderr == f"iuserver: {url} is no link of this server\n"
    done = command("block", "add", "https://img.example.org/x/i/abcdefgh", *data, **ours)
    assert done.stderr == "iuserver: There is no image abcdefgh\n"


def test_the_list_is_one_object_a_line(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    for digit in "ab":
        told("block", "add", digit * 64, *data)
    lines = [json.loads(line) for line in command("block", "list", *data).stdout.splitlines()]
    assert [(line["id"], line["origin"], line["size"]) for line in lines] == [
        ("a" * 12, "SHA-256", None),
        ("b" * 12, "SHA-256", None),
    ]


# Pictures that look like one on the list


def scene(seed: int) -> Image.Image:
    """A picture as photos are: light and shade of all sizes."""
    bands = [pictures.noise(8, 6, "L", seed), pictures.noise(32, 24, "L", seed + 1000)]
    large, small = (band.resize((800, 600), Image.Resampling.BICUBIC) for band in bands)
    return Image.blend(large, small, 0.3).convert("RGB")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PHOTO = scene(1)


@pytest.fixture
def listed(server: RunningServer, tmp_path: Path) -> dict[str, Any]:
    """The entry of a photo on the list."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(pictures.jpeg(PHOTO))
    made: dict[str, Any] = block(server, "add", str(path))
    server.clock.advance(FRESH)
    return made


COPIES = {
    "saved again": pictures.jpeg(PHOTO, quality=60),
    "scaled": pictures.jpeg(PHOTO.resize((560, 420))),
    "other metadata": pictures.jpeg(PHOTO, exif=pictures.exif(1).tobytes(), comment=b"mine"),
    "turned by a tag": pictures.jpeg(pictures.turned(PHOTO, 6), exif=pictures.exif(6).tobytes()),
    "WebP": encoded(PHOTO, "WEBP"),
    "PNG": pictures.png(PHOTO),
    "GIF": pictures.gif(PHOTO),
    "AVIF": pictures.avif(PHOTO, speed=9),
    "all of it": encoded(PHOTO.resize((560, 420)), "WEBP", quality=60),
}


def test_what_looks_like_a_listed_picture_is_refused_and_what_does_not_is_not(
    server: RunningServer, listed: dict[str, Any]
) -> None:
    assert len(listed["likeness"]) == 16
    for name, data in COPIES.items():
        key = server.new_key("pro")
        answer = server.upload(key, data)
        assert (answer.status_code, answer.json()["code"]) == (403, "blocked"), name
        assert server.get("/api/quota", key).json()["used"] == 0
    assert statuses(server, *(pictures.jpeg(scene(seed)) for seed in range(2, 12))) == [200] * 10
    assert server.files("spool") == []
    block(server, "remove", listed["id"])
    server.clock.advance(FRESH)
    assert statuses(server, *COPIES.values()) == [200] * len(COPIES)


def test_a_stored_image_is_listed_with_its_likeness(server: RunningServer) -> None:
    key = server.new_key("pro")
    image = server.upload(key, pictures.jpeg(PHOTO)).json()
    made = block(server, "add", image["share_url"])
    assert len(made["likeness"]) == 16
    server.clock.advance(FRESH)
    assert is_refused(server, COPIES["WebP"])


def test_a_hash_alone_has_no_likeness_until_the_picture_is_listed_too(server: RunningServer, tmp_path: Path) -> None:
    data = pictures.jpeg(PHOTO)
    sha256 = hashlib.sha256(data).hexdigest()
    assert block(server, "add", sha256)["likeness"] is None
    server.clock.advance(FRESH)
    assert statuses(server, data, COPIES["PNG"]) == [403, 200]
    (tmp_path / "p.jpg").write_bytes(data)
    block(server, "add", str(tmp_path / "p.jpg"))
    server.clock.advance(FRESH)
    assert statuses(server, data, COPIES["PNG"]) == [403, 403]
    assert len(command("block", "list", "--data", str(server.data)).stdout.splitlines()) == 1


def test_a_picture_in_which_little_happens_is_compared_by_its_bytes(server: RunningServer, tmp_path: Path) -> None:
    page, other = (Image.new("RGB", (400, 300), "white") for _ in range(2))
    page.paste("black", (20, 20, 60, 30))
    other.paste("black", (20, 20, 62, 30))
    (tmp_path / "page.png").write_bytes(pictures.png(page))
    assert block(server, "add", str(tmp_path / "page.png"))["likeness"] is None
    server.clock.advance(FRESH)
    assert statuses(server, pictures.png(page), pictures.png(other)) == [403, 200]


def test_a_picture_that_cannot_be_decoded_is_compared_by_its_bytes(
    server: RunningServer, listed: dict[str, Any]
) -> None:
    assert statuses(server, pictures.phone_avif(frames=3)) == [200]


def test_with_a_distance_of_0_and_an_empty_list_no_picture_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: RunningServer
) -> None:
    asked: list[object] = []

    async def noted(pool: Pool, origin: object) -> None:
        asked.append(origin)

    monkeypatch.setattr(Pool, "likeness", noted)
    assert statuses(server, pictures.jpeg(PHOTO)) == [200]
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(PHOTO))
    with running(tmp_path / "off", imaging={"workers": 1}, moderation={"distance": 0}) as off:
        block(off, "add", str(tmp_path / "photo.jpg"))
        off.clock.advance(FRESH)
        assert statuses(off, pictures.jpeg(PHOTO), COPIES["PNG"]) == [403, 200]
    assert asked == []
