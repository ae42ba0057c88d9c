"""The JPEG walker: what it keeps, what it removes, what it refuses."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import jpeg
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from tests import pictures
from tests.pictures import SECRET, segment
from tests.walking import LIMITS, clean_by, refusal_by


def walk(data: bytes) -> Plan:
    return jpeg.walk(Source(data), LIMITS)


def clean(data: bytes) -> bytes:
    return clean_by(jpeg.walk, data)


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    return refusal_by(jpeg.walk, data, limits)


def test_no_planted_secret_is_in_the_clean_file_and_its_pixels_are_the_same() -> None:
    dirty = pictures.phone_jpeg(orientation=1)
    assert SECRET in dirty
    assert SECRET not in clean(dirty)
    assert pictures.pixels(clean(dirty)) == pictures.pixels(dirty)


def test_the_icc_profile_stays_as_it_was() -> None:
    with Image.open(io.BytesIO(clean(pictures.phone_jpeg()))) as image:
        assert image.info["icc_profile"] == pictures.icc_profile()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_all_that_is_left_of_exif(orientation: int) -> None:
    dirty = pictures.phone_jpeg(orientation, pictures.noise(48, 32))
    with Image.open(io.BytesIO(clean(dirty))) as image:
        assert dict(image.getexif()) == ({} if orientation == 1 else {pictures.ORIENTATION: orientation})
    assert walk(dirty).shown == ((48, 32) if orientation < 5 else (32, 48))


def test_a_file_with_nothing_to_remove_is_kept_as_one_range() -> None:
    tidy = pictures.jpeg()
    assert walk(tidy).prefix == len(tidy)
    assert walk(tidy + SECRET).prefix == len(tidy)


def test_the_thumbnail_of_jfif_goes_and_its_density_stays() -> None:
    plain = pictures.jpeg(dpi=(72, 72))
    jfif = plain[2:20]
    assert jfif[4:9] == b"JFIF\0"
    with_thumbnail = segment(0xE0, jfif[4:16] + b"\x02\x01" + SECRET[:6])
    cleaned = clean(plain[:2] + with_thumbnail + plain[20:])
    assert SECRET[:6] not in cleaned
    assert cleaned == plain


def test_adobe_colours_survive_without_what_follows_them() -> None:
    cmyk = pictures.jpeg(pictures.noise(mode="CMYK"))
    adobe = cmyk.index(b"\xff\xee")
    body = cmyk[adobe + 4 : adobe + 16]
    dirty = cmyk[:adobe] + segment(0xEE, body + SECRET) + cmyk[adobe + 16 :]
    assert clean(dirty) == clean(cmyk)
    assert pictures.pixels(clean(dirty)) == pictures.pixels(cmyk)


def test_a_comment_between_the_scans_of_a_progressive_file_is_removed() -> None:
    plain = pictures.jpeg(progressive=True)
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    dirty = plain[:second_scan] + segment(0xFE, SECRET) + segment(0xE1, SECRET) + plain[second_scan:]
    assert clean(dirty) == clean(plain)


def test_bytes_between_segments_which_decoders_skip_are_removed() -> None:
    plain = pictures.jpeg()
    tables = plain.index(b"\xff\xdb")
    assert clean(plain[:tables] + b"\0" + SECRET + b"\xff\xff" + plain[tables + 1 :]) == clean(plain)


def test_something_that_is_no_icc_profile_does_not_stay_for_being_called_one() -> None:
    plain = pictures.jpeg()
    assert SECRET not in clean(plain[:2] + segment(0xE2, b"ICC_PROFILE\0\x01\x01" + SECRET * 9) + plain[2:])


def test_an_incomplete_icc_profile_is_removed() -> None:
    chunk = segment(0xE2, b"ICC_PROFILE\0\x01\x02" + pictures.icc_profile())
    plain = pictures.jpeg()
    assert clean(plain[:2] + chunk + plain[2:]) == clean(plain)


def test_an_orientation_after_the_first_scan_turns_nothing_as_no_decoder_heeds_it() -> None:
    plain = pictures.jpeg(progressive=True)
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    late = segment(0xE1, pictures.exif(6).tobytes())
    assert clean(plain[:second_scan] + late + plain[second_scan:]) == clean(plain)


def test_a_file_of_nothing_but_empty_segments_is_not_walked_for_ever() -> None:
    plain = pictures.jpeg()
    assert refusal(plain[:2] + segment(0xE5, b"") * 10_001 + plain[2:]) == "broken_image"


def test_what_is_clean_stays_the_same() -> None:
    once = clean(pictures.phone_jpeg())
    assert clean(once) == once


def test_every_beginning_of_a_file_is_broken() -> None:
    whole = pictures.jpeg(pictures.noise(16, 16), progressive=True)
    for length in range(3, len(whole)):
        assert refusal(whole[:length]) == "broken_image"


def test_contradictions_are_broken() -> None:
    plain = pictures.jpeg()
    frame, scan = plain.index(b"\xff\xc0"), plain.index(b"\xff\xda")
    length = 2 + int.from_bytes(plain[frame + 2 : frame + 4], "big")
    broken = {
        "two frames": plain[:frame] + plain[frame : frame + length] * 2 + plain[frame + length :],
        "no frame": plain[:frame] + plain[frame + length :],
        "no scan": plain[:scan] + b"\xff\xd9",
        "no size": plain[: frame + 5] + b"\0\0" + plain[frame + 7 :],
        "a second image inside": plain[:scan] + plain,
        "a table that is too long": plain[:scan] + segment(0xDB, b"\0" * 66) + plain[scan:],
    }
    for what, data in broken.items():
        assert refusal(data) == "broken_image", what


def test_too_many_pixels_and_scans_are_refused_by_name() -> None:
    small = Limits(max_side=40, max_pixels=1000, max_total_pixels=1000, max_frames=1, max_scans=3)
    assert refusal(pictures.jpeg(pictures.noise(48, 8)), small) == "too_many_pixels"
    assert refusal(pictures.jpeg(pictures.noise(40, 40)), small) == "too_many_pixels"
    assert refusal(pictures.jpeg(pictures.noise(16, 16), progressive=True), small) == "too_many_scans"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_cleaned_for_good_or_refused(data: st.DataObject) -> None:
    damaged = damage(data, pictures.phone_jpeg(image=pictures.noise(16, 16)))
    once = None
    with contextlib.suppress(Fault):  # and nothing but a Fault
        once = clean(damaged)
    assert once is None or clean(once) == once


def damage(data: st.DataObject, whole: bytes) -> bytes:
    """A file with bytes overwritten, cut out or doubled."""
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        stop = min(len(damaged), start + data.draw(st.integers(1, 40)))
        replacement = data.draw(
            st.one_of(st.binary(max_size=40), st.just(b""), st.just(bytes(damaged[start:stop]) * 2))
        )
        damaged[start:stop] = replacement
    return bytes(damaged)
