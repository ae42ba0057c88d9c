"""The PNG walker: what it keeps, what it removes, what it refuses."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import png
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from tests import pictures
from tests.pictures import SECRET, chunk
from tests.unit.test_jpeg import damage
from tests.walking import LIMITS, clean_by, refusal_by

END = chunk(b"IEND", b"")


def walk(data: bytes) -> Plan:
    return png.walk(Source(data), LIMITS)


def clean(data: bytes) -> bytes:
    return clean_by(png.walk, data)


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    return refusal_by(png.walk, data, limits)


def with_chunk(data: bytes, extra: bytes, before: bytes = b"IDAT") -> bytes:
    """A PNG with something inserted in front of the first chunk of a kind."""
    place = data.index(before) - 4
    return data[:place] + extra + data[place:]


def test_no_planted_secret_is_in_the_clean_file_and_its_pixels_are_the_same() -> None:
    dirty = pictures.phone_png(orientation=1)
    assert dirty.count(SECRET) >= 5
    assert SECRET not in clean(dirty)
    assert pictures.pixels(clean(dirty)) == pictures.pixels(dirty)


def test_the_icc_profile_and_the_density_stay() -> None:
    with Image.open(io.BytesIO(clean(pictures.phone_png()))) as image:
        assert image.info["icc_profile"] == pictures.icc_profile()
        assert round(image.info["dpi"][0]) == 72


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_all_that_is_left_of_exif(orientation: int) -> None:
    dirty = pictures.phone_png(orientation, pictures.noise(48, 32))
    with Image.open(io.BytesIO(clean(dirty))) as image:
        assert dict(image.getexif()) == ({} if orientation == 1 else {pictures.ORIENTATION: orientation})
    assert walk(dirty).shown == ((48, 32) if orientation < 5 else (32, 48))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_pixels_passes(mode: str) -> None:
    image = pictures.noise(mode="L").convert(mode) if mode in ("1", "P", "I;16") else pictures.noise(mode=mode)
    data = pictures.png(image)
    assert clean(data) == data
    assert walk(data).prefix == len(data)


def test_an_animation_keeps_all_its_frames() -> None:
    data = pictures.apng(frames=3)
    dirty = with_chunk(data, chunk(b"tEXt", b"k\0" + SECRET), before=b"fdAT")
    assert walk(dirty).frames == 3
    assert clean(dirty) == data
    assert pictures.pixels(clean(dirty)) == pictures.pixels(data)


def test_a_chunk_of_a_length_it_cannot_have_or_that_stands_twice_is_removed() -> None:
    data = pictures.png()
    assert clean(with_chunk(data, chunk(b"gAMA", SECRET))) == data
    gamma = chunk(b"gAMA", struct.pack(">I", 45455))
    assert clean(with_chunk(data, gamma + gamma)) == with_chunk(data, gamma)


def test_a_secret_in_the_frames_of_what_is_no_animation_is_removed() -> None:
    data = pictures.png()
    assert clean(with_chunk(data, chunk(b"fdAT", SECRET), before=b"IEND")) == data


def test_a_file_of_nothing_but_empty_chunks_is_not_walked_for_ever() -> None:
    assert refusal(with_chunk(pictures.png(), chunk(b"tEXt", b"") * 100_000)) == "broken_image"


def test_what_is_clean_stays_the_same() -> None:
    once = clean(pictures.phone_png())
    assert clean(once) == once


def test_every_beginning_of_a_file_is_broken() -> None:
    whole = pictures.apng(frames=2)
    for length in range(8, len(whole)):
        assert refusal(whole[:length]) == "broken_image"


def test_contradictions_are_broken() -> None:
    data = pictures.png()
    body = data.index(b"IDAT") - 4
    header, rest = data[8:33], data[body:]
    broken = {
        "no header": data[:8] + rest,
        "two headers": with_chunk(data, header),
        "no picture": data[:body] + END,
        "a picture that is interrupted": data[: -len(END)] + chunk(b"tEXt", b"k\0v") + chunk(b"IDAT", b"x") + END,
        "a wrong checksum": data[:-6] + b"\0\0" + data[-4:],
        "a critical chunk that nobody knows": with_chunk(data, chunk(b"ABCD", b"")),
        "colours that do not exist": data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 5, 0, 0, 0)) + rest,
        "no size": data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0)) + rest,
    }
    for what, made in broken.items():
        assert refusal(made) == "broken_image", what


def test_an_animation_out_of_order_is_broken() -> None:
    data = pictures.apng(frames=3)
    first, second = (place - 4 for place in (data.index(b"fdAT"), data.rindex(b"fcTL")))
    assert first < second
    assert refusal(data[:first] + data[second:]) == "broken_image"


def test_too_many_pixels_and_frames_are_refused_by_name() -> None:
    small = Limits(max_side=40, max_pixels=1000, max_total_pixels=1500, max_frames=3, max_scans=1)
    assert refusal(pictures.png(pictures.noise(48, 8)), small) == "too_many_pixels"
    frames = [pictures.noise(16, 16, seed=number) for number in range(4)]
    assert refusal(pictures.png(frames[0], save_all=True, append_images=frames[1:]), small) == "too_many_frames"
    frames = [pictures.noise(30, 30, seed=number) for number in range(2)]
    assert refusal(pictures.png(frames[0], save_all=True, append_images=frames[1:]), small) == "too_many_pixels"


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_a_damaged_file_is_cleaned_for_good_or_refused(data: st.DataObject, animated: bool) -> None:
    whole = pictures.apng(2) if animated else pictures.phone_png(image=pictures.noise(16, 16))
    once = None
    with contextlib.suppress(Fault):  # and nothing but a Fault
        once = clean(damage(data, whole))
    assert once is None or clean(once) == once
