"""Gain maps in JPEG: which stay, with what, and which go."""

from __future__ import annotations

import contextlib
import io
import math
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import iso21496, jpeg, mpf, xmp
from iuserver.imaging.gain_parameters import Channel, Parameters
from iuserver.imaging.plan import Limits, Rules
from iuserver.imaging.worker import store
from tests import gain_maps, pictures
from tests.gain_maps import DIALECTS, HDRGM, map_jpeg, map_of, photo, put, scene
from tests.pictures import SECRET, segment
from tests.walking import LIMITS, clean_by, settled_by

HEADER = b"\xff\xd8"


def clean(data: bytes) -> bytes:
    return clean_by(jpeg.walk, data)


def is_hdr(data: bytes, limits: Limits = LIMITS) -> bool:
    return settled_by(jpeg.walk, data, limits).hdr


def decoded(data: bytes) -> bytes:
    """The pixels of the first image of a file."""
    return bytes(pyvips.Image.jpegload_buffer(data).write_to_memory())


# What stays.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_gain_map_stays_and_nothing_with_it_but_what_tells_how_it_is_applied(dialect: str) -> None:
    dirty = photo(dialect)
    assert SECRET in dirty
    cleaned = clean(dirty)
    assert SECRET not in cleaned
    assert pictures.metadata(cleaned, with_map=True) == {}
    for before, after in zip(gain_maps.read(dirty), gain_maps.read(cleaned), strict=True):
        assert decoded(after) == decoded(before)
    assert len(b"".join(gain_maps.read(cleaned))) == len(cleaned)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if not name.startswith("Apple")])
def test_the_parameters_are_the_same_in_each_dialect_that_the_file_has(dialect: str) -> None:
    (_, before), (_, after) = gain_maps.read(photo(dialect)), gain_maps.read(clean(photo(dialect)))
    told = gain_maps.parameters_in_xmp(before)
    assert {**told, "Version": [1.0]} == gain_maps.parameters_in_xmp(after) or not told
    assert gain_maps.parameters_in_iso(after) == pytest.approx(gain_maps.parameters_in_iso(before), rel=1e-6)
    assert told or gain_maps.parameters_in_iso(after)


@pytest.mark.parametrize(("dialect", "stops"), [("Apple", 3.0), ("Apple, newer", math.log2(4.532783))])
def test_a_map_of_apple_gets_the_parameters_that_make_nearly_the_same_of_it(dialect: str, stops: float) -> None:
    _, found = gain_maps.read(clean(photo(dialect)))
    told = gain_maps.parameters_in_xmp(found)
    assert told["GainMapMax"] == told["HDRCapacityMax"] == pytest.approx([stops], rel=1e-6)
    assert (told["GainMapMin"], told["HDRCapacityMin"], told["OffsetSDR"], told["OffsetHDR"]) == ([0], [0], [0], [0])
    iso = gain_maps.parameters_in_iso(found)
    assert iso == pytest.approx([0, stops, 0, stops, told["Gamma"][0], 0, 0], rel=1e-6)
    for level in range(256):
        share = level / 255
        linear = share / 4.5 if share < 0.081 else ((share + 0.099) / 1.099) ** (1 / 0.45)  # ITU-R BT.709
        theirs = math.log2(1 + (2**stops - 1) * linear)
        assert stops * share ** (1 / told["Gamma"][0]) == pytest.approx(theirs, abs=0.13)


@pytest.mark.parametrize(("headroom", "stops"), [(0.5, 1.8), (1.5, 3.0)])
def test_what_an_iphone_notes_of_its_headroom_becomes_stops(headroom: float, stops: float) -> None:
    found = map_jpeg(map_of(scene()), gain_maps.apple())
    _, cleaned = gain_maps.read(clean(put(pictures.jpeg(scene()), gain_maps.maker_notes(headroom), [found])))
    assert gain_maps.parameters_in_xmp(cleaned)["GainMapMax"] == [stops]


def test_a_map_of_apple_goes_where_nothing_tells_how_far_it_reaches() -> None:
    found = map_jpeg(map_of(scene()), gain_maps.apple())
    assert not is_hdr(put(pictures.jpeg(scene()), gain_maps.packet(), [found]))


@pytest.mark.parametrize("options", [{}, {"Q": 75, "gainmap_scale_factor": 2}])
def test_a_file_of_libultrahdr_stays_what_it_was(options: dict[str, object]) -> None:
    with_highlights = pyvips.Image.new_from_buffer(pictures.png(scene()), "").colourspace("scrgb")
    made = ((with_highlights > 0.6).ifthenelse(with_highlights * 4, with_highlights)).uhdrsave_buffer(**options)
    cleaned = clean(made)
    assert is_hdr(made)
    before, after = (pyvips.Image.uhdrload_buffer(data) for data in (made, cleaned))
    assert after.write_to_memory() == before.write_to_memory()
    fields = [field for field in before.get_fields() if field.startswith("gainmap-") and field != "gainmap-data"]
    for field in fields:
        assert after.get(field) == pytest.approx(before.get(field), rel=1e-6)
    assert pictures.metadata(cleaned, with_map=True) == {}


@pytest.mark.parametrize("dialect", ["Ultra HDR v1", "Ultra HDR v1 and ISO 21496-1", "Apple"])
def test_libultrahdr_finds_the_map_in_a_clean_file(dialect: str) -> None:
    cleaned = clean(photo(dialect))
    image = pyvips.Image.uhdrload_buffer(cleaned)
    found = pyvips.Image.jpegload_buffer(bytes(image.get("gainmap-data")))
    assert (found.width, found.height) == (160, 120)
    told = gain_maps.parameters_in_xmp(gain_maps.read(cleaned)[1])
    assert image.get("gainmap-hdr-capacity-max") == pytest.approx(2 ** told["HDRCapacityMax"][0], rel=1e-5)


@pytest.mark.parametrize("orientation", [3, 6])
def test_the_orientation_is_the_pictures_alone_and_stays(orientation: int) -> None:
    found = map_jpeg(map_of(scene()), gain_maps.apple())  # whose EXIF tells another
    dirty = put(pictures.jpeg(scene()), gain_maps.maker_notes(orientation=orientation), [found])
    primary, gain_map = gain_maps.read(clean(dirty))
    assert settled_by(jpeg.walk, dirty).orientation == orientation
    with Image.open(io.BytesIO(primary)) as image, Image.open(io.BytesIO(gain_map)) as other:
        assert dict(image.getexif()) == {pictures.ORIENTATION: orientation}
        assert dict(other.getexif()) == {}


def test_the_colour_profile_of_a_map_stays_as_its_colours_may_be_others() -> None:
    found = map_jpeg(map_of(scene()), gain_maps.iso(flags=0), icc_profile=pictures.icc_profile())
    _, cleaned = gain_maps.read(clean(put(pictures.jpeg(scene()), gain_maps.announcement(), [found])))
    with Image.open(io.BytesIO(cleaned)) as image:
        assert image.info["icc_profile"] == pictures.icc_profile()


def test_a_map_is_found_where_the_container_says_if_there_is_no_index() -> None:
    found, primary = map_jpeg(map_of(scene()), gain_maps.hdrgm()), pictures.jpeg(scene())
    video = '<Container:Item Item:Mime="image/jpeg" Item:Semantic="Depth" Item:Length="9"/>'
    between = HEADER + b"\xff\xe5\0\5" + SECRET[:3]
    dirty = primary[:2] + gain_maps.directory(len(found), video) + primary[2:] + between + found
    assert len(between) == 9
    assert is_hdr(dirty)
    assert SECRET[:3] not in clean(dirty)


@pytest.mark.parametrize(
    "trailer",
    [b"", bytes(99), pictures.video(3000), pictures.samsung_trailer(SECRET, pictures.video(300)), SECRET * 9],
    ids=["none", "zeros", "video", "Samsung's", "unknown"],
)
def test_what_follows_a_map_goes(trailer: bytes) -> None:
    assert clean(photo() + trailer) == clean(photo())


# What goes.


def test_further_images_go_whatever_they_are() -> None:
    image, found = scene(), map_jpeg(map_of(scene()), gain_maps.hdrgm())
    others = [pictures.phone_jpeg(image=scene(64, 48, seed=5)), pictures.phone_jpeg(image=scene(seed=6))]
    for images in ([*others, found], [found, *others], [others[0], found, others[1]]):
        assert clean(put(pictures.jpeg(image), gain_maps.directory(len(found)), images)) == clean(
            put(pictures.jpeg(image), gain_maps.directory(len(found)), [found])
        )
    assert clean(put(pictures.jpeg(image), b"", others)) == pictures.jpeg(image)


def _photo_of(image: Image.Image, gain_map: Image.Image) -> bytes:
    return DIALECTS["Ultra HDR v1 and ISO 21496-1"](pictures.jpeg(image), gain_map)


def _cropped(image: Image.Image, share: float, x: float, y: float) -> Image.Image:
    width, height = (round(side * share) for side in image.size)
    left, top = round((image.width - width) * x), round((image.height - height) * y)
    return image.crop((left, top, left + width, top + height))


MISFITS = {
    **{
        f"cropped to {share} at {x}, {y}": lambda seed, share=share, x=x, y=y: _photo_of(
            _cropped(scene(640, 480, seed), share, x, y), map_of(scene(640, 480, seed))
        )
        for share in (0.5, 0.7, 0.9)
        for x, y in ((0, 0), (0.5, 0.5), (1, 0.3))
    },
    "another picture's": lambda seed: _photo_of(scene(seed=seed), map_of(scene(seed=seed + 100))),
    "mirrored": lambda seed: _photo_of(
        scene(seed=seed), map_of(scene(seed=seed)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ),
    "without content": lambda seed: _photo_of(scene(seed=seed), Image.new("L", (160, 120), 90)),
    "of one pixel": lambda seed: _photo_of(scene(240, 240, seed), Image.new("L", (1, 1), 90)),
    "wider": lambda seed: _photo_of(scene(seed=seed), map_of(scene(seed=seed)).resize((160, 115))),
    "higher": lambda seed: _photo_of(scene(seed=seed), map_of(scene(seed=seed)).resize((160, 125))),
}


@pytest.mark.parametrize("kind", MISFITS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_map_that_does_not_fit_its_picture_goes_and_the_picture_stays(kind: str, seed: int) -> None:
    dirty = MISFITS[kind](seed)
    primary, _ = gain_maps.read(dirty)
    assert clean(dirty) == clean(primary)
    assert not is_hdr(dirty)


@pytest.mark.parametrize("seed", range(4, 10))
def test_a_map_that_fits_stays_whatever_its_resolution(seed: int) -> None:
    image = scene(400, 300, seed)
    for scale in (1, 2, 4):
        assert is_hdr(_photo_of(image, map_of(image, scale)))
    assert is_hdr(_photo_of(image, map_of(image, 2, "RGB")))
    inverted = map_of(image).point([255 - level for level in range(256)])  # of a base image that is HDR
    assert is_hdr(_photo_of(image, inverted))
    assert is_hdr(_photo_of(image.convert("CMYK"), map_of(image)))
    assert is_hdr(_photo_of(image.convert("L"), map_of(image)))


BROKEN = {
    "cut short": lambda primary, found: put(primary, gain_maps.announcement(), [found])[:-60],
    "cut short, before something with an end marker": lambda primary, found: (
        put(primary, gain_maps.announcement(), [found])[:-60] + pictures.jpeg(pictures.noise(8, 8))
    ),
    "no end marker, before unknown data": lambda primary, found: (
        put(primary, gain_maps.announcement(), [found])[:-2] + SECRET + b"\xff\xd9" + SECRET
    ),
    "first": lambda primary, found: found + put(primary, gain_maps.announcement(), [found]),
    "elsewhere": lambda primary, found: put(primary, gain_maps.announcement(), [found], by=2),
    "before its picture": lambda primary, found: put(primary, gain_maps.announcement(), [found], by=-len(found) - 99),
    "beyond the end": lambda primary, found: put(primary, gain_maps.announcement(), [found], by=1 << 30),
    "behind other bytes": lambda primary, found: put(primary, gain_maps.announcement(), [found], gap=SECRET),
    "not announced": lambda primary, found: put(primary, b"", [found]),
    "announced in the other dialect": lambda primary, found: put(
        primary, gain_maps.packet('hdrgm:Version="1.0"'), [found]
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_map_that_is_not_where_and_what_it_should_be_goes(kind: str) -> None:
    primary, found = pictures.jpeg(scene()), map_jpeg(map_of(scene()), gain_maps.iso())
    assert is_hdr(put(primary, gain_maps.announcement(), [found]))
    dirty = BROKEN[kind](primary, found)
    assert not is_hdr(dirty)
    assert SECRET not in clean(dirty)
    assert decoded(clean(dirty)) == decoded(dirty if kind != "first" else found)


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, max_pixels=320 * 240),
        replace(LIMITS, max_pixels=320 * 240 + 160 * 120 - 1),
        replace(LIMITS, max_side=320, max_scans=1),
    ],
)
def test_a_map_that_is_over_the_limits_together_with_its_picture_goes(limits: Limits) -> None:
    primary, _ = gain_maps.read(photo())
    assert not is_hdr(photo(), limits)
    plan = settled_by(jpeg.walk, photo(), limits)
    assert plan.size == len(clean(primary))
    assert is_hdr(photo(), replace(LIMITS, max_pixels=320 * 240 + 160 * 120, max_scans=2))


def test_scans_of_both_images_count() -> None:
    image = scene()
    dirty = DIALECTS["Ultra HDR v1"](pictures.jpeg(image, progressive=True), map_of(image))
    scans = dirty.count(b"\xff\xda")
    assert is_hdr(dirty, replace(LIMITS, max_scans=scans))
    assert not is_hdr(dirty, replace(LIMITS, max_scans=scans - 1))


def test_a_picture_that_takes_long_to_decode_loses_its_map(monkeypatch: pytest.MonkeyPatch) -> None:
    image = scene()
    dirty = DIALECTS["Ultra HDR v1"](pictures.jpeg(image, progressive=True), map_of(image))
    scans = gain_maps.read(dirty)[0].count(b"\xff\xda")
    for most, kept in ((320 * 240 * scans, True), (320 * 240 * scans - 1, False)):
        monkeypatch.setattr(jpeg, "MAX_DECODED", most)
        assert is_hdr(dirty) is kept


def test_a_file_that_tells_of_images_and_packets_without_end_is_not_searched_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    primary, packet = pictures.jpeg(scene(64, 48)), gain_maps.packet()
    other = HEADER + packet * 300 + primary[2:]
    parsed: list[bytes] = []
    monkeypatch.setattr(xmp, "parse", parsed.append)
    assert not is_hdr(put(primary, gain_maps.announcement() + packet * 9, [other] * 30))
    assert len(parsed) == mpf.MAX_IMAGES


def test_a_picture_in_doubt_loses_its_map() -> None:
    primary, found = pictures.jpeg(scene()), map_jpeg(map_of(scene()), gain_maps.iso())
    dirty = put(primary[:-2], gain_maps.announcement(), [found])
    assert not is_hdr(dirty)
    assert clean(dirty) == clean(primary)


WRONG = {
    "no number": {"GainMapMax": ("2.5x",)},
    "a secret": {"GainMapMax": (SECRET.decode(),)},
    "not a number": {"GainMapMax": ("nan",)},
    "infinite": {"GainMapMax": ("inf",)},
    "too large": {"GainMapMax": (1e30,)},
    "far too large": {"GainMapMax": ("1e99",)},
    "more than a maximum": {"GainMapMin": (3.0,)},
    "gamma of 0": {"Gamma": (0.0,)},
    "negative gamma": {"Gamma": (-1.0,)},
    "no maximum": {"GainMapMax": ()},
    "no headroom": {"HDRCapacityMax": ()},
    "the same headroom twice": {"HDRCapacityMin": (2.5,)},
    "negative headroom": {"HDRCapacityMin": (-1.0,)},
    "two channels": {"GainMapMax": (2.0, 3.0)},
    "four channels": {"GainMapMax": (2.0, 3.0, 2.0, 3.0)},
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_map_whose_parameters_make_no_sense_goes(kind: str) -> None:
    found = map_jpeg(map_of(scene()), gain_maps.hdrgm({**HDRGM, **WRONG[kind]}))
    dirty = put(pictures.jpeg(scene()), gain_maps.directory(len(found)), [found])
    assert not is_hdr(dirty)
    assert SECRET not in clean(dirty)


# Settings.


@pytest.mark.parametrize(("bake", "hdr", "kept"), [(False, True, True), (False, False, False), (True, True, False)])
def test_a_map_goes_where_settings_say_so_or_its_picture_is_turned(
    tmp_path: Path, bake: bool, hdr: bool, kept: bool
) -> None:
    found = map_jpeg(map_of(scene()), gain_maps.apple())
    dirty = put(pictures.jpeg(scene()), gain_maps.maker_notes(orientation=6), [found])
    pyvips.cache_set_max(0)  # as a worker does
    facts = store(dirty, f"{tmp_path}/out", Rules(LIMITS, bake, 1 << 30, hdr))
    stored = (tmp_path / "out").read_bytes()
    assert (facts.hdr, b"MPF\0" in stored, facts.size) == (kept, kept, len(stored))
    assert (facts.width, facts.height) == (240, 320)


# The parsers by themselves.


@st.composite
def fractions(draw: st.DrawFn, least: int, most: int) -> Fraction:
    denominator = draw(st.integers(1, 1 << 27))
    return Fraction(draw(st.integers(least * denominator, most * denominator)), denominator)


FRACTIONS, HEADROOMS, GAMMAS = fractions(-8, 8), fractions(0, 8), fractions(0, 64)


@st.composite
def parameters(draw: st.DrawFn) -> Parameters:
    channels = []
    for _ in range(draw(st.sampled_from([1, 3]))):
        low, high = sorted((draw(FRACTIONS), draw(FRACTIONS)))
        gamma = draw(GAMMAS)
        channels.append(Channel(low, high, gamma, draw(FRACTIONS), draw(FRACTIONS)))
    return Parameters(tuple(channels), draw(HEADROOMS), draw(HEADROOMS), draw(st.booleans()))


@given(parameters())
def test_what_is_written_is_read_again_and_written_the_same(told: Parameters) -> None:
    read = iso21496.read(iso21496.write(told))
    if not told.sound:
        assert read is None
        return
    assert read == told
    packet = xmp.parse(xmp.of_map(told))
    assert packet is not None
    again = xmp.parameters(packet)
    if again is not None:  # two headrooms may be the same in seven digits
        assert xmp.of_map(again) == xmp.of_map(told)
        assert again.base_headroom == pytest.approx(told.base_headroom, rel=1e-6)
        assert again.channels[0].maximum == pytest.approx(told.channels[0].maximum, rel=1e-6)


@given(st.integers((1 << 31), (1 << 32) - 1), st.integers(1 << 28, (1 << 32) - 1))
def test_a_number_of_more_digits_than_fit_is_rounded_once(numerator: int, denominator: int) -> None:
    plain = Parameters((Channel(*(Fraction(value) for value in (0, 1, 1, 0, 0))),), Fraction(0), Fraction(32))
    told = replace(plain, other_headroom=Fraction(numerator, denominator))
    read = iso21496.read(iso21496.write(told))
    assert read is not None
    assert float(read.other_headroom) == pytest.approx(float(told.other_headroom), rel=1e-9)
    assert iso21496.read(iso21496.write(read)) == read


def test_one_denominator_for_all_is_read_as_well() -> None:
    numbers = (0, 2_656_715, -250_000, 2_656_715, 1_200_000, 15_625, 31_250)
    body = iso21496.ANNOUNCEMENT + b"\x48" + struct.pack(">8i", 1_000_000, *numbers)
    read = iso21496.read(body)
    assert read is not None
    assert read.other_headroom == Fraction(2_656_715, 1_000_000)
    assert iso21496.read(iso21496.write(read)) == read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        iso21496.ANNOUNCEMENT,
        iso21496.NAME + b"\0\1\0\0" + bytes(60),
        iso21496.ANNOUNCEMENT + b"\x44" + struct.pack(">14i", *(1, 1) * 7),
        iso21496.ANNOUNCEMENT + b"\x40" + struct.pack(">14i", *(1, 0) * 7),
        iso21496.ANNOUNCEMENT + b"\x48" + bytes(32),
        iso21496.ANNOUNCEMENT + b"\x40" + struct.pack(">13i", *(1,) * 13),
    ],
    ids=["nothing", "no parameters", "newer", "unknown flag", "divisors of 0", "one divisor of 0", "cut short"],
)
def test_a_segment_of_iso_21496_that_makes_no_sense_tells_nothing(body: bytes) -> None:
    assert iso21496.read(body) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_an_index_or_none(body: bytes) -> None:
    mpf.read(mpf.NAME + body)
    mpf.read(mpf.NAME + b"MM\0*" + body)
    iso21496.read(iso21496.ANNOUNCEMENT + body)


def test_an_index_of_endless_images_is_not_read_to_its_end() -> None:
    body = mpf.NAME + b"MM\0*" + struct.pack(">IHHHII", 8, 1, 0xB002, 7, 0xFFFFFFFF, 0) + b"\1" * 60_000
    assert len(mpf.read(body)) <= mpf.MAX_IMAGES


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "secret">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>',
        '<?xml version="1.0" encoding="utf-7"?><a/',
        "<a>" * 20_000,
        "\x00\x01<a/>",
        "<a>&lol;</a>",
    ],
)
def test_a_packet_that_is_no_plain_xml_is_none(text: str) -> None:
    assert xmp.parse(xmp.NAME + text.encode()) is None


def test_a_deep_packet_is_read_like_any_other() -> None:
    packet = xmp.parse(xmp.NAME + b"<a>" * 8000 + b"</a>" * 8000)
    assert packet is not None
    assert not xmp.announces(packet)
    assert xmp.parameters(packet) is None
    assert xmp.map_place(packet) is None
    assert not xmp.is_apple_map(packet)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_no_text_of_a_packet_is_written(one: str, other: str, third: str) -> None:
    def escaped(text: str) -> str:
        text = "".join(letter for letter in text if letter.isprintable())
        return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")

    more = f'hdrgm:BaseRenditionIsHDR="{escaped(one)}" hdrgm:Other="{escaped(other)}" dc:title="{escaped(third)}"'
    packet = xmp.parse(gain_maps.hdrgm(more=more)[4:])
    assert packet is not None
    read = xmp.parameters(packet)
    assert read is not None
    if one != "True":
        assert xmp.of_map(read) == xmp.of_map(read_plain())


def read_plain() -> Parameters:
    packet = xmp.parse(gain_maps.hdrgm()[4:])
    assert packet is not None
    read = xmp.parameters(packet)
    assert read is not None
    return read


SEEDS = [photo(dialect, scene(64, 48)) for dialect in DIALECTS]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=1, max_size=6)), max_size=8)
)
def test_any_damage_ends_in_a_clean_file_or_a_fault_and_never_in_a_secret(
    seed: bytes, damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(seed)
    for place, other in damage:
        place %= len(data)
        data[place : place + len(other)] = other
    with contextlib.suppress(Fault):
        cleaned = clean(bytes(data))
        assert SECRET not in cleaned
        assert clean(cleaned) == cleaned


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xEB, 0xED, 0xFE])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_secret_in_any_segment_of_either_image_is_in_no_output(dialect: str, marker: int) -> None:
    primary, found = gain_maps.read(photo(dialect))
    for name in (b"", b"http://ns.adobe.com/xmp/extension/\0", b"JP\0\1", gain_maps.ISO, b"MPF\0"):
        hidden = segment(marker, name + SECRET)
        with_hidden = found[:-2] + hidden + found[-2:]
        cleaned = clean(primary[:-2] + hidden + primary[-2:] + found[:2] + hidden + with_hidden[2:] + hidden)
        assert SECRET not in cleaned
