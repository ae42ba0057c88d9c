"""The kinds of what is left out of a picture, in each format and each place."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator

import pytest

from iuserver.imaging import exif, gif, jpeg, left_out, png, webp
from iuserver.imaging.walkers import HEAD, Walker, walker_for
from tests import pictures
from tests.conftest import corpus, corpus_folder
from tests.pictures import chunk, segment
from tests.walking import clean_by, settled_by


def removed(walker: Walker, data: bytes) -> set[str]:
    return set(settled_by(walker, data).removed)


def tiff(*entries: tuple[int, int, int, int], link: int = 0, behind: bytes = b"", order: str = ">") -> bytes:
    """A TIFF structure of a directory with these entries: tag, type, count, value."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return head + body + struct.pack(order + "I", link) + behind


def directory(*tags: int, order: str = ">") -> bytes:
    return struct.pack(order + "H", len(tags)) + b"".join(struct.pack(order + "HHII", tag, 3, 1, 1) for tag in tags)


BEHIND_ONE = 8 + 2 + 12 + 4
"""Where what stands behind a directory of one entry begins."""


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("entry", "tags", "kinds"),
    [
        ((0x8825, 4, 1, BEHIND_ONE), (0, 1, 2), {"exif", "gps"}),
        ((0x8825, 4, 1, BEHIND_ONE), (0,), {"exif"}),
        ((0x8825, 4, 1, BEHIND_ONE), (), {"exif"}),
        ((0x8825, 4, 1, 0xFFFFFFFF), (0, 1, 2), {"exif"}),
        ((0x8769, 4, 1, BEHIND_ONE), (0xA434,), {"exif", "camera"}),
        ((0x8769, 4, 1, BEHIND_ONE), (0x927C,), {"exif", "camera"}),
        ((0x8769, 4, 1, BEHIND_ONE), (0x9003,), {"exif"}),
        ((0x0110, 2, 1, 0), (), {"exif", "camera"}),
        ((0x010E, 2, 1, 0), (), {"exif"}),
    ],
)
def test_exif_tells_of_a_place_or_a_camera_by_its_directories(
    order: str, entry: tuple[int, int, int, int], tags: tuple[int, ...], kinds: set[str]
) -> None:
    assert left_out.of_exif(tiff(entry, behind=directory(*tags, order=order), order=order)) == kinds


def test_a_second_directory_of_exif_is_a_thumbnail() -> None:
    entry = (0x010E, 2, 1, 0)
    assert left_out.of_exif(tiff(entry, link=BEHIND_ONE, behind=directory(0x201))) == {"exif", "thumbnail"}
    assert left_out.of_exif(tiff(entry, link=10**9)) == {"exif"}


@pytest.mark.parametrize(
    "data", [b"", b"MM", b"MM\0*", b"II*\0\xff\xff\xff\xff", bytes(100), b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_what_is_no_exif_tells_nothing_more(data: bytes) -> None:
    assert left_out.of_exif(data) == (frozenset({"exif"}) if data else frozenset())


def test_directories_without_end_are_looked_at_for_a_while() -> None:
    """Each of them as long as it can be, and each entry pointing to another one."""
    entries = [(tag, 4, 1, 8) for tag in (0x8769, 0x8825)] * 32_000
    looked_at = sum(1 for _ in left_out._tags(tiff(*entries), exif.FIRST_IFD))
    assert looked_at == left_out.MAX_ENTRIES
    assert left_out.of_exif(tiff(*entries)) == {"exif", "gps"}


def test_a_phones_jpeg_has_all_of_it() -> None:
    kinds = {"gps", "camera", "exif", "xmp", "iptc", "comment", "thumbnail", "trailer", "other"}
    assert removed(jpeg.walk, pictures.phone_jpeg()) == kinds


@pytest.mark.parametrize(
    ("hidden", "kinds"),
    [
        (segment(0xE0, b"JFXX\0\x10"), {"thumbnail"}),
        (segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01abc"), {"thumbnail"}),
        (segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0x"), {"xmp"}),
        (segment(0xE1, b"Exif\0\0" + tiff((0x010F, 2, 1, 0))), {"exif", "camera"}),
        (segment(0xE1, b""), set()),
        (segment(0xE2, b"MPF\0x"), {"other"}),
        (segment(0xE2, b"ICC_PROFILE\0\x01\x01no profile"), {"other"}),
        (segment(0xEB, b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb"), {"c2pa"}),
        (segment(0xED, b"Photoshop 3.0\0"), {"iptc"}),
        (segment(0xFE, b"x"), {"comment"}),
        (segment(0xE7, b"x"), {"other"}),
    ],
)
def test_kinds_of_jpeg(hidden: bytes, kinds: set[str]) -> None:
    plain = pictures.jpeg()
    assert removed(jpeg.walk, plain) == set()
    assert removed(jpeg.walk, plain[:2] + hidden + plain[2:]) == kinds
    before_scan = plain.index(b"\xff\xda")
    assert removed(jpeg.walk, plain[:before_scan] + hidden + plain[before_scan:]) == kinds


@pytest.mark.parametrize(
    ("hidden", "kinds"),
    [
        (chunk(b"tEXt", b"Comment\0x"), {"text"}),
        (chunk(b"zTXt", b"k\0\0x"), {"text"}),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0x"), {"xmp"}),
        (chunk(b"zTXt", b"Raw profile type exif\0\0x"), {"exif"}),
        (chunk(b"zTXt", b"Raw profile type iptc\0\0x"), {"iptc"}),
        (chunk(b"caBX", b"x"), {"c2pa"}),
        (chunk(b"tIME", bytes(7)), {"other"}),
        (chunk(b"eXIf", tiff((0x8825, 4, 1, BEHIND_ONE), behind=directory(2))), {"exif", "gps"}),
        (chunk(b"eXIf", pictures.orientation_tiff(6)), set()),
    ],
)
def test_kinds_of_png(hidden: bytes, kinds: set[str]) -> None:
    plain = pictures.png()
    assert removed(png.walk, plain) == set()
    assert removed(png.walk, plain[:33] + hidden + plain[33:]) == kinds
    assert removed(png.walk, plain + b"x") == {"trailer"}


def test_kinds_of_gif() -> None:
    assert removed(gif.walk, pictures.phone_gif()) == {"comment", "xmp", "trailer", "other"}
    c2pa = b"!\xff\x0bC2PA_GIF\x01\x00\x00\x01x\x00"
    plain = pictures.gif(pictures.noise())
    assert removed(gif.walk, plain[:-1] + c2pa + b"!\x01\x01x\0" + b";") == {"c2pa", "text"}
    assert removed(gif.walk, plain) == set()


def test_kinds_of_webp() -> None:
    vp8l = bytes.fromhex("2f00000000071011fd0f4444ff0300")
    for kind, data, kinds in (
        (b"EXIF", tiff((0x010F, 2, 1, 0)), {"exif", "camera"}),
        (b"XMP ", b"x", {"xmp"}),
        (b"C2PA", b"x", {"c2pa"}),
        (b"wxyz", b"x", {"other"}),
    ):
        chunks = [(b"VP8X", bytes([8, *bytes(9)])), (b"VP8L", vp8l), (kind, data)]
        body = b"WEBP" + b"".join(name + struct.pack("<I", len(d)) + d + bytes(len(d) & 1) for name, d in chunks)
        data = b"RIFF" + struct.pack("<I", len(body)) + body
        assert removed(webp.walk, data) == kinds
        assert removed(webp.walk, data + b"x") == kinds | {"trailer"}


def samples() -> Iterator[bytes]:
    """Pictures with metadata: ours, and the corpus."""
    yield from (pictures.phone_jpeg(), pictures.phone_png(), pictures.phone_gif())
    folder = corpus_folder()
    yield from ((folder / row["file"]).read_bytes() for row in corpus() if folder and row["expected"] == "accept")


def test_cleaning_what_is_clean_removes_nothing() -> None:
    for data in samples():
        walker = walker_for(data[:HEAD])
        assert removed(walker, clean_by(walker, data)) == set()


def test_exiftool_finds_no_position_and_no_camera_in_exif_that_is_not_told() -> None:
    """But in what ImageMagick writes into texts of a PNG, which are not read."""
    for data in samples():
        if b"Raw profile type" in data:
            continue
        asked = ["exiftool", "-json", "-fast", "-EXIF:GPSLatitude", "-EXIF:Make", "-EXIF:Model", "-"]
        (found,) = json.loads(subprocess.run(asked, input=data, capture_output=True, check=False).stdout or "[{}]")
        told = removed(walker_for(data[:HEAD]), data)
        assert ("GPSLatitude" in found) <= ("gps" in told), found
        assert bool(found.keys() & {"Make", "Model"}) <= ("camera" in told), found
