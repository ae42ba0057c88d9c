"""GIF: what makes the pictures stays byte for byte, what tells of people goes, and no input does anything else."""

from __future__ import annotations

import csv
import io
import os
import struct
from functools import cache
from pathlib import Path

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageSequence

from iuserver.errors import Fault
from iuserver.imaging import gif
from iuserver.imaging.lzw import count_pixels
from iuserver.imaging.plan import Limits
from iuserver.imaging.source import Source
from tests import pictures
from tests.pictures import icc_profile

LIMITS = Limits(max_side=16384, max_pixels=50_000_000, max_total_pixels=200_000_000, max_frames=2000, max_scans=100)
MARKER = b"SECRET"
COLOURS = 128
PALETTE = bytes(value for index in range(COLOURS) for value in (2 * index, 255 - 2 * index, 37 * index % 256))
TRAILER = b";"


# A GIF is written block by block. With 7 bits a pixel and a clear code now and then, every LZW code is one byte.


def screen(width: int, height: int, version: bytes = b"89a", colours: bool = True) -> bytes:
    packed = 0xF6 if colours else 0
    return b"GIF" + version + struct.pack("<HHBBB", width, height, packed, 0, 0) + PALETTE * colours


def blocks(*parts: bytes) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def cut(data: bytes, size: int = 255) -> bytes:
    return blocks(*(data[start : start + size] for start in range(0, len(data), size)))


def pattern(count: int, colour: int) -> bytes:
    return bytes((colour + step) % COLOURS for step in range(count))


def lzw(pixels: bytes) -> bytes:
    return b"".join(b"\x80" + pixels[start : start + 100] for start in range(0, len(pixels), 100)) + b"\x81"


def image(
    left: int, top: int, width: int, height: int, colour: int = 0, table: bytes = b"", size: int = 7, data: bytes = b""
) -> bytes:
    head = struct.pack("<cHHHHB", b",", left, top, width, height, 0x86 if table else 0)
    return head + table + bytes([size]) + (data or cut(lzw(pattern(width * height, colour))))


def extension(label: int, *parts: bytes) -> bytes:
    return b"!" + bytes([label]) + blocks(*parts)


def control(delay: int = 5, transparent: int | None = None, disposal: int = 0) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return extension(0xF9, struct.pack("<BHB", flags, delay, transparent or 0))


def application(name: bytes, *parts: bytes) -> bytes:
    return extension(0xFF, name, *parts)


def loop(count: int, name: bytes = b"NETSCAPE2.0") -> bytes:
    return application(name, struct.pack("<BH", 1, count))


def comment() -> bytes:
    return extension(0xFE, b"by " + MARKER)


def plain_text() -> bytes:
    return extension(0x01, struct.pack("<HHHHBBBB", 0, 0, 80, 8, 8, 8, 1, 0), MARKER)


def xmp() -> bytes:
    packet = b'<?xpacket begin="\xef\xbb\xbf"?><x:xmpmeta>' + MARKER * 40 + b'</x:xmpmeta><?xpacket end="w"?>'
    return b"!\xff\x0bXMP DataXMP" + packet + b"\x01" + bytes(range(255, -1, -1)) + b"\0"


@cache
def profile() -> bytes:
    """Made once: it tells the second in which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


ICC_NAME = b"ICCRGBG1012"


def icc(data: bytes) -> bytes:
    return b"!\xff\x0b" + ICC_NAME + cut(data)


PLAIN = screen(16, 12) + image(0, 0, 16, 12) + TRAILER
ANIMATED = (
    screen(20, 10)
    + loop(3)
    + control(7)
    + image(0, 0, 20, 10)
    + control(11, transparent=3, disposal=1)
    + image(4, 2, 10, 5, 9, table=PALETTE[::-1])
    + control(0, transparent=5, disposal=2)
    + image(0, 0, 20, 10, 60)
    + TRAILER
)
TALKATIVE = (
    screen(20, 10)
    + comment()
    + xmp()
    + application(b"NETSCAPE2.0", struct.pack("<BH", 1, 3), b"\x02" + MARKER, MARKER)
    + icc(profile())
    + icc(profile())
    + application(b"ICCRGBG1012", MARKER * 10)
    + application(b"MGK8BIM0000", MARKER)
    + application(b"short", MARKER)
    + extension(0x77, MARKER)
    + control(7)
    + comment()
    + image(0, 0, 20, 10)
    + control(50)
    + plain_text()
    + extension(0xF9, struct.pack("<BHB", 5, 11, 3) + MARKER, MARKER)
    + xmp()
    + image(4, 2, 10, 5, 9, table=PALETTE[::-1])
    + control(33)
    + control(0, transparent=5, disposal=2)
    + image(0, 0, 20, 10, 60)
    + control(99)
    + comment()
    + TRAILER
    + MARKER
    + PLAIN
)
QUIET = (
    screen(20, 10)
    + loop(3)
    + icc(profile())
    + control(7)
    + image(0, 0, 20, 10)
    + control(11, transparent=3, disposal=1)
    + image(4, 2, 10, 5, 9, table=PALETTE[::-1])
    + control(0, transparent=5, disposal=2)
    + image(0, 0, 20, 10, 60)
    + TRAILER
)


def made_by_pillow() -> bytes:
    frames = [Image.effect_mandelbrot((60, 40), (-2, -1.5, 1, 1.5), quality) for quality in (10, 40, 90)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=[50, 120, 70], loop=2, comment=MARKER)
    return file.getvalue()


SAMPLES = [PLAIN, ANIMATED, TALKATIVE, QUIET, made_by_pillow()]


def strip(data: bytes, limits: Limits = LIMITS) -> bytes:
    source = Source(data)
    plan = gif.walk(source, limits)
    clean = b"".join(p if isinstance(p, bytes) else source.at(p[0], p[1] - p[0]) for p in plan.pieces)
    assert len(clean) == plan.size
    return clean


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Fault) as caught:
        gif.walk(Source(data), limits)
    return caught.value.code


def by_pillow(data: bytes) -> list[object]:
    with Image.open(io.BytesIO(data)) as opened:
        frames = [
            (frame.size, frame.info.get("duration"), frame.disposal_method, frame.convert("RGBA").tobytes())
            for frame in ImageSequence.Iterator(opened)
        ]
        return [opened.size, opened.info.get("loop"), frames]


def by_libvips(data: bytes) -> list[object]:
    picture = pyvips.Image.gifload_buffer(data, n=-1)
    facts = ("width", "height", "bands", "n-pages", "loop", "delay", "background")
    return [*(picture.get(name) for name in facts if picture.get_typeof(name)), picture.write_to_memory()]


@pytest.mark.parametrize("sample", SAMPLES)
def test_pixels_frames_durations_loops_and_transparency_are_the_same_to_pillow_and_to_libvips(sample):
    clean = strip(sample)
    assert by_pillow(clean) == by_pillow(sample)
    assert by_libvips(clean) == by_libvips(sample)


@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_of_what_is_removed_stays(sample):
    assert MARKER not in strip(sample)


@pytest.mark.parametrize("sample", SAMPLES)
def test_stripping_the_stripped_changes_nothing(sample):
    clean = strip(sample)
    assert strip(clean) == clean
    assert gif.walk(Source(clean), LIMITS).prefix == len(clean)


def test_everything_at_once_leaves_exactly_what_is_allowed():
    assert strip(TALKATIVE) == QUIET


def test_a_file_of_which_only_the_end_goes_is_planned_as_its_own_beginning():
    assert gif.walk(Source(ANIMATED + MARKER), LIMITS).prefix == len(ANIMATED)


@pytest.mark.parametrize("planted", [comment(), plain_text(), xmp(), application(b"unknown1234", MARKER)])
@pytest.mark.parametrize("place", ["after the screen", "between frames", "before the trailer", "before a control"])
def test_what_is_planted_anywhere_is_removed_without_a_trace(planted, place):
    start, first, second = screen(6, 6) + loop(0), control() + image(0, 0, 6, 6), control() + image(1, 1, 3, 3)
    end = control() + image(2, 2, 2, 2)
    parts = {
        "after the screen": [start, planted, first, second, end, TRAILER],
        "between frames": [start, first, planted, second, end, TRAILER],
        "before a control": [start, first, second, planted, end, TRAILER],
        "before the trailer": [start, first, second, end, planted, TRAILER],
    }[place]
    assert strip(b"".join(parts)) == start + first + second + end + TRAILER


def test_a_plan_says_what_libvips_and_pillow_see():
    plan = gif.walk(Source(ANIMATED), LIMITS)
    assert (plan.mime, plan.ext, plan.width, plan.height, plan.frames, plan.orientation) == (
        "image/gif",
        "gif",
        20,
        10,
        3,
        1,
    )


@pytest.mark.parametrize("version", [b"87a", b"89a"])
def test_both_versions_are_walked(version):
    data = screen(4, 4, version) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data


def test_a_picture_without_colour_tables_is_left_to_the_decoders():
    data = screen(4, 4, colours=False) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data


@pytest.mark.parametrize("size", range(14))
def test_a_code_size_is_accepted_from_one_to_eight(size):
    data = screen(1, 1) + image(0, 0, 1, 1, size=size, data=blocks(b"\x00" * 4)) + TRAILER
    if 1 <= size <= 8:
        assert strip(data) == data
    else:
        assert refusal(data) == "broken_image"


def test_an_extension_may_be_empty():
    data = screen(4, 4) + extension(0xFE) + extension(0x77) + extension(0xFF) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + image(0, 0, 4, 4) + TRAILER


# Graphic control


def test_of_two_graphic_controls_in_a_row_the_later_counts():
    data = screen(4, 4) + control(9) + comment() + control(5) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + control(5) + image(0, 0, 4, 4) + TRAILER


def test_a_graphic_control_before_plain_text_stays_for_the_next_image_as_decoders_have_it():
    data = screen(4, 4) + control(9) + plain_text() + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + control(9) + image(0, 0, 4, 4) + TRAILER


def test_a_graphic_control_of_one_frame_is_not_used_for_the_next():
    data = screen(4, 4) + control(9) + image(0, 0, 4, 4) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data


def test_a_graphic_control_without_an_image_goes():
    assert strip(screen(4, 4) + image(0, 0, 4, 4) + control() + TRAILER) == screen(4, 4) + image(0, 0, 4, 4) + TRAILER


@pytest.mark.parametrize("parts", [(b"\0\5\0\0more",), (b"\0\5\0\0", b"more")])
def test_a_graphic_control_that_is_too_long_keeps_its_four_bytes(parts):
    data = screen(4, 4) + extension(0xF9, *parts) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + control(5) + image(0, 0, 4, 4) + TRAILER


@pytest.mark.parametrize("parts", [(), (b"\0\5\0",), (b"\0", b"\5\0\0")])
def test_a_graphic_control_that_is_too_short_goes(parts):
    data = screen(4, 4) + extension(0xF9, *parts) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + image(0, 0, 4, 4) + TRAILER


# Application extensions


@pytest.mark.parametrize("name", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
def test_a_loop_count_stays_under_either_name(name):
    data = screen(4, 4) + loop(4, name) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data


def test_only_the_last_looping_extension_stays():
    data = screen(4, 4) + loop(4) + loop(7, b"ANIMEXTS1.0") + image(0, 0, 4, 4) + loop(8) + TRAILER
    assert strip(data) == screen(4, 4) + image(0, 0, 4, 4) + loop(8) + TRAILER


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (MARKER,),
        (b"\x01\x04",),
        (b"\x01\x04\0" + MARKER,),
        (b"\x02\x04\0",),
        (b"x" * 255, b"x" * 255, b"x" * 255, b"x" * 252, b"\x01\x04\0"),
    ],
)
def test_a_looping_extension_that_has_no_loop_count_goes_and_does_not_stand_in_the_way_of_another(parts):
    data = screen(4, 4) + application(b"NETSCAPE2.0", *parts) + loop(4) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + loop(4) + image(0, 0, 4, 4) + TRAILER


def test_of_a_looping_extension_only_the_loop_count_stays():
    data = screen(4, 4) + application(b"NETSCAPE2.0", b"\1\4\0", MARKER) + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + loop(4) + image(0, 0, 4, 4) + TRAILER


@pytest.mark.parametrize("parts", [(MARKER, b"\1\4\0"), (b"\2" + MARKER, b"\1\4\0", b"\1\5\0")])
def test_a_loop_count_that_chromium_does_not_heed_stays_behind_another_sub_block(parts):
    data = screen(4, 4) + application(b"NETSCAPE2.0", *parts) + image(0, 0, 4, 4) + TRAILER
    late = application(b"NETSCAPE2.0", b"\2" + bytes(4), b"\1\4\0")
    assert strip(data) == screen(4, 4) + late + image(0, 0, 4, 4) + TRAILER
    assert strip(strip(data)) == strip(data)


def test_an_application_name_of_another_length_is_not_known():
    data = screen(4, 4) + application(b"NETSCAPE2.0x", b"\1\4\0") + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == screen(4, 4) + image(0, 0, 4, 4) + TRAILER


@pytest.mark.parametrize("size", [1, 7, 30, 255])
def test_a_colour_profile_stays_however_it_is_cut(size):
    whole = b"!\xff\x0b" + ICC_NAME + cut(profile(), size)
    data = screen(4, 4) + whole + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data


@pytest.mark.parametrize("data", [b"", b"acsp", bytes(36) + b"ACSP" + bytes(88), bytes(35) + b"acsp" + bytes(88)])
def test_what_is_no_colour_profile_goes_and_does_not_stand_in_the_way_of_one(data):
    given_file = screen(4, 4) + icc(data) + icc(profile()) + image(0, 0, 4, 4) + TRAILER
    assert strip(given_file) == screen(4, 4) + icc(profile()) + image(0, 0, 4, 4) + TRAILER


# Sizes


@pytest.mark.parametrize("size", [(10, 10), (640, 480), (480, 640), (800, 600), (2048, 2048), (2049, 9), (9, 2049)])
@pytest.mark.parametrize("frame", [(0, 0, 8, 8), (3, 5, 8, 8), (0, 0, 2050, 4), (700, 600, 9, 9)])
def test_the_size_is_the_screen_made_larger_by_the_first_frame_as_in_chromium(size, frame):
    data = screen(*size) + control() + image(*frame) + control() + image(0, 0, 2, 2) + TRAILER
    plan = gif.walk(Source(data), LIMITS)
    assert (plan.width, plan.height) == (max(size[0], frame[0] + frame[2]), max(size[1], frame[1] + frame[3]))
    assert plan.frames == pyvips.Image.gifload_buffer(strip(data), n=-1).get("n-pages") == 2


def test_the_first_frame_may_make_the_picture_larger_as_it_does_in_both_decoders():
    data = screen(8, 8) + image(4, 4, 8, 8) + control() + image(2, 2, 10, 10) + TRAILER
    plan = gif.walk(Source(data), LIMITS)
    assert (plan.width, plan.height) == (12, 12) == by_pillow(data)[0]


@pytest.mark.parametrize("frame", [(1, 0, 8, 8), (0, 1, 8, 8), (9, 9, 1, 1), (0, 0, 700, 700), (60_000, 60_000, 1, 1)])
def test_a_later_frame_over_the_edge_stays_as_it_is_for_browsers_to_clip(frame):
    data = screen(8, 8) + image(0, 0, 8, 8) + control() + image(*frame, data=blocks(b"\x80\x81")) + TRAILER
    plan = gif.walk(Source(data), LIMITS)
    assert (plan.width, plan.height, plan.frames) == (8, 8, 2)
    assert strip(data) == data


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_a_screen_without_size_has_that_of_the_first_frame(size):
    data = screen(*size) + image(0, 0, 4, 4) + control() + image(0, 0, 9, 9) + TRAILER
    plan = gif.walk(Source(data), LIMITS)
    assert (plan.width, plan.height) == (4, 4)
    assert strip(data) == data


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_a_frame_without_size_stays_beside_another_and_is_no_picture_alone(size):
    data = screen(4, 4) + image(0, 0, *size) + control() + image(0, 0, 4, 4) + TRAILER
    assert strip(data) == data
    assert refusal(screen(4, 4) + image(0, 0, *size) + TRAILER) == "broken_image"


# Limits


def test_too_many_frames_are_refused_and_just_as_many_as_allowed_are_not():
    frame = control() + image(0, 0, 2, 2)
    assert gif.walk(Source(screen(2, 2) + 2000 * frame + TRAILER), LIMITS).frames == 2000
    assert refusal(screen(2, 2) + 2001 * frame + TRAILER) == "too_many_frames"


def test_a_frame_counts_as_its_own_rectangle_and_the_copy_of_a_canvas():
    small, whole = image(0, 0, 1, 1), image(0, 0, 2000, 2000, data=blocks(b"\x80\x81"))
    assert gif.walk(Source(screen(1200, 600) + 2000 * small + TRAILER), LIMITS).frames == 2000
    assert gif.walk(Source(screen(2000, 2000) + 799 * small + TRAILER), LIMITS).frames == 799
    assert refusal(screen(2000, 2000) + 801 * small + TRAILER) == "too_many_pixels"
    assert gif.walk(Source(screen(2000, 2000) + 47 * whole + TRAILER), LIMITS).frames == 47
    assert refusal(screen(2000, 2000) + 48 * whole + TRAILER) == "too_many_pixels"


@pytest.mark.parametrize("disposal", range(4))
def test_a_bomb_is_refused_before_the_rest_of_it_is_read(disposal):
    whole = control(5, None, disposal) + image(0, 0, 1200, 600, data=blocks(b"\x80\x81"))
    assert refusal(screen(1200, 600) + 300 * whole) == "too_many_pixels"
    assert refusal(screen(1, 1) + 2001 * image(0, 0, 1, 1)) == "too_many_frames"
    assert refusal(screen(5000, 5000) + 2000 * (control(5, None, disposal) + image(0, 0, 1, 1))) == "too_many_pixels"


@pytest.mark.parametrize("size", [(16385, 1), (1, 16385), (8000, 8000), (65535, 65535)])
def test_a_screen_of_too_many_pixels_is_refused_even_where_its_frames_are_small(size):
    assert refusal(screen(*size) + image(0, 0, 4, 4) + TRAILER) == "too_many_pixels"


@pytest.mark.parametrize("place", [(0, 0, 65535, 65535), (16384, 0, 1, 1), (16000, 16000, 10, 10)])
def test_a_frame_that_makes_the_picture_too_large_is_refused(place):
    frame = image(*place, data=blocks(b"\x80\x81"))
    assert refusal(screen(4, 4) + frame + TRAILER) == "too_many_pixels"


def test_a_later_frame_of_too_many_pixels_is_refused_though_it_would_be_clipped():
    frame = image(0, 0, 65535, 65535, data=blocks(b"\x80\x81"))
    assert refusal(screen(4, 4) + image(0, 0, 4, 4) + frame + TRAILER) == "too_many_pixels"


def test_a_file_of_nothing_but_extensions_is_refused_in_time():
    start, end = screen(4, 4), image(0, 0, 4, 4) + TRAILER
    assert strip(start + gif.MAX_EXTENSIONS * b"!\xfe\0" + end) == start + end
    assert refusal(start + (gif.MAX_EXTENSIONS + 1) * b"!\xfe\0" + end) == "broken_image"


# Broken files


@pytest.mark.parametrize("sample", [PLAIN, ANIMATED, QUIET, made_by_pillow()])
def test_a_beginning_of_a_file_is_refused_unless_it_ends_between_frames(sample):
    ends = {size for size in range(len(sample)) if outcome(sample[:size]) is not None}
    images = [place for place, _ in frames_of(sample)]
    stops = [stop for _, stop in frames_of(sample)]
    between = {
        size for stop, start in zip(stops, [*images[1:], len(sample)], strict=True) for size in range(stop, start + 10)
    }
    behind_the_last_pixel = {stop - missing for stop in stops for missing in range(1, 5)}
    between = {size for size in between if size < len(sample)}
    assert between | {stop - 1 for stop in stops} <= ends <= between | behind_the_last_pixel


def frames_of(data: bytes) -> list[tuple[int, int]]:
    """Where each image of a clean file begins and ends."""
    seen = gif._Walk()
    position = gif._screen(Source(data), seen, LIMITS)
    found = []
    while data[position : position + 1] != TRAILER:
        is_image = data[position : position + 1] == b","
        walked = (
            gif._image(Source(data), seen, LIMITS, position)
            if is_image
            else gif._extension(Source(data), seen, position)
        )
        assert walked
        found += [(position, walked)] if is_image else []
        position = walked
    return found


TWO = screen(4, 4) + loop(0) + control() + image(0, 0, 4, 4) + control() + image(0, 0, 4, 4, 9)


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"\0",
        b"\0\0\0" + TRAILER,
        b"X" + MARKER + TRAILER,
        b"!",
        b"!\xfe\x50" + MARKER,
        control()[:4],
        b"," + bytes(5),
        b"\0" + control() + image(0, 0, 4, 4, 20) + MARKER + TRAILER,
    ],
)
def test_what_is_no_block_or_a_cut_one_ends_the_file_as_in_browsers(rest):
    assert strip(TWO + rest) == TWO + TRAILER


@pytest.mark.parametrize("rest", [b"\0", b"X", b"", b"!\xfe\x50", b"," + bytes(3)])
def test_a_file_that_ends_before_its_first_frame_has_no_picture(rest):
    assert refusal(screen(4, 4) + loop(0) + rest) == "broken_image"


def test_a_file_that_is_cut_in_a_frame_is_refused_by_the_number_of_the_frame():
    with pytest.raises(Fault, match="in the middle of frame 3"):
        gif.walk(Source(TWO + image(0, 0, 4, 4)[:-4]), LIMITS)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_file_that_is_cut_behind_its_last_pixel_gets_the_end_of_its_blocks(missing):
    data = strip(pictures.gif(pictures.noise(40, 30, "L")))
    clean = strip(data[: -1 - missing])
    assert by_pillow(clean) == by_pillow(data)
    assert strip(clean) == clean
    assert refusal(data[:-9]) == "broken_image"


@pytest.mark.parametrize("codes", [b"\x80\x00\x82\x83\x84", b"\x80\x00\x83", b"\x80\x82", b"\x80\x00\x81" + bytes(9)])
def test_codes_that_make_no_sense_make_no_pixels(codes):
    assert count_pixels(codes, 7, 10) == {5: 1 + 2 + 3 + 4, 3: 1, 2: 0, 12: 1}[len(codes)]


@pytest.mark.parametrize("side", [1, 3, 40, 300])
@pytest.mark.parametrize("mode", ["1", "L"])
def test_codes_are_counted_as_pillow_writes_them(side, mode):
    data = strip(pictures.gif(pictures.noise(side, side, "L").convert(mode)))
    start = data.index(b"," + bytes(4)) + 10
    packed = b"".join(gif._sub_blocks(Source(data), (start + 1 - gif.APPLICATION_DATA, len(data)), len(data)))
    assert count_pixels(packed, data[start], 1 << 40) == side * side


def test_bytes_behind_a_profile_go():
    assert strip(TWO + icc(icc_profile() + MARKER * 60) + TRAILER) == TWO + icc(icc_profile()) + TRAILER


@pytest.mark.parametrize(
    "data",
    [
        screen(4, 4) + TRAILER,
        screen(4, 4) + loop(1) + control() + TRAILER,
        screen(4, 4) + image(0, 0, 4, 4, data=b"\0") + TRAILER,
        screen(4, 4) + image(0, 0, 4, 4, data=b"\xff" + bytes(10)) + TRAILER,
        screen(4, 4, b"88a") + image(0, 0, 4, 4) + TRAILER,
    ],
    ids=[
        "nothing but a screen",
        "no image",
        "no picture data",
        "picture data cut short",
        "an unknown version",
    ],
)
def test_a_file_that_contradicts_its_specification_is_refused(data):
    assert refusal(data) == "broken_image"


def outcome(data: bytes) -> bytes | None:
    try:
        return strip(data)
    except Fault:
        return None


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 1 << 16), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.integers(1, 300)),
        st.tuples(st.just("copy"), st.integers(0, 1 << 16), st.integers(1, 1200)),
        st.tuples(st.just("insert"), st.integers(0, 1 << 16), st.sampled_from([b"!\xf9", b"\0", comment(), control()])),
    ),
    min_size=1,
    max_size=6,
)


def changed(data: bytes, changes: list[tuple[str, int, int | bytes]], other: bytes) -> bytes:
    for kind, place, what in changes:
        at = place % (len(data) + 1)
        if kind == "flip":
            data = data[:at] + bytes([what]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + what :]
        elif kind == "copy":
            start = place * 7 % len(other)
            data = data[:at] + other[start : start + what] + data[at:]
        else:
            data = data[:at] + what + data[at:]
    return data


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), CHANGES, st.sampled_from(SAMPLES))
def test_whatever_is_changed_ends_in_a_clean_file_or_a_fault(sample, changes, other):
    clean = outcome(changed(sample, changes, other))
    assert clean is None or strip(clean) == clean


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_after_a_screen_end_in_a_clean_file_or_a_fault(data):
    clean = outcome(screen(9, 9) + image(0, 0, 9, 9) + data)
    assert clean is None or strip(clean) == clean


# Real files


def corpus() -> list[tuple[str, str]]:
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        return []
    with (Path(folder) / "MANIFEST.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["file"], row["expected"]) for row in rows if row["file"].startswith(("gif", "bomb_gif"))]


@pytest.mark.parametrize(("name", "expected"), corpus())
def test_a_real_file_is_accepted_or_refused_as_it_should_be(name, expected):
    data = (Path(os.environ["TEST_CORPUS"]) / name).read_bytes()
    if expected == "reject-400":
        assert refusal(data) in ("broken_image", "too_many_pixels", "too_many_frames")
        return
    clean = strip(data)
    assert strip(clean) == clean
    assert by_pillow(clean) == by_pillow(data)
    assert by_libvips(clean) == by_libvips(data)
