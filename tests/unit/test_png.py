"""The PNG walker: what it keeps, what it removes, what it refuses."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import png
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from tests import pictures
from tests.pictures import SECRET, chunk, orientation_tiff
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


@pytest.mark.parametrize("frames", [1, 2])
def test_a_beginning_of_a_file_is_broken_unless_only_its_end_chunk_is_missing(frames: int) -> None:
    whole = pictures.apng(frames) if frames > 1 else pictures.png()
    at_ends = {len(whole) - missing for missing in range(13)}
    if frames > 1:
        second = whole.index(b"fcTL", whole.index(b"IDAT")) - 4
        at_ends |= set(range(second, second + 38 + 8))  # and until the second frame's data begins
    for length in range(8, len(whole)):
        if length in at_ends:
            assert clean(whole[:length]).endswith(END)
        else:
            assert refusal(whole[:length]) == "broken_image", length
    assert clean(whole[:-12]) == whole


def test_contradictions_are_broken() -> None:
    data = pictures.png()
    body = data.index(b"IDAT") - 4
    header, rest = data[8:33], data[body:]
    broken = {
        "no header": data[:8] + rest,
        "two headers": with_chunk(data, header),
        "no picture": data[:body] + END,
        "a picture that is interrupted": data[: -len(END)] + chunk(b"tEXt", b"k\0v") + chunk(b"IDAT", b"x") + END,
        "a picture that is damaged": data.replace(data[-16:-12], bytes(4)),
        "a header that is damaged": data[:29] + bytes(4) + rest,
        "a critical chunk that nobody knows": with_chunk(data, chunk(b"ABCD", b"")),
        "colours that do not exist": data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 5, 0, 0, 0)) + rest,
        "no size": data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0)) + rest,
    }
    for what, made in broken.items():
        assert refusal(made) == "broken_image", what


# Ends that are missing, cut, damaged or have something in them.


@pytest.mark.parametrize(
    "end",
    [
        b"",
        END[:3],
        END[:10],
        END[:-1] + b"!",
        chunk(b"IEND", SECRET),
        struct.pack(">I", 1000) + b"IEND" + SECRET,
        bytes(40),
        SECRET * 3,
        struct.pack(">I", 1000) + b"tEXt" + SECRET,
    ],
)
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_whatever_stands_for_the_end_chunk_the_picture_is_whole(end: bytes, interlaced: bool, bits: int) -> None:
    noise = pyvips.Image.gaussnoise(13, 9).cast("ushort" if bits > 8 else "uchar")
    data = clean(noise.pngsave_buffer(interlace=interlaced, bitdepth=bits, keep="none"))
    assert clean(data[:-12] + end) == data


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_without_an_end_chunk_a_picture_that_lacks_a_byte_is_broken(interlaced: bool, bits: int) -> None:
    noise = pyvips.Image.gaussnoise(13, 9).cast("ushort" if bits > 8 else "uchar")
    data = noise.pngsave_buffer(interlace=interlaced, bitdepth=bits, keep="none")
    picture = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[picture - 4 : picture])
    short = zlib.decompress(data[picture + 4 : picture + 4 + length])[:-1]
    assert refusal(data[: picture - 4] + chunk(b"IDAT", zlib.compress(short))) == "broken_image"


def several(data: bytes, parts: int) -> list[bytes]:
    """The picture data of a PNG in as many chunks."""
    start = data.index(b"IDAT") + 4
    packed = data[start : data.rindex(b"IEND") - 8]
    step = -(-len(packed) // parts)
    return [chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)]


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_picture_that_is_cut_between_its_chunks_is_broken(kept: int) -> None:
    data = pictures.png()
    whole = data[: data.index(b"IDAT") - 4] + b"".join(several(data, 5))
    cut = data[: data.index(b"IDAT") - 4] + b"".join(several(data, 5)[:kept])
    assert refusal(cut) == refusal(cut + struct.pack(">I", 1000) + b"tEXt" + SECRET) == "broken_image"
    assert clean(whole) == whole + END


def damaged(part: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return part[:-1] + bytes([part[-1] ^ 1])


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"tEXt", b"k\0" + SECRET),
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"tRNS", bytes(6)),
        chunk(b"pHYs", bytes(9)),
        chunk(b"eXIf", pictures.exif(6).tobytes()[6:]),
        chunk(b"prVt", SECRET),
    ],
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_chunk_with_a_wrong_checksum_goes_if_the_picture_can_do_without(part: bytes, before: bytes) -> None:
    data = pictures.png()
    assert clean(with_chunk(data, damaged(part), before)) == data


@pytest.mark.parametrize("other", [damaged(chunk(b"gAMA", struct.pack(">I", 45455))), chunk(b"gAMA", bytes(5))])
def test_a_damaged_chunk_does_not_stand_in_the_way_of_a_sound_one(other: bytes) -> None:
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    assert clean(with_chunk(pictures.png(), other + gamma)) == with_chunk(pictures.png(), gamma)


def test_a_suggested_palette_goes() -> None:
    data = pictures.png()
    assert clean(with_chunk(data, chunk(b"sPLT", SECRET + b"\0\x08" + bytes(6)))) == data


# The orientation.


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_of_a_picture_without_a_palette_a_palette_goes(mode: str) -> None:
    plain = pictures.png(pictures.noise(mode=mode))
    for part in (chunk(b"PLTE", SECRET + b"!"), chunk(b"hIST", SECRET)):
        assert clean(with_chunk(plain, part)) == plain


def test_colours_of_a_palette_that_no_pixel_can_have_go() -> None:
    plain = pictures.png(pictures.noise().quantize(16))
    size = int.from_bytes(plain[33:37], "big")
    assert (plain[37:41], plain[24], size) == (b"PLTE", 4, 48)
    longer = plain[:33] + chunk(b"PLTE", plain[41:89] + SECRET + b"!") + plain[93:]
    assert clean(longer) == plain


COLOUR = bytes([0, 1, 0, 2, 0, 3])


@pytest.mark.parametrize("part", [b"\0", b"\0\1"])
def test_transparency_that_is_too_short_does_not_stand_in_the_way_of_the_right_one(part: bytes) -> None:
    wanted = with_chunk(pictures.png(), chunk(b"tRNS", COLOUR))
    assert clean(with_chunk(wanted, chunk(b"tRNS", part), b"tRNS")) == wanted


def test_of_transparency_that_is_too_long_nothing_stays_but_its_length() -> None:
    plain, right = pictures.png(), chunk(b"tRNS", COLOUR)
    wanted = chunk(b"tRNS", COLOUR + bytes(len(SECRET)))
    for following in (b"", right):
        data = with_chunk(plain, chunk(b"tRNS", COLOUR + SECRET) + following)
        assert clean(data) == with_chunk(plain, wanted + following)


def test_transparency_of_a_picture_that_has_an_alpha_channel_goes() -> None:
    plain = pictures.png(pictures.noise(mode="RGBA"))
    assert clean(with_chunk(plain, chunk(b"tRNS", COLOUR))) == plain


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (chunk(b"gAMA", bytes(4)), chunk(b"gAMA", struct.pack(">I", 100_000))),
        (chunk(b"gAMA", b"\xff" * 4), chunk(b"gAMA", struct.pack(">I", 100_000))),
        (chunk(b"sRGB", b"\x09"), chunk(b"sRGB", b"\0")),
    ],
)
def test_a_value_that_one_browser_ignores_and_another_does_not_stays_with_the_next(first: bytes, second: bytes) -> None:
    data = with_chunk(pictures.png(), first + second)
    assert clean(data) == data
    assert clean(with_chunk(data, first)) == data


def turned_chunk(orientation: int) -> bytes:
    return chunk(b"eXIf", orientation_tiff(orientation))


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_the_orientation_stays_on_its_side_of_the_picture_data(before: bytes) -> None:
    data = with_chunk(pictures.png(), turned_chunk(6), before)
    assert clean(data) == data
    assert walk(data).shown == ((32, 48) if before == b"IDAT" else (48, 32))


def test_of_two_orientations_the_first_counts() -> None:
    data = with_chunk(pictures.png(), turned_chunk(6))
    assert clean(with_chunk(data, turned_chunk(3), b"IEND")) == data
    upright = with_chunk(with_chunk(pictures.png(), turned_chunk(1)), turned_chunk(6), b"IEND")
    assert clean(upright) == pictures.png()


# The colour profile.


def profile_chunk(packed: bytes, name: bytes = b"ICC Profile", method: bytes = b"\0") -> bytes:
    return chunk(b"iCCP", name + b"\0" + method + packed)


PROFILE = pictures.icc_profile()
PACKED = zlib.compress(PROFILE)
SOUND = profile_chunk(PACKED)


def with_profiles(*parts: bytes) -> bytes:
    return with_chunk(pictures.png(), b"".join(parts))


@pytest.mark.parametrize(
    "part",
    [
        profile_chunk(PACKED, SECRET),
        profile_chunk(zlib.compress(PROFILE + SECRET)),
        profile_chunk(PACKED + SECRET),
        profile_chunk(zlib.compress(PROFILE + SECRET) + SECRET, b"x" * 79),
    ],
)
def test_of_a_colour_profile_nothing_stays_but_the_profile_under_a_fixed_name(part: bytes) -> None:
    assert clean(with_profiles(part)) == with_profiles(SOUND)
    assert clean(with_profiles(SOUND)) == with_profiles(SOUND)


@pytest.mark.parametrize(
    "part",
    [
        profile_chunk(zlib.compress(SECRET * 30)),
        profile_chunk(zlib.compress(PROFILE[:-1])),
        profile_chunk(zlib.compress(PROFILE[:100])),
        profile_chunk(SECRET),
        profile_chunk(b""),
        profile_chunk(PACKED[: len(PACKED) // 2]),
        profile_chunk(PACKED, b""),
        profile_chunk(PACKED, method=b"\1"),
        chunk(b"iCCP", SECRET),
    ],
)
def test_what_is_no_colour_profile_goes(part: bytes) -> None:
    assert clean(with_profiles(part)) == pictures.png()


@pytest.mark.parametrize(
    "part", [damaged(SOUND), profile_chunk(PACKED[:-1] + b"!", SECRET), profile_chunk(PACKED[:-4], SECRET)]
)
def test_a_damaged_profile_stays_damaged_so_that_browsers_differ_as_before(part: bytes) -> None:
    """Firefox applies it, Chromium does not."""
    stored = clean(with_profiles(part))
    crc = bytes(255 - byte for byte in SOUND[-4:])
    assert stored == with_profiles(SOUND[:-4] + crc)
    assert clean(stored) == stored


def test_of_two_profiles_the_first_counts() -> None:
    other = PROFILE[:64] + bytes(4) + PROFILE[68:]
    assert clean(with_profiles(SOUND, profile_chunk(zlib.compress(other)))) == with_profiles(SOUND)
    crc = bytes(255 - byte for byte in SOUND[-4:])
    nothing = profile_chunk(zlib.compress(SECRET * 30))
    assert clean(with_profiles(nothing, SOUND)) == with_profiles(SOUND[:-4] + crc)


UNUSABLE = {
    "no profile": profile_chunk(zlib.compress(SECRET * 30)),
    "cut": profile_chunk(PACKED[: len(PACKED) // 2]),
    "not compressed": profile_chunk(SECRET),
    "empty": profile_chunk(b""),
    "no name": profile_chunk(PACKED, b""),
    "another method": profile_chunk(PACKED, method=b"\1"),
    "no name and no end of it": chunk(b"iCCP", SECRET),
}


@pytest.mark.parametrize("first", UNUSABLE.values(), ids=UNUSABLE)
def test_behind_a_profile_that_cannot_be_used_the_next_stays_for_firefox_alone(first: bytes) -> None:
    """Chromium looks at the first iCCP with a right CRC, and at no other."""
    for_firefox = with_profiles(SOUND[:-4] + bytes(255 - byte for byte in SOUND[-4:]))
    assert clean(with_profiles(first, SOUND)) == for_firefox
    assert clean(with_profiles(damaged(first), SOUND)) == with_profiles(SOUND)


def test_a_damaged_profile_stays_for_firefox_and_the_next_for_chromium() -> None:
    other = profile_chunk(zlib.compress(PROFILE[:64] + bytes(4) + PROFILE[68:]))
    both = with_profiles(other[:-4] + bytes(255 - byte for byte in other[-4:]), SOUND)
    assert clean(with_profiles(damaged(other), SOUND)) == both
    assert clean(both) == both


def test_a_profile_that_inflates_without_end_is_refused() -> None:
    bomb = profile_chunk(zlib.compress(PROFILE + bytes(100 << 20), 9))
    assert refusal(with_profiles(bomb)) == "broken_image"


# Animations that contradict themselves.


def frame(number: int, seed: int, still: bool = False) -> list[bytes]:
    """The chunks of a frame of 16 x 12, from this place in the sequence on."""
    packed = zlib.compress(pictures.noise(16 * 3 + 1, 12, "L", seed).point(lambda value: value & 3).tobytes())
    control = struct.pack(">IIIIIHHBB", number, 16, 12, 0, 0, 1, 10, 0, 0)
    data = chunk(b"IDAT", packed) if still else chunk(b"fdAT", struct.pack(">I", number + 1) + packed)
    return [chunk(b"fcTL", control), data]


def declaring(frames: int, plays: int = 0) -> bytes:
    return chunk(b"acTL", struct.pack(">II", frames, plays))


HEADER = pictures.png(pictures.noise(16, 12))[:33]
FIRST, SECOND, THIRD = frame(0, 1, still=True), frame(1, 2), frame(3, 3)


def animation(*parts: bytes | list[bytes]) -> bytes:
    return HEADER + b"".join(part if isinstance(part, bytes) else b"".join(part) for part in parts) + END


STILL = animation(FIRST[1])
THREE = animation(declaring(3), FIRST, SECOND, THIRD)
TWO = animation(declaring(2), FIRST, SECOND)


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([declaring(5), FIRST, SECOND, THIRD], THREE),
        ([declaring(0x7FFFFFFF), FIRST, SECOND, THIRD], THREE),
        ([declaring(2), FIRST, SECOND, THIRD], TWO),
        ([declaring(1), FIRST, SECOND, THIRD], animation(declaring(1), FIRST)),
        ([declaring(0), FIRST, SECOND, THIRD], STILL),
        ([declaring(0x80000000), FIRST, SECOND, THIRD], STILL),
        ([declaring(3), FIRST, SECOND, frame(4, 3)], TWO),
        ([declaring(3), FIRST, SECOND, frame(1, 3)], TWO),
        ([declaring(3), FIRST, THIRD, SECOND], animation(declaring(1), FIRST)),
        ([declaring(3), FIRST, SECOND, THIRD[0], frame(5, 3)[1]], TWO),
        ([declaring(3), FIRST, SECOND, THIRD, frame(9, 4)], THREE),
        ([declaring(3), declaring(3), FIRST, SECOND, THIRD], THREE),
        ([declaring(3), declaring(2, 7), FIRST, SECOND, THIRD], THREE),
        ([declaring(2), declaring(3), FIRST, SECOND, THIRD], TWO),
        ([declaring(0), declaring(3), FIRST, SECOND, THIRD], THREE),
        ([declaring(3), FIRST, declaring(3), SECOND, THIRD], THREE),
        ([chunk(b"acTL", SECRET), declaring(3), FIRST, SECOND, THIRD], THREE),
        ([chunk(b"acTL", SECRET), FIRST, SECOND, THIRD], STILL),
        ([FIRST, declaring(3), SECOND, THIRD], STILL),
        ([FIRST[1], declaring(2), frame(0, 2), frame(2, 3)], STILL),
        ([FIRST, SECOND, THIRD], STILL),
        ([damaged(declaring(3)), FIRST, SECOND, THIRD], STILL),
        ([damaged(declaring(3)), declaring(3), FIRST, SECOND, THIRD], THREE),
    ],
)
def test_those_frames_stay_that_browsers_play(parts: list[bytes | list[bytes]], wanted: bytes) -> None:
    assert clean(animation(*parts)) == wanted
    assert clean(wanted) == wanted
    assert walk(animation(*parts)).frames == max(1, wanted.count(b"fcTL"))


def test_a_header_of_an_animation_may_stand_behind_the_first_frame_s_control() -> None:
    data = animation(FIRST[0], declaring(3), FIRST[1], SECOND, THIRD)
    assert clean(data) == data
    assert walk(data).frames == 3


@pytest.mark.parametrize(
    "parts",
    [
        [declaring(2), FIRST[1]],
        [declaring(3), frame(1, 1, still=True), frame(2, 2), frame(4, 3)],
        [declaring(3), FIRST, SECOND, THIRD[0]],
        [declaring(3), FIRST, SECOND[0], frame(2, 3)],
        [declaring(3), FIRST, frame(0, 2)[1], frame(2, 3)],
        [declaring(3), FIRST, damaged(SECOND[0]), SECOND[1], THIRD],
        [declaring(3), FIRST, SECOND[0], damaged(SECOND[1]), THIRD],
    ],
)
def test_an_animation_of_which_browsers_do_not_show_the_same_is_broken(parts: list[bytes | list[bytes]]) -> None:
    assert refusal(animation(*parts)) == "broken_image"


def test_too_many_pixels_and_frames_are_refused_by_name() -> None:
    small = Limits(max_side=40, max_pixels=1000, max_total_pixels=1500, max_frames=3, max_scans=1)
    assert refusal(pictures.png(pictures.noise(48, 8)), small) == "too_many_pixels"
    frames = [pictures.noise(16, 16, seed=number) for number in range(4)]
    assert refusal(pictures.png(frames[0], save_all=True, append_images=frames[1:]), small) == "too_many_frames"
    frames = [pictures.noise(30, 30, seed=number) for number in range(2)]
    assert refusal(pictures.png(frames[0], save_all=True, append_images=frames[1:]), small) == "too_many_pixels"


def test_a_frame_counts_as_its_own_rectangle_and_the_copy_of_a_canvas() -> None:
    dot = b"".join(
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number, 1, 1, 0, 0, 1, 10, 0, 0))
        + chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + zlib.compress(bytes(4)))
        for number in range(2000)
    )
    assert walk(of_size(1200, 600) + dot + END).frames == 2000
    assert refusal(of_size(5000, 5000) + dot + END) == "too_many_pixels"
    assert refusal(of_size(100, 100) + dot + frame(4000, 1)[0] + END) == "too_many_frames"


def of_size(width: int, height: int) -> bytes:
    """The beginning of an animation of 2,000 frames, up to the still, which is none of them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return HEADER[:8] + header + declaring(2000) + chunk(b"IDAT", zlib.compress(b""))


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_a_damaged_file_is_cleaned_for_good_or_refused(data: st.DataObject, animated: bool) -> None:
    whole = pictures.apng(2) if animated else pictures.phone_png(image=pictures.noise(16, 16))
    once = None
    with contextlib.suppress(Fault):  # and nothing but a Fault
        once = clean(damage(data, whole))
    assert once is None or clean(once) == once


PARTS = [
    *(declaring(frames) for frames in (0, 1, 2, 3, 9)),
    *FIRST,
    *SECOND,
    *THIRD,
    SOUND,
    damaged(SOUND),
    profile_chunk(zlib.compress(SECRET * 30)),
    turned_chunk(6),
    damaged(turned_chunk(3)),
    chunk(b"sPLT", SECRET),
    END,
    b"\0",
    SECRET,
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_chunks_in_any_order_are_cleaned_for_good_or_refused(parts: list[bytes]) -> None:
    once = None
    with contextlib.suppress(Fault):
        once = clean(HEADER + b"".join(parts))
    if once is not None:
        assert clean(once) == once
        assert SECRET not in once
