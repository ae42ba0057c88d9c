"""The orientation: what of an EXIF block stays, and what browsers make of it."""

from __future__ import annotations

import io
import struct
import warnings
from fractions import Fraction

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from iuserver.imaging.exif import UPRIGHT, Layout, Orientation, read_layout, read_orientation
from tests import pictures
from tests.pictures import SECRET, density_tiff, orientation_tiff, segment

EXIF_IFD, SHORT, LONG = 0x8769, 3, 4


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(">HHI4s", tag, kind, count, value)


def short(value: int) -> bytes:
    return entry(0x0112, SHORT, 1, struct.pack(">H", value))


def tiff(*entries: bytes, behind: bytes = b"") -> bytes:
    """A TIFF structure with these entries in IFD0."""
    return b"MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + bytes(4) + behind


def below(*entries: bytes, beside: bytes = b"") -> bytes:
    """A TIFF structure with these entries in its Exif IFD, and one beside the pointer to it."""
    start = 8 + 2 + 12 + len(beside) + 4
    pointer = entry(EXIF_IFD, LONG, 1, struct.pack(">I", start))
    exif_ifd = struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
    return tiff(*([beside] if beside else []), pointer, behind=exif_ifd)


def test_a_tag_of_the_right_type_stays_alone() -> None:
    dirty = tiff(entry(0x010E, 2, 4, b"abc"), short(6), entry(0x0131, 2, 4, b"xyz"), behind=SECRET)
    assert read_orientation(dirty) == Orientation(6, orientation_tiff(6))


@pytest.mark.parametrize("kind", [1, 4, 6, 8, 9, 13])
def test_a_tag_of_another_type_stays_as_it_stood_and_browsers_do_not_turn_by_it(kind: int) -> None:
    assert read_orientation(orientation_tiff(6, kind)) == Orientation(1, orientation_tiff(6, kind))


def test_a_tag_of_two_values_keeps_its_count_and_its_first_value() -> None:
    dirty = tiff(entry(0x0112, SHORT, 2, b"\0\6AB"))
    assert read_orientation(dirty) == Orientation(1, orientation_tiff(6, SHORT, 2))


def test_of_several_tags_each_stays_in_its_place_and_the_first_valid_one_counts() -> None:
    for first, shown in ((1, 1), (3, 3), (0, 6), (9, 6)):
        dirty = tiff(short(first), short(6), behind=SECRET)
        kept = tiff(short(first if first <= 8 else 0), short(6))
        assert read_orientation(dirty) == Orientation(shown, kept)


def test_a_tag_in_the_exif_ifd_stays_there_as_browsers_heed_it() -> None:
    assert read_orientation(below(short(6), entry(0x9003, 2, 4, b"now"))) == Orientation(6, below(short(6)))
    assert read_orientation(below(short(6), beside=short(3))) == Orientation(3, below(short(6), beside=short(3)))


def test_an_ifd_that_points_to_itself_is_read_twice_and_no_more() -> None:
    itself = tiff(short(6), entry(EXIF_IFD, LONG, 1, struct.pack(">I", 8)))
    kept = read_orientation(itself)
    assert kept == Orientation(6, below(short(6), beside=short(6)))


@pytest.mark.parametrize("nothing", [b"", b"MM\0*", b"MM\0*\xff\xff\xff\xff", orientation_tiff(1), orientation_tiff(9)])
def test_nothing_stays_where_nothing_turns(nothing: bytes) -> None:
    assert read_orientation(nothing) == UPRIGHT


def test_a_block_of_nothing_but_orientations_stays_small() -> None:
    many = [short(6)] * 5000
    assert len(read_orientation(tiff(*many)).tiff) < 300


def test_the_structure_may_end_behind_its_last_entry() -> None:
    assert read_orientation(orientation_tiff(6)[:-4]) == Orientation(6, orientation_tiff(6))


# The density.


def read_tags(block: bytes) -> tuple[dict[int, object], dict[int, object]]:
    """The tags of IFD0 without the pointer, and those of the Exif IFD, as Pillow reads them."""
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return {tag: value for tag, value in exif.items() if tag != EXIF_IFD}, dict(exif.get_ifd(EXIF_IFD))


@pytest.mark.parametrize(
    ("resolution", "told"),
    [((144, 1), (32, 16)), ((1440, 10), (32, 16)), ((36, 1), (128, 64)), ((300, 1), (15, 8)), ((7200, 101), (65, 32))],
)
@pytest.mark.parametrize("orientation", [None, 1, 3, 6])
def test_a_density_that_explains_the_sides_told_stays_beside_the_orientation(
    resolution: tuple[int, int], told: tuple[int, int], orientation: int | None
) -> None:
    dirty = density_tiff(resolution, told, orientation=orientation, beside=SECRET)
    kept = read_layout(dirty, (64, 32))
    assert (kept.orientation, kept.sides) == (orientation or 1, told)
    ifd0, exif_ifd = read_tags(kept.tiff)
    dpi = Fraction(*resolution)
    turned = {0x0112: orientation} if orientation not in (None, 1) else {}
    assert ifd0 == {**turned, 0x011A: dpi, 0x011B: dpi, 0x0128: 2}
    assert exif_ifd == {0xA002: told[0], 0xA003: told[1]}
    assert read_layout(kept.tiff, (64, 32)) == kept


@pytest.mark.parametrize(
    "dirty",
    [
        density_tiff((72, 1), (64, 32)),  # changes nothing
        density_tiff((144, 1), (31, 16)),
        density_tiff((144, 1), (32, 17)),
        density_tiff((144, 1), unit=3),
        density_tiff((144, 1), unit=1),
        density_tiff((144, 0)),
        density_tiff((0, 1)),
        density_tiff((1_000_000, 1), (0, 0)),
        density_tiff((9216, 63), (32, 16)),  # half a pixel is less than that in single precision
        density_tiff().replace(b"\1\x28\0\3", b"\1\x28\0\4"),
        density_tiff().replace(b"\1\x1a\0\5", b"\1\x1a\0\x0a"),
        density_tiff().replace(b"\xa0\2\0\4", b"\xa0\2\0\x09"),
        density_tiff()[:70],
        tiff(),
        SECRET,
        b"",
    ],
)
def test_a_density_that_browsers_do_not_go_by_goes(dirty: bytes) -> None:
    assert read_layout(dirty, (64, 32)) == Layout(1, (64, 32), b"")


def test_the_density_does_not_move_an_orientation_into_another_ifd() -> None:
    dirty = density_tiff(orientation=3)
    place = dirty.index(b"\xa0\2") - 2
    turned = dirty[:place] + struct.pack(">H", 3) + short(6) + dirty[place + 2 :]
    kept = read_layout(turned, (64, 32))
    assert (kept.orientation, kept.sides) == (3, (32, 16))
    ifd0, exif_ifd = read_tags(kept.tiff)
    assert (ifd0[0x0112], exif_ifd[0x0112]) == (3, 6)
    assert read_layout(kept.tiff, (64, 32)) == kept


def test_of_two_resolutions_the_first_counts() -> None:
    def rational(tag: int, at: int) -> bytes:
        return entry(tag, 5, 1, struct.pack(">I", at))

    unit, width, height = (
        entry(0x0128, SHORT, 1, b"\0\2"),
        *(entry(tag, LONG, 1, struct.pack(">I", side)) for tag, side in ((0xA002, 32), (0xA003, 16))),
    )
    numbers = struct.pack(">IIII", 144, 1, 72, 1)
    right, wrong = 8 + 2 + 12 * 6 + 4, 8 + 2 + 12 * 6 + 4 + 8
    for first, second, sides in ((right, wrong, (32, 16)), (wrong, right, (64, 32))):
        x_twice = [rational(0x011A, first), rational(0x011A, second), rational(0x011B, right)]
        assert read_layout(tiff(*x_twice, unit, width, height, behind=numbers), (64, 32)).sides == sides


def as_pillow_turns(block: bytes) -> bytes:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(with_exif(block))) as image:
        return ImageOps.exif_transpose(image).tobytes()


def as_libvips_turns(block: bytes) -> bytes:
    return bytes(pyvips.Image.jpegload_buffer(with_exif(block)).autorot().write_to_memory())


def with_exif(block: bytes) -> bytes:
    plain = pictures.jpeg(pictures.striped())
    return plain[:2] + segment(0xE1, b"Exif\0\0" + block) + plain[2:]


@pytest.mark.parametrize(
    ("kind", "count"), [(1, 1), (1, 2), (3, 1), (3, 2), (4, 1), (6, 1), (6, 2), (8, 1), (8, 2), (9, 1), (13, 1)]
)
def test_pillow_and_libvips_do_what_they_did(kind: int, count: int) -> None:
    before = tiff(entry(0x0110, 2, 4, b"abc"), orientation_tiff(6, kind, count)[10:22])
    after = read_orientation(before).tiff
    assert as_pillow_turns(after) == as_pillow_turns(before)
    assert as_libvips_turns(after) == as_libvips_turns(before)


entries = st.builds(
    entry,
    st.sampled_from([0x0112, 0x0112, EXIF_IFD, 0x010F]),
    st.sampled_from([1, 2, 3, 3, 4, 5, 8, 13, 99]),
    st.sampled_from([0, 1, 1, 2, 4, 5, 2**32 - 1]),
    st.one_of(st.binary(min_size=4, max_size=4), st.integers(0, 80).map(lambda n: struct.pack(">I", n))),
)


@given(st.lists(entries, max_size=12), st.binary(max_size=60))
def test_what_is_kept_is_read_as_before_and_stays_the_same(listed: list[bytes], behind: bytes) -> None:
    once = read_orientation(tiff(*listed, behind=behind))
    assert once == UPRIGHT or read_orientation(once.tiff) == once
    assert len(once.tiff) <= 8 + 2 * (2 + 12 * 9 + 4)


@given(st.binary(max_size=20), st.lists(st.integers(0, 149), max_size=3), st.sampled_from([None, 1, 6]))
def test_a_damaged_density_stays_as_browsers_go_by_it_or_goes(
    put: bytes, at: list[int], orientation: int | None
) -> None:
    damaged = bytearray(density_tiff(orientation=orientation, beside=SECRET))
    for place in at:
        damaged[place : place + len(put)] = put
    once = read_layout(bytes(damaged), (64, 32))
    assert read_layout(once.tiff, (64, 32)) == once
    assert SECRET not in once.tiff
