"""WebP: what is kept, what goes, what is refused."""

from __future__ import annotations

import csv
import functools
import io
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from iuserver.errors import Fault
from iuserver.imaging import webp
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source, opened
from tests.pictures import orientation_tiff

LIMITS = Limits(max_side=16384, max_pixels=50_000_000, max_total_pixels=200_000_000, max_frames=2000, max_scans=100)
MARK = b"planted where nobody looks"
WIDTH, HEIGHT = 40, 30
ICC, ALPHA, EXIF, XMP, ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02


# Files, made here or by Pillow, and taken apart and put together again.


def clean(data: bytes, limits: Limits = LIMITS) -> tuple[Plan, bytes]:
    source = Source(data)
    plan = webp.walk(source, limits)
    pieces = (piece if isinstance(piece, bytes) else source.at(piece[0], piece[1] - piece[0]) for piece in plan.pieces)
    return plan, b"".join(pieces)


def cleaned(data: bytes) -> bytes:
    return clean(data)[1]


def fault_of(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Fault) as caught:
        webp.walk(Source(data), limits)
    return caught.value.code


def chunk(kind: bytes, data: bytes, pad: bytes = b"\0") -> bytes:
    return kind + struct.pack("<I", len(data)) + data + (pad if len(data) & 1 else b"")


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def int24(number: int) -> bytes:
    return number.to_bytes(3, "little")


def vp8x(flags: int, width: int = WIDTH, height: int = HEIGHT, reserved: bytes = b"\0\0\0", tail: bytes = b"") -> bytes:
    return chunk(b"VP8X", bytes([flags]) + reserved + int24(width - 1) + int24(height - 1) + tail)


def anmf(
    *parts: bytes, at: tuple[int, int] = (0, 0), size: tuple[int, int] = (WIDTH, HEIGHT), bits: int = 0, more: int = 0
) -> bytes:
    place = int24(at[0] // 2) + int24(at[1] // 2) + int24(size[0] - 1) + int24(size[1] - 1)
    whole = chunk(b"ANMF", place + int24(70) + bytes([bits]) + b"".join(parts))
    return whole[:4] + struct.pack("<I", len(whole) - 8 + more) + whole[8:]


def parts(data: bytes, start: int = 12) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, data and padding of every chunk; those of an ANMF follow it."""
    while start < len(data):
        (length,) = struct.unpack_from("<I", data, start + 4)
        stop = start + 8 + length
        yield data[start : start + 4], data[start + 8 : stop], data[stop : stop + (length & 1)]
        if data[start : start + 4] == b"ANMF":
            yield from parts(data[:stop], start + 24)
        start = stop + (length & 1)


def part(data: bytes, kind: bytes) -> bytes:
    return next(body for name, body, _ in parts(data) if name == kind)


def kinds(data: bytes) -> list[bytes]:
    return [kind for kind, _, _ in parts(data)]


def drawing(mode: str = "RGB", shift: int = 0) -> Image.Image:
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert(mode)
    draw = ImageDraw.Draw(image)
    draw.ellipse((shift, 5, shift + 20, 25), fill=(200, 30, 90, 120)[: len(mode)])
    return image


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


@functools.cache
def profile() -> bytes:
    return bytes(pyvips.Image.profile_load("srgb"))


@functools.cache
def samples() -> dict[str, bytes]:
    """Valid files of every kind, some with metadata in them."""
    opaque, transparent = drawing(), drawing("RGBA")
    lossy, lossless = part(saved(opaque), b"VP8 "), part(saved(transparent, lossless=True), b"VP8L")
    alpha, under = part(saved(transparent), b"ALPH"), part(saved(transparent), b"VP8 ")
    frames: dict[str, Any] = {"save_all": True, "append_images": [drawing("RGBA", 8), drawing("RGBA", 16)]}
    frames |= {"duration": [40, 50, 60], "loop": 3, "background": (1, 2, 3, 4)}
    exif = orientation_tiff(6)
    return {
        "lossy": saved(opaque),
        "lossless": saved(transparent, lossless=True),
        "alpha": saved(transparent),
        "profile": saved(opaque, icc_profile=profile()),
        "everything": saved(transparent, icc_profile=profile(), exif=exif, xmp=MARK),
        "animation": saved(transparent, **frames),
        "animation with everything": saved(
            transparent, **frames, lossless=True, icc_profile=profile(), exif=exif, xmp=MARK
        ),
        "small frames": riff(
            vp8x(ALPHA | ANIMATION, 100, 90),
            chunk(b"ANIM", b"\x04\x03\x02\x01\x05\0"),
            anmf(chunk(b"VP8 ", lossy), at=(60, 60)),
            anmf(chunk(b"ALPH", alpha), chunk(b"VP8 ", under), at=(2, 4), bits=3),
            anmf(chunk(b"VP8L", lossless), at=(20, 10), bits=1),
        ),
        "odd lengths": riff(vp8x(0), chunk(b"VP8 ", lossy + b"\0" * (1 - len(lossy) % 2))),
        "raw alpha": riff(vp8x(ALPHA), chunk(b"ALPH", b"\0" + bytes(range(240)) * 5), chunk(b"VP8 ", under)),
    }


NAMES = (
    "lossy",
    "lossless",
    "alpha",
    "profile",
    "everything",
    "animation",
    "animation with everything",
    "small frames",
    "odd lengths",
    "raw alpha",
)


def pieces_of_lossy() -> tuple[bytes, bytes, bytes]:
    """VP8, and ALPH with the VP8 that belongs to it, as chunks."""
    alpha = samples()["alpha"]
    return (
        chunk(b"VP8 ", part(samples()["lossy"], b"VP8 ")),
        chunk(b"ALPH", part(alpha, b"ALPH")),
        chunk(b"VP8 ", part(alpha, b"VP8 ")),
    )


def seen_by_pillow(data: bytes) -> list[Any]:
    image = Image.open(io.BytesIO(data))
    kept = [image.size, image.mode, image.info.get("loop"), image.info.get("background")]
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        kept.append((image.tobytes(), image.info.get("duration")))
    return kept


def seen_by_libvips(data: bytes) -> list[Any]:
    image = pyvips.Image.webpload_buffer(data, n=-1)
    fields = ("page-height", "n-pages", "delay", "loop", "background")
    kept = [image.get(name) if image.get_typeof(name) else None for name in fields]
    return [image.width, image.height, image.bands, bytes(image.write_to_memory()), *kept]


# What is recognised.


def test_a_webp_is_recognised_by_riff_and_webp_whatever_its_size_field_says() -> None:
    assert webp.recognises(b"RIFF\xff\xff\xff\xffWEBPVP8 ")
    assert webp.recognises(samples()["lossy"][:16])


@pytest.mark.parametrize("head", [b"", b"RIFF", b"RIFF1234WAVEfmt ", b"RIFX1234WEBPVP8 ", b"\0RIFF1234WEBPVP8"])
def test_other_beginnings_are_not_recognised(head: bytes) -> None:
    assert not webp.recognises(head)


# What is kept.


@pytest.mark.parametrize("name", NAMES)
def test_pixels_frames_durations_loop_and_background_stay_as_they_were(name: str) -> None:
    before, after = samples()[name], cleaned(samples()[name])
    assert seen_by_pillow(after) == seen_by_pillow(before)
    assert seen_by_libvips(after) == seen_by_libvips(before)


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_tells_the_size_and_the_frames_that_libvips_sees(name: str) -> None:
    plan, _ = clean(samples()[name])
    image = pyvips.Image.webpload_buffer(samples()[name], n=-1)
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    height = image.get("page-height") if image.get_typeof("page-height") else image.height
    assert (plan.mime, plan.ext) == ("image/webp", "webp")
    assert (plan.width, plan.height, plan.frames) == (image.width, height, frames)


@pytest.mark.parametrize("name", ["profile", "everything", "animation with everything"])
def test_the_icc_profile_stays_byte_for_byte(name: str) -> None:
    after = cleaned(samples()[name])
    assert part(after, b"ICCP") == profile()
    assert part(after, b"VP8X")[0] & ICC
    assert Image.open(io.BytesIO(after)).info["icc_profile"] == profile()


def test_bytes_behind_the_size_that_a_profile_tells_go() -> None:
    vp8, _, _ = pieces_of_lossy()
    for tail in (MARK, MARK + b"."):
        dirty = riff(vp8x(ICC), chunk(b"ICCP", profile() + tail), vp8)
        assert cleaned(dirty) == riff(vp8x(ICC), chunk(b"ICCP", profile()), vp8)


@pytest.mark.parametrize("name", NAMES)
def test_cleaning_what_is_clean_changes_nothing_and_keeps_one_single_range(name: str) -> None:
    once = cleaned(samples()[name])
    plan, twice = clean(once)
    assert twice == once
    assert plan.pieces == ((0, len(once)),)


def test_where_only_the_end_goes_the_clean_file_is_a_prefix_of_the_input() -> None:
    data = samples()["small frames"]
    assert clean(data + MARK)[0].prefix == len(data)


def test_a_header_that_nothing_needs_any_more_stays() -> None:
    vp8, _, _ = pieces_of_lossy()
    assert cleaned(riff(vp8x(XMP), vp8, chunk(b"XMP ", MARK))) == riff(vp8x(0), vp8)


def test_the_alpha_flag_stays_as_it_was_for_decoders_go_by_it() -> None:
    vp8, alpha, under = pieces_of_lossy()
    for data in (riff(vp8x(ALPHA), vp8), riff(vp8x(0), alpha, under)):
        assert cleaned(data) == data


def test_colour_profile_and_animation_header_are_put_where_the_rfc_wants_them() -> None:
    vp8, _, _ = pieces_of_lossy()
    anim, icc, frame = chunk(b"ANIM", bytes(6)), chunk(b"ICCP", profile()), anmf(vp8)
    flags = ICC | ANIMATION
    assert cleaned(riff(vp8x(flags), anim, icc, frame)) == riff(vp8x(flags), icc, anim, frame)


def test_a_hundred_megabytes_that_go_are_never_read(tmp_path: Path) -> None:
    data = samples()["everything"]
    path = tmp_path / "large"
    path.write_bytes(data)
    os.truncate(path, len(data) + 100_000_000)
    with opened(str(path)) as source:
        plan, without = webp.walk(source, LIMITS), clean(data)[0]
        assert plan == replace(without, removed=without.removed | {"trailer"})


# What goes.


def planted() -> dict[str, tuple[bytes, bytes]]:
    """Where something is planted: the file with it, and the file that must come out."""
    vp8, alpha, under = pieces_of_lossy()
    exif, xmp, unknown = chunk(b"EXIF", MARK), chunk(b"XMP ", MARK), chunk(b"note", MARK)
    icc, anim, frame = chunk(b"ICCP", profile()), chunk(b"ANIM", b"\1\2\3\4\5\0"), anmf(vp8)
    header, animated = vp8x(ALPHA), vp8x(ALPHA | ANIMATION)
    still, animation, simple = riff(header, alpha, under), riff(animated, anim, frame, frame), riff(vp8)
    raw = bytes(1 + WIDTH * HEIGHT)
    return {
        "EXIF": (riff(vp8x(ALPHA | EXIF), alpha, under, exif), still),
        "XMP": (riff(vp8x(ALPHA | XMP), alpha, under, xmp), still),
        "both": (riff(vp8x(ALPHA | EXIF | XMP), alpha, under, exif, xmp), still),
        "EXIF and XMP before the picture": (riff(vp8x(ALPHA | EXIF | XMP), xmp, exif, alpha, under), still),
        "EXIF and XMP that no flag announces": (riff(header, alpha, under, exif, xmp), still),
        "an unknown chunk before": (riff(header, unknown, alpha, under), still),
        "an unknown chunk between": (riff(header, alpha, unknown, under), still),
        "an unknown chunk after": (riff(header, alpha, under, unknown), still),
        "after a simple file's picture": (riff(vp8, exif, unknown), simple),
        "a second picture of a simple file": (riff(vp8, chunk(b"VP8L", MARK), vp8), simple),
        "a header behind a simple file's picture": (riff(vp8, vp8x(EXIF, tail=MARK), exif), simple),
        "behind the RIFF chunk": (still + MARK, still),
        "a second file behind": (still + riff(unknown), still),
        "behind the header's fields": (riff(vp8x(ALPHA, tail=MARK), alpha, under), still),
        "behind the animation header's fields": (
            riff(animated, chunk(b"ANIM", b"\1\2\3\4\5\0" + MARK), frame, frame),
            animation,
        ),
        "a second animation header": (riff(animated, anim, frame, chunk(b"ANIM", b"\0" * 6 + MARK), frame), animation),
        "an animation header in a still": (riff(header, chunk(b"ANIM", b"\0" * 6 + MARK), alpha, under), still),
        "behind uncompressed alpha": (
            riff(header, chunk(b"ALPH", raw + MARK), under),
            riff(header, chunk(b"ALPH", raw), under),
        ),
        "between frames": (riff(animated, anim, frame, unknown, exif, frame, xmp), animation),
        "before the animation header": (riff(animated, unknown, anim, frame, frame), animation),
        "in a frame before": (riff(animated, anim, anmf(unknown, vp8), frame), animation),
        "in a frame between": (
            riff(animated, anim, anmf(alpha, unknown, under)),
            riff(animated, anim, anmf(alpha, under)),
        ),
        "in a frame after": (riff(animated, anim, frame, anmf(vp8, unknown, exif)), animation),
        "a colour profile that is none": (riff(vp8x(ALPHA | ICC), chunk(b"ICCP", MARK * 9), alpha, under), still),
        "a short colour profile": (riff(vp8x(ALPHA | ICC), chunk(b"ICCP", MARK), alpha, under), still),
        "a colour profile that no flag announces": (
            riff(header, chunk(b"ICCP", profile() + MARK), alpha, under),
            still,
        ),
        "a colour profile behind": (
            riff(vp8x(ALPHA | ICC), alpha, under, chunk(b"ICCP", profile() + MARK)),
            riff(vp8x(ALPHA | ICC), icc, alpha, under),
        ),
        "a colour profile in the picture": (
            riff(vp8x(ALPHA | ICC), alpha, chunk(b"ICCP", profile() + MARK), under),
            riff(vp8x(ALPHA | ICC), icc, alpha, under),
        ),
        "a second colour profile": (
            riff(vp8x(ALPHA | ICC), icc, chunk(b"ICCP", profile() + MARK), alpha, under),
            riff(vp8x(ALPHA | ICC), icc, alpha, under),
        ),
    }


@pytest.mark.parametrize("place", planted())
def test_whatever_is_planted_goes_and_the_rest_is_as_without_it(place: str) -> None:
    data, expected = planted()[place]
    assert MARK in data or b"note" in data
    assert cleaned(data) == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_clean_file_has_metadata_in_it(name: str) -> None:
    after = cleaned(samples()[name])
    assert MARK not in after
    assert set(kinds(after)) <= {b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF"}
    assert part(after, b"EXIF") == orientation_tiff(6) if b"EXIF" in kinds(after) else True


def test_reserved_bits_are_zero_afterwards() -> None:
    vp8, alpha, under = pieces_of_lossy()
    marked = chunk(b"ALPH", bytes([alpha[8] | 0xC0]) + part(samples()["alpha"], b"ALPH")[1:])
    data = riff(vp8x(ALPHA | 0xC1, reserved=b"abc"), marked, under)
    assert cleaned(data) == riff(vp8x(ALPHA), alpha, under)
    frames = riff(vp8x(ANIMATION | 0xC1), chunk(b"ANIM", bytes(6)), anmf(vp8, bits=0xFE))
    assert cleaned(frames) == riff(vp8x(ANIMATION), chunk(b"ANIM", bytes(6)), anmf(vp8, bits=2))


def test_padding_is_zero_afterwards() -> None:
    lossy = part(samples()["odd lengths"], b"VP8 ")
    dirty, tidy = chunk(b"VP8 ", lossy, b"X"), chunk(b"VP8 ", lossy)
    odd = len(profile()) + 1 - len(profile()) % 2
    icc = odd.to_bytes(4, "big") + profile()[4:] + b"\0" * (odd - len(profile()))
    anim = chunk(b"ANIM", bytes(6))
    assert cleaned(riff(dirty)) == riff(tidy)
    assert cleaned(riff(vp8x(ICC), chunk(b"ICCP", icc, b"X"), dirty)) == riff(vp8x(ICC), chunk(b"ICCP", icc), tidy)
    assert cleaned(riff(vp8x(ANIMATION), anim, anmf(dirty))) == riff(vp8x(ANIMATION), anim, anmf(tidy))


def test_padding_is_zero_afterwards_even_where_a_decoder_would_read_on_into_it() -> None:
    vp8l = part(samples()["lossless"], b"VP8L").rstrip(b"\0")
    vp8l += b"\1" * (len(vp8l) % 2)
    short = riff(chunk(b"VP8L", vp8l[:-1], vp8l[-1:]))
    assert cleaned(short) == short[:-1] + b"\0"


def test_flags_say_afterwards_what_is_there() -> None:
    vp8, _, _ = pieces_of_lossy()
    assert cleaned(riff(vp8x(ICC | EXIF | XMP), vp8)) == riff(vp8x(0), vp8)


# Which way up.


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(2, 9))
def test_an_orientation_stays_and_nothing_else_of_the_exif(turn: int, order: str, prefix: bytes) -> None:
    vp8, _, _ = pieces_of_lossy()
    letters = {"<": b"II", ">": b"MM"}[order]
    tiff = letters + struct.pack(order + "HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, turn, 0) + b"\0\0\0\0" + MARK
    plan, after = clean(riff(vp8x(EXIF | XMP), vp8, chunk(b"XMP ", MARK), chunk(b"EXIF", prefix + tiff)))
    assert after == riff(vp8x(EXIF), vp8, chunk(b"EXIF", orientation_tiff(turn)))
    assert plan.shown == (WIDTH, HEIGHT)  # browsers turn no WebP
    assert pyvips.Image.webpload_buffer(after).get("orientation") == turn
    assert dict(Image.open(io.BytesIO(after)).getexif()) == {0x0112: turn}


@pytest.mark.parametrize(("kind", "count"), [(1, 1), (3, 2), (4, 1), (9, 1)])
def test_an_orientation_of_another_type_stays_as_it_stood(kind: int, count: int) -> None:
    vp8, _, _ = pieces_of_lossy()
    odd = chunk(b"EXIF", orientation_tiff(6, kind, count))
    assert cleaned(riff(vp8x(EXIF), vp8, odd)) == riff(vp8x(EXIF), vp8, odd)


def test_the_orientation_of_an_animation_comes_after_its_frames() -> None:
    after = cleaned(samples()["animation with everything"])
    assert kinds(after)[:3] == [b"VP8X", b"ICCP", b"ANIM"]
    assert kinds(after)[-1] == b"EXIF"


def test_an_exif_chunk_before_the_picture_is_moved_behind_it() -> None:
    vp8, _, _ = pieces_of_lossy()
    exif = chunk(b"EXIF", orientation_tiff(3))
    assert cleaned(riff(vp8x(EXIF), exif, vp8)) == riff(vp8x(EXIF), vp8, exif)


def test_an_upright_picture_keeps_no_exif() -> None:
    vp8, _, _ = pieces_of_lossy()
    plan, after = clean(riff(vp8x(EXIF), vp8, chunk(b"EXIF", orientation_tiff(1))))
    assert after == riff(vp8x(0), vp8)
    assert plan.orientation == 1


def test_only_the_first_exif_chunk_counts_and_only_where_the_flags_announce_it() -> None:
    vp8, _, _ = pieces_of_lossy()
    upright, turned = (chunk(b"EXIF", orientation_tiff(turn)) for turn in (1, 6))
    assert cleaned(riff(vp8x(EXIF), vp8, upright, turned)) == riff(vp8x(0), vp8)
    assert cleaned(riff(vp8x(0), vp8, turned)) == riff(vp8x(0), vp8)


def test_an_orientation_in_xmp_or_in_a_simple_file_or_in_a_frame_turns_nothing() -> None:
    vp8, _, _ = pieces_of_lossy()
    turned = chunk(b"EXIF", orientation_tiff(6))
    xmp = chunk(b"XMP ", b'<rdf:Description tiff:Orientation="6"/>')
    frames = riff(vp8x(ANIMATION | EXIF), chunk(b"ANIM", bytes(6)), anmf(vp8, turned))
    for data in (riff(vp8x(XMP), vp8, xmp), riff(vp8, turned), frames):
        plan, after = clean(data)
        assert plan.orientation == 1
        assert b"EXIF" not in kinds(after)


@pytest.mark.parametrize("name", ["everything", "animation with everything"])
def test_exiftool_finds_the_orientation_and_nothing_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / "clean.webp"
    path.write_bytes(cleaned(samples()[name]))
    command = ["exiftool", "-a", "-ee", "-G1", "-s", "-ExifIFD:all", "-IFD0:all", "-XMP:all", "-GPS:all", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in told.splitlines()] == ["Orientation"]


# What is refused.


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_has_been_cut_short_is_refused(name: str) -> None:
    data = samples()[name]
    for length in range(len(data)):
        assert fault_of(data[:length]) == "broken_image", length


def with_first_partition(vp8: bytes, length: int) -> bytes:
    """The chunk, its frame header telling another length of the first partition."""
    bits = int.from_bytes(vp8[8:11], "little") & 0x1F | length << 5
    return vp8[:8] + int24(bits) + vp8[11:]


def broken_files() -> dict[str, bytes]:
    vp8, alpha, under = pieces_of_lossy()
    vp8l = chunk(b"VP8L", part(samples()["lossless"], b"VP8L"))
    unknown, anim, frame = chunk(b"note", b"12"), chunk(b"ANIM", bytes(6)), anmf(vp8)
    header, animated = vp8x(0), vp8x(ANIMATION)
    return {
        "another beginning": b"RIFX" + riff(vp8)[4:],
        "no chunk at all": riff(),
        "a RIFF size of nothing": b"RIFF\0\0\0\0WEBP" + vp8,
        "the largest RIFF size": b"RIFF\xff\xff\xff\xffWEBP" + vp8,
        "an unknown chunk first": riff(unknown, vp8),
        "alpha first": riff(alpha, under),
        "frames without a header": riff(anim, frame),
        "only a header": riff(header),
        "only a header and metadata": riff(vp8x(EXIF), chunk(b"EXIF", b"12")),
        "a short header": riff(chunk(b"VP8X", bytes(9)), vp8),
        "two headers": riff(header, header, vp8),
        "another canvas": riff(vp8x(0, WIDTH + 1), vp8),
        "two pictures": riff(header, vp8, vp8),
        "two pictures of two kinds": riff(header, vp8, unknown, vp8l),
        "a frame in a still": riff(header, vp8, frame),
        "only frames in a still": riff(header, anim, frame),
        "alpha alone": riff(vp8x(ALPHA), alpha),
        "alpha twice": riff(vp8x(ALPHA), alpha, alpha, under),
        "alpha behind its picture": riff(vp8x(ALPHA), under, alpha),
        "alpha with a lossless picture": riff(vp8x(ALPHA), alpha, vp8l),
        "empty alpha": riff(vp8x(ALPHA), chunk(b"ALPH", b""), under),
        "alpha of one byte": riff(vp8x(ALPHA), chunk(b"ALPH", b"\1"), under),
        "alpha of an unknown compression": riff(vp8x(ALPHA), chunk(b"ALPH", b"\2" + bytes(2000)), under),
        "alpha of an unknown preprocessing": riff(vp8x(ALPHA), chunk(b"ALPH", b"\x20" + bytes(2000)), under),
        "too little alpha": riff(vp8x(ALPHA), chunk(b"ALPH", bytes(WIDTH * HEIGHT)), under),
        "frames without their header": riff(animated, frame),
        "frames before their header": riff(animated, frame, anim),
        "a short animation header": riff(animated, chunk(b"ANIM", bytes(5)), frame),
        "an animation without frames": riff(animated, anim),
        "an animation with a picture outside": riff(animated, anim, frame, vp8),
        "an animation that is a still": riff(animated, vp8),
        "a short frame": riff(animated, anim, chunk(b"ANMF", bytes(15))),
        "an empty frame": riff(animated, anim, frame, anmf(), frame),
        "a frame with alpha alone": riff(animated, anim, anmf(alpha)),
        "a frame with two pictures": riff(animated, anim, anmf(vp8, vp8)),
        "a frame with alpha behind its picture": riff(animated, anim, anmf(under, alpha)),
        "a frame over the right edge": riff(animated, anim, anmf(vp8, at=(2, 0))),
        "a frame over the lower edge": riff(animated, anim, anmf(vp8, at=(0, 2))),
        "a frame of another size than its picture": riff(animated, anim, anmf(vp8, size=(WIDTH - 2, HEIGHT))),
        "a chunk that is larger than its frame": riff(animated, anim, anmf(vp8, more=-4), frame),
        "a frame with something left over": riff(animated, anim, anmf(vp8, b"1234")),
        "something left over": riff(vp8, b"1234"),
        "one byte left over": riff(vp8, b"\0"),
        "a chunk that is larger than the file": riff(header, vp8, b"note\xff\xff\xff\xff12"),
        "an empty picture": riff(chunk(b"VP8 ", b"")),
        "a picture of ten bytes": riff(chunk(b"VP8 ", vp8[8:18])),
        "no start code": riff(vp8[:11] + b"\x9d\x01\x2b" + vp8[14:]),
        "no key frame": riff(vp8[:8] + bytes([vp8[8] | 1]) + vp8[9:]),
        "an unknown profile": riff(vp8[:8] + bytes([vp8[8] | 8]) + vp8[9:]),
        "a hidden frame": riff(vp8[:8] + bytes([vp8[8] & ~0x10]) + vp8[9:]),
        "no width": riff(vp8[:14] + b"\0\0" + vp8[16:]),
        "no height": riff(vp8[:16] + b"\0\0" + vp8[18:]),
        "a first partition of nothing": riff(with_first_partition(vp8, 0)),
        "a first partition up to the end": riff(with_first_partition(vp8, len(vp8) - 18)),
        "a first partition over the end": riff(with_first_partition(vp8, 0x7FFFF)),
        "a lossless header alone": riff(chunk(b"VP8L", vp8l[8:13])),
        "no lossless signature": riff(vp8l[:8] + b"\x2e" + vp8l[9:]),
        "a lossless version to come": riff(vp8l[:12] + bytes([vp8l[12] | 0x20]) + vp8l[13:]),
    }


@pytest.mark.parametrize("reason", broken_files())
def test_a_file_that_contradicts_its_specification_is_refused(reason: str) -> None:
    assert fault_of(broken_files()[reason]) == "broken_image"


@pytest.mark.parametrize("kept", [True, False])
def test_padding_that_the_riff_size_does_not_count_is_tolerated_and_counted_afterwards(kept: bool) -> None:
    odd = part(samples()["odd lengths"], b"VP8 ")
    data = riff(chunk(b"VP8 ", odd, b"")) + (b"\0" if kept else b"")
    assert cleaned(data) == riff(chunk(b"VP8 ", odd))
    frames = [vp8x(ANIMATION), chunk(b"ANIM", bytes(6)), anmf(chunk(b"VP8 ", odd))]
    uncounted = [*frames[:2], anmf(chunk(b"VP8 ", odd), more=-1)]
    assert cleaned(riff(*uncounted)) == riff(*frames)


# What is too much.


def test_a_canvas_over_the_limits_is_refused_before_anything_else_is_read() -> None:
    lossless = bytearray(part(samples()["lossless"], b"VP8L"))
    lossless[1:5] = (0x0FFFFFFF).to_bytes(4, "little")
    for data in (riff(chunk(b"VP8L", bytes(lossless))), riff(vp8x(0, 1 << 24, 1 << 24), b"?")):
        assert fault_of(data) == "too_many_pixels"


def test_a_side_over_the_limit_is_refused() -> None:
    limits = Limits(max_side=WIDTH - 1, max_pixels=10**6, max_total_pixels=10**6, max_frames=9, max_scans=9)
    assert fault_of(samples()["lossy"], limits) == "too_many_pixels"
    assert fault_of(samples()["animation"], limits) == "too_many_pixels"


def many_frames(count: int) -> bytes:
    vp8, _, _ = pieces_of_lossy()
    return riff(vp8x(ANIMATION, 1000, 1000), chunk(b"ANIM", bytes(6)), *[anmf(vp8)] * count, b"?")


def test_a_frame_too_many_is_refused_and_what_follows_is_not_read() -> None:
    limits = Limits(max_side=1000, max_pixels=10**6, max_total_pixels=10**9, max_frames=7, max_scans=9)
    assert fault_of(many_frames(8), limits) == "too_many_frames"
    assert fault_of(many_frames(7), limits) == "broken_image"


def test_a_frame_counts_as_its_own_rectangle_and_the_copy_of_a_canvas() -> None:
    limits = Limits(max_side=1000, max_pixels=10**6, max_total_pixels=7 * 10**6, max_frames=2000, max_scans=9)
    assert fault_of(many_frames(200), limits) == "too_many_pixels"
    assert fault_of(many_frames(8), limits) == "broken_image"


def test_hundreds_of_thousands_of_empty_chunks_are_refused() -> None:
    vp8, _, _ = pieces_of_lossy()
    assert fault_of(riff(vp8x(0), vp8, chunk(b"note", b"") * 300_000)) == "broken_image"


# What nobody has thought of.


def scrambled(data: bytes, order: list[int]) -> bytes:
    """The file's chunks, some of them more often, some not at all, in any order."""
    chunks = [chunk(kind, body, pad) for kind, body, pad in parts(data)]
    return riff(*(chunks[index % len(chunks)] for index in order))


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    data = bytearray(samples()[draw(st.sampled_from(NAMES))])
    if draw(st.booleans()):
        data = bytearray(scrambled(bytes(data), draw(st.lists(st.integers(0, 12), max_size=12))))
    near_the_front = st.integers(0, min(80, len(data) - 1))
    for place in draw(st.lists(near_the_front | st.integers(0, len(data) - 1), max_size=4)):
        data[place] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        other = samples()[draw(st.sampled_from(NAMES))]
        data = data[: draw(st.integers(0, len(data)))] + other[draw(st.integers(0, len(other))) :]
    if draw(st.booleans()) and len(data) >= 12:
        data[4:8] = struct.pack("<I", len(data) - 8)
    return bytes(data)


@settings(max_examples=200, deadline=None)
@given(data=mutations())
def test_a_spoilt_file_is_refused_or_becomes_one_that_stays_as_it_is(data: bytes) -> None:
    try:
        once = cleaned(data)
    except Fault:
        return
    plan, twice = clean(once)
    assert twice == once
    assert plan.pieces == ((0, len(once)),)
    image = pyvips.Image.webpload_buffer(once)
    assert (image.width, image.height) == (plan.width, plan.height)


# Files of others, where there are some.


def corpus() -> list[tuple[Path, str]]:
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        return []
    with (Path(folder) / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = [(Path(folder) / row["file"], row["expected"]) for row in rows]
    return [(path, expected) for path, expected in found if path.name.startswith(("webp", "bomb_webp"))]


@pytest.mark.parametrize(("path", "expected"), corpus(), ids=lambda value: getattr(value, "name", value))
def test_a_file_of_the_corpus_is_judged_as_its_manifest_says(path: Path, expected: str) -> None:
    data = path.read_bytes()
    if expected == "reject-400":
        assert fault_of(data) in ("broken_image", "too_many_pixels", "too_many_frames")
        return
    plan, after = clean(data)
    assert seen_by_pillow(after) == seen_by_pillow(data)
    assert seen_by_libvips(after) == seen_by_libvips(data)
    assert clean(after)[0].pieces == ((0, plan.size),)
