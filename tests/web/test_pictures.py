"""Chromium lays out and paints what is stored as it did the original, and `width` and `height` are what it lays out."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvips

from tests import pictures
from tests.conftest import cases, cases_folder, corpus, corpus_folder
from tests.pictures import SECRET, chunk, density_tiff, orientation_tiff, segment
from tests.running import RunningServer
from tests.web.looks import look_at, open_page

pytestmark = pytest.mark.slow

MIMES = {".jpg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif"}

# Where the original lacks its end, Chromium paints less of it than of what is stored, and decodes no frame by itself.
MENDED = {"jpeg_no_eoi.jpg"}


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    return server.new_key("business")


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    page = context.new_page()
    open_page(page)
    yield page
    context.close()


@pytest.fixture
def check(server: RunningServer, key: str, page: Any) -> Callable[..., None]:
    """Uploads a picture and has Chromium compare it with what is stored; one that is refused has to be allowed to."""

    def check(name: str, data: bytes, may_be_refused: bool = False) -> None:
        response = server.upload(key, data, name)
        if response.status_code == 400 and may_be_refused:
            return
        assert response.status_code == 200, response.text
        answer = response.json()
        stored = server.get(answer["direct_url"]).content
        before, after, difference = look_at(page, data, stored, MIMES[Path(name).suffix])
        assert after["shown"]
        assert after["whole"] or not before["whole"]
        assert before["size"] == after["size"] == [answer["width"], answer["height"]]
        if name not in MENDED:
            assert difference == 0
        assert after["frames"][: len(before["frames"])] == before["frames"]
        assert len(after["frames"]) == len(before["frames"]) or not before["whole"]
        assert after["loops"] == before["loops"] or not before["whole"]

    return check


@pytest.mark.parametrize("row", cases(), ids=lambda row: row["file"])
def test_a_case_looks_as_before(check: Callable[..., None], row: dict[str, str]) -> None:
    folder = cases_folder()
    assert folder
    check(row["file"], (folder / row["file"]).read_bytes(), "400" in row["expected"])


ACCEPTED = [row for row in corpus() if row["expected"] == "accept"]
REFUSED = [row for row in corpus() if row["expected"] != "accept" and Path(row["file"]).suffix in MIMES]


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row["file"])
def test_what_is_accepted_of_the_corpus_looks_as_before(check: Callable[..., None], row: dict[str, str]) -> None:
    folder = corpus_folder()
    assert folder
    kind = {"jpeg": ".jpg", "apng": ".png"}.get(row["format"], f".{row['format']}")
    check(str(Path(row["file"]).with_suffix(kind)), (folder / row["file"]).read_bytes())


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row["file"])
def test_what_is_refused_of_the_corpus_is_no_whole_picture(page: Any, row: dict[str, str]) -> None:
    folder = corpus_folder()
    assert folder
    if "bomb" in row["file"]:
        pytest.skip("a browser would need too much memory")
    data = (folder / row["file"]).read_bytes()
    look, _, _ = look_at(page, data, b"", MIMES[Path(row["file"]).suffix])
    assert not (look["shown"] and look.get("visible") and look["whole"])


# Those same kinds, made here for everybody.

PNG = pictures.png(pictures.noise(64, 32))
END = chunk(b"IEND", b"")
OTHER_COLOURS = bytes(pyvips.Operation.call("profile_load", "p3"))


def damaged(part: bytes) -> bytes:
    return part[:-1] + bytes([part[-1] ^ 1])


def profiled(packed: bytes, name: bytes = b"x") -> bytes:
    return chunk(b"iCCP", name + b"\0\0" + packed)


def with_chunk(part: bytes, before: bytes = b"IDAT") -> bytes:
    place = PNG.index(before) - 4
    return PNG[:place] + part + PNG[place:]


PACKED = zlib.compress(OTHER_COLOURS)
STILLS: dict[str, bytes] = {
    "no end": PNG[:-12],
    "half an end": PNG[:-5],
    "an end with something in it": PNG[:-12] + chunk(b"IEND", SECRET),
    "zeros for an end": PNG[:-12] + bytes(40),
    "a damaged text": with_chunk(damaged(chunk(b"tEXt", b"k\0" + SECRET))),
    "a damaged gamma": with_chunk(damaged(chunk(b"gAMA", struct.pack(">I", 100_000)))),
    "damaged transparency": with_chunk(damaged(chunk(b"tRNS", struct.pack(">HHH", 255, 0, 0)))),
    "a profile": with_chunk(profiled(PACKED)),
    "a damaged profile": with_chunk(damaged(profiled(PACKED))),
    "a profile with a wrong checksum of its own": with_chunk(profiled(PACKED[:-1] + b"!")),
    "a profile with something behind it": with_chunk(profiled(zlib.compress(OTHER_COLOURS + SECRET))),
    "no profile": with_chunk(profiled(zlib.compress(SECRET * 30))),
    "no profile, then one": with_chunk(profiled(zlib.compress(SECRET * 30)) + profiled(PACKED)),
    "a damaged profile, then another": with_chunk(
        damaged(profiled(zlib.compress(pictures.icc_profile()))) + profiled(PACKED)
    ),
    "two profiles": with_chunk(profiled(PACKED) + profiled(zlib.compress(pictures.icc_profile()))),
    "a suggested palette": with_chunk(chunk(b"sPLT", b"x\0\x08" + bytes(6))),
}


@pytest.mark.parametrize("name", STILLS)
def test_a_png_that_is_mended_looks_as_before(check: Callable[..., None], name: str) -> None:
    check("still.png", STILLS[name])


def test_the_profile_of_these_tests_changes_colours(page: Any) -> None:
    assert look_at(page, PNG, STILLS["a profile"], "image/png")[2] > 10


# What turns, by format: the table in docs/formats.md.

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


JPEG = pictures.jpeg(pictures.striped())


def with_segments(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def exif(orientation: int, kind: int = 3, count: int = 1, header: bytes = b"Exif\0\0") -> bytes:
    return segment(0xE1, header + orientation_tiff(orientation, kind, count))


def in_exif_ifd(orientation: int) -> bytes:
    """An EXIF block whose IFD0 has nothing but a pointer to the Exif IFD, which has the orientation."""
    ifd0 = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    return segment(0xE1, b"Exif\0\0" + ifd0 + orientation_tiff(orientation)[8:])


def turning(name: str) -> bytes:
    """A picture of 64 x 32 with what stands in a row of the table."""
    return {
        "JPEG: the first EXIF block": lambda: with_segments(exif(6)),
        "JPEG: a later EXIF block": lambda: with_segments(exif(1), exif(6)),
        "JPEG: the Exif IFD": lambda: with_segments(in_exif_ifd(6)),
        "JPEG: another byte than 0 behind Exif and 0": lambda: with_segments(exif(6, header=b"Exif\0\xff")),
        "JPEG: an EXIF block behind XMP": lambda: with_segments(segment(0xE1, b"http://ns.adobe.com/\0"), exif(6)),
        "JPEG: orientation of another type than SHORT": lambda: with_segments(exif(6, kind=4)),
        "JPEG: orientation of another count than 1": lambda: with_segments(exif(6, count=2)),
        "JPEG: EXIF behind the picture": lambda: JPEG[:-2] + exif(6) + JPEG[-2:],
        "WebP": lambda: pictures.phone_webp(6, image=pictures.striped()),
        "PNG: eXIf before IDAT": lambda: with_chunk(chunk(b"eXIf", orientation_tiff(6))),
        "PNG: eXIf behind IDAT": lambda: with_chunk(chunk(b"eXIf", orientation_tiff(6)), b"IEND"),
        "PNG: orientation of another type than SHORT": lambda: with_chunk(chunk(b"eXIf", orientation_tiff(6, kind=4))),
        "GIF": lambda: pictures.gif(pictures.striped()),
        "AVIF: irot": lambda: pictures.avif(pictures.striped(), exif=pictures.exif(6)),
        "AVIF: EXIF alone": pictures.avif_with_exif_alone,
        "AVIF: clap": pictures.cropped_avif,
    }[name]()


def rows_of_the_table(heading: str) -> list[tuple[str, str]]:
    text = FORMATS.read_text().split(f"### {heading}, by format", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(row[0], row[1]) for row in rows[1:]]


@pytest.mark.parametrize(("name", "turned"), rows_of_the_table("What turns"))
def test_what_the_table_says_turns_does_in_chromium(
    check: Callable[..., None], page: Any, name: str, turned: str
) -> None:
    data = turning(name)
    suffix = f".{name.split(':')[0].lower()}".replace("jpeg", "jpg")
    look, _, _ = look_at(page, data, data, MIMES[suffix])
    assert look["size"] == ([32, 64] if turned == "yes" else [64, 32])
    check(f"turned{suffix}", data)


def dense(name: str) -> bytes:
    """A picture of 64 x 32 with what stands in a row of the table of densities, which asks for 32 x 16."""
    block = segment(0xE1, b"Exif\0\0" + density_tiff(beside=SECRET))
    webp = io.BytesIO()
    pictures.striped().save(webp, "WEBP", exif=density_tiff())
    return {
        "JPEG: the first EXIF block, and the resolution explains both sides": with_segments(block),
        "JPEG: sides that the resolution does not explain": with_segments(
            segment(0xE1, b"Exif\0\0" + density_tiff(sides=(32, 17)))
        ),
        "JPEG: another unit than the inch": with_segments(segment(0xE1, b"Exif\0\0" + density_tiff(unit=3))),
        "JPEG: a later EXIF block": with_segments(exif(1), block),
        "JPEG: JFIF": pictures.jpeg(pictures.striped(), dpi=(144, 144)),
        "PNG: eXIf": with_chunk(chunk(b"eXIf", density_tiff())),
        "WebP": webp.getvalue(),
    }[name]


@pytest.mark.parametrize(("name", "applied"), rows_of_the_table("What changes the sides"))
def test_what_the_table_says_changes_the_sides_does_in_chromium(
    check: Callable[..., None], page: Any, name: str, applied: str
) -> None:
    data = dense(name)
    suffix = f".{name.split(':')[0].lower()}".replace("jpeg", "jpg")
    look, _, _ = look_at(page, data, data, MIMES[suffix])
    assert look["size"] == ([32, 16] if applied == "yes" else [64, 32])
    check(f"dense{suffix}", data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_of_a_density_is_turned_as_before(check: Callable[..., None], orientation: int) -> None:
    check("dense.jpg", with_segments(segment(0xE1, b"Exif\0\0" + density_tiff(orientation=orientation))))


@pytest.mark.parametrize(
    ("resolution", "sides"),
    [((36, 1), (128, 64)), ((300, 1), (15, 8)), ((1440001, 10000), (32, 16)), ((9216, 63), (32, 16))],
)
def test_sides_are_rounded_as_in_chromium(
    check: Callable[..., None], resolution: tuple[int, int], sides: tuple[int, int]
) -> None:
    check("dense.jpg", with_segments(segment(0xE1, b"Exif\0\0" + density_tiff(resolution, sides))))


# JPEG: what is damaged, or ends without its marker.

SCANS: dict[str, dict[str, object]] = {
    "baseline": {},
    "restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "progressive restarts": {"progressive": True, "restart_marker_rows": 1},
}


@pytest.mark.parametrize("scans", SCANS)
def test_a_jpeg_with_a_bad_sector_looks_as_before_or_is_refused(check: Callable[..., None], scans: str) -> None:
    whole = pictures.jpeg(pictures.noise(12, 9).resize((240, 180)), **SCANS[scans])
    for seed in range(25):
        check("damaged.jpg", pictures.with_bad_sector(whole, seed), may_be_refused=True)


@pytest.mark.parametrize("scans", ["baseline", "restarts"])  # of others Chromium shows nothing without the end marker
def test_a_panorama_without_an_end_marker_looks_as_before(check: Callable[..., None], scans: str) -> None:
    whole = pictures.jpeg(pictures.striped(), **SCANS[scans])
    for seed in range(5):
        check("panorama.jpg", whole[:-2] + pictures.samsung_trailer(SECRET, pictures.video(3000, seed)))


def test_of_two_profiles_chromium_takes_the_first(check: Callable[..., None]) -> None:
    other, srgb = (pictures.icc_segment(1, 1, data) for data in (OTHER_COLOURS, pictures.icc_profile()))
    for segments in ((other, srgb), (srgb, other), (other, other)):
        check("profiles.jpg", with_segments(*segments))
    check("profile.jpg", with_segments(pictures.icc_segment(1, 1, OTHER_COLOURS + SECRET)))
