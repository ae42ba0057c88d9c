"""HDR over real HTTP: what keeps it, who tells of it, and that what names devices and people does not come along."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import requests

from tests import gain_maps, pictures
from tests.agents import Agent
from tests.gain_maps import photo
from tests.pictures import SECRET, chunk, segment
from tests.running import DEADLINE, RunningServer, bearer, running
from tests.signed_in import signed_in


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    return server.new_key("business")


def after_header(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks behind IHDR."""
    return png[:33] + b"".join(chunks) + png[33:]


def with_colours(avif: bytes, transfer: int) -> bytes:
    """An AVIF whose colours are coded with this transfer characteristic (ITU-T H.273)."""
    place = avif.index(b"colrnclx") + 10
    return avif[:place] + struct.pack(">H", transfer) + avif[place + 2 :]


HDR_CHUNKS = [
    chunk(b"cICP", bytes([9, 16, 0, 1])),
    chunk(b"mDCV", bytes(range(24))),
    chunk(b"cLLI", struct.pack(">II", 10_000_000, 4_000_000)),
]
PLAIN_AVIF = pictures.avif(pictures.noise(64, 48))
KINDS = {
    **{dialect: (photo(dialect), True) for dialect in gain_maps.DIALECTS},
    "JPEG": (pictures.jpeg(), False),
    "PNG, PQ": (after_header(pictures.png(), *HDR_CHUNKS), True),
    "PNG, sRGB by cICP": (after_header(pictures.png(), chunk(b"cICP", bytes([1, 13, 0, 1]))), False),
    "PNG": (pictures.png(), False),
    "AVIF, PQ": (with_colours(PLAIN_AVIF, 16), True),
    "AVIF, HLG": (with_colours(PLAIN_AVIF, 18), True),
    "AVIF": (PLAIN_AVIF, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_hdr_is_told_wherever_a_picture_is_described(server: RunningServer, key: str, kind: str) -> None:
    data, hdr = KINDS[kind]
    answer = server.upload(key, data).json()
    slug = answer["slug"]
    assert answer["hdr"] is hdr
    assert server.get(f"/api/images/{slug}", key).json()["hdr"] is hdr
    listed = server.get("/api/images?limit=100", key).json()["images"]
    assert [image["hdr"] for image in listed if image["slug"] == slug] == [hdr]
    assert ("<span>HDR</span>" in server.get(f"/i/{slug}").text) is hdr


@pytest.mark.parametrize("hdr", [True, False])
def test_the_gallery_says_hdr(server: RunningServer, hdr: bool) -> None:
    owner = signed_in(server)
    slug = server.upload(owner.key, photo() if hdr else pictures.jpeg()).json()["slug"]
    assert ('<span class="chip hdr">HDR</span>' in owner.get("/dashboard/images").text) is hdr
    assert ("JPEG, HDR" in owner.get(f"/dashboard/images/{slug}").text) is hdr


def test_an_agent_is_told_as_well(server: RunningServer, key: str) -> None:
    agent = Agent(server, key)
    for data, size in ((photo(), "320x240 HDR"), (pictures.jpeg(), "48x32")):
        result = agent.upload(data).json()["result"]
        assert result["structuredContent"]["hdr"] is ("HDR" in size)
        assert f", {size}, " in result["content"][0]["text"]
        assert agent.done("get_image", slug=result["structuredContent"]["slug"])["hdr"] is ("HDR" in size)


def test_what_is_stored_has_the_map_and_no_secret(server: RunningServer, key: str) -> None:
    for size in ((320, 240), (1600, 1200)):  # in memory, and over the disk
        dirty = photo("Ultra HDR v1 and ISO 21496-1", gain_maps.scene(*size), quality=97)
        answer = server.upload(key, dirty).json()
        stored = server.get(answer["direct_url"]).content
        assert answer["size"] == len(stored)
        assert SECRET not in stored
        assert gain_maps.parameters_in_xmp(gain_maps.read(stored)[1])["GainMapMax"] == [2.656715]


def test_a_repeat_is_told_the_same(server: RunningServer, key: str) -> None:
    files, headers = {"file": ("a.jpg", photo())}, {**bearer(key), "Idempotency-Key": "an-hdr-photo"}
    first, second = (
        requests.post(f"{server.url}/api/upload", files=files, headers=headers, timeout=DEADLINE).json() for _ in "12"
    )
    assert first["hdr"] is second["hdr"] is True
    assert first["slug"] == second["slug"]


def test_chunks_of_png_that_tell_of_hdr_stay_as_they_are(server: RunningServer, key: str) -> None:
    stored = server.get(server.upload(key, KINDS["PNG, PQ"][0]).json()["direct_url"]).content
    assert stored == KINDS["PNG, PQ"][0]


@pytest.mark.parametrize(
    ("imaging", "kept"), [({"hdr": "drop"}, []), ({"orientation": "bake"}, [1])], ids=["drop", "bake"]
)
def test_maps_go_where_settings_say_so_or_a_picture_is_turned(
    tmp_path: Path, imaging: dict[str, str], kept: list[int]
) -> None:
    with running(tmp_path, imaging={"workers": 1, **imaging}) as server:
        key = server.new_key("pro")
        for orientation in (1, 6):
            found = gain_maps.map_jpeg(gain_maps.map_of(gain_maps.scene()), gain_maps.apple())
            exif = gain_maps.maker_notes(orientation=orientation)
            answer = server.upload(key, gain_maps.put(pictures.jpeg(gain_maps.scene()), exif, [found])).json()
            stored = server.get(answer["direct_url"]).content
            assert answer["hdr"] is (b"MPF\0" in stored) is (orientation in kept)


MANIFEST = b"\0\0\0\x30jumb\0\0\0\x28jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0" + SECRET
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def manifests() -> dict[str, bytes]:
    """A picture of each format with a C2PA manifest (C2PA 2.1, appendix A.3) that names a secret."""
    jpeg, webp = pictures.jpeg(), pictures.phone_webp(image=pictures.noise(40, 30))
    body = webp[12 : 8 + int.from_bytes(webp[4:8], "little")]
    body += b"C2PA" + len(MANIFEST).to_bytes(4, "little") + MANIFEST + bytes(len(MANIFEST) % 2)
    box = C2PA_UUID + bytes(4) + b"manifest\0" + bytes(8) + MANIFEST
    avif = PLAIN_AVIF + struct.pack(">I4s", len(box) + 8, b"uuid") + box
    return {
        "JPEG": jpeg[:2] + segment(0xEB, b"JP\0\1\0\0\0\1" + MANIFEST) + jpeg[2:],
        "PNG": after_header(pictures.png(), chunk(b"caBX", MANIFEST)),
        "WebP": b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body,
        "AVIF": avif,
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF"])
def test_a_manifest_of_c2pa_is_removed_from_each_format(server: RunningServer, key: str, kind: str) -> None:
    dirty = manifests()[kind]
    assert b"c2pa" in dirty
    answer = server.upload(key, dirty)
    assert answer.status_code == 200, answer.text
    stored = server.get(answer.json()["direct_url"]).content
    assert b"c2pa" not in stored.lower()
    assert SECRET not in stored
    assert pictures.pixels(stored) == pictures.pixels(dirty)
