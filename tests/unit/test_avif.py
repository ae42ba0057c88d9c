"""AVIF: the picture's own bytes stay, the boxes around them are told anew, and no input does anything else."""

from __future__ import annotations

import csv
import io
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import pyvips
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageSequence

from iuserver.errors import Fault
from iuserver.imaging import avif, boxes
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from iuserver.imaging.walkers import HEAD, walker_for
from tests.pictures import icc_profile

LIMITS = Limits(max_side=16384, max_pixels=50_000_000, max_total_pixels=200_000_000, max_frames=2000, max_scans=100)
MARKER = b"SECRET-WORD!"
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
SIDE = 64


# What the walker makes of a file, and what others see in it.


def walk(data: bytes, limits: Limits = LIMITS) -> Plan:
    return avif.walk(Source(data), limits)


def strip(data: bytes, limits: Limits = LIMITS) -> bytes:
    source = Source(data)
    plan = avif.walk(source, limits)
    clean = b"".join(p if isinstance(p, bytes) else source.at(p[0], p[1] - p[0]) for p in plan.pieces)
    assert len(clean) == plan.size
    return clean


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Fault) as caught:
        walk(data, limits)
    return caught.value.code


def by_pillow(data: bytes) -> list[object]:
    with Image.open(io.BytesIO(data)) as opened:
        frames = [
            (frame.mode, frame.size, frame.info.get("duration"), frame.info.get("timestamp"), frame.tobytes())
            for frame in ImageSequence.Iterator(opened)
        ]
        return [opened.size, opened.mode, opened.info.get("icc_profile"), frames]


def by_libvips(data: bytes) -> list[object]:
    picture = pyvips.Image.heifload_buffer(data)
    profile = picture.get("icc-profile-data") if picture.get_typeof("icc-profile-data") else None
    return [picture.width, picture.height, picture.bands, picture.format, profile, picture.write_to_memory()]


def shown_by_libvips(data: bytes) -> tuple[int, int]:
    picture = pyvips.Image.heifload_buffer(data)
    return picture.width, picture.height


# Files as Pillow and libvips write them.


def noise(mode: str = "RGB", size: tuple[int, int] = (SIDE, 48), seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = bytes((7 * step + seed * 31 + step // 97) % 256 for step in range(size[0] * size[1] * bands))
    return Image.frombytes(mode, size, values)


def made(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "AVIF", speed=10, **options)
    return file.getvalue()


def private(orientation: int = 1) -> dict[str, object]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = MARKER.decode()
    return {"exif": exif, "xmp": b"<x:xmpmeta>" + MARKER + b"</x:xmpmeta>"}


@lru_cache
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@lru_cache
def still() -> bytes:
    return made(noise("RGBA"), icc_profile=profile(), **private(6))


@lru_cache
def sequence(mode: str = "RGBA") -> bytes:
    others = [noise(mode, seed=seed) for seed in (1, 2, 3)]
    return made(noise(mode), save_all=True, append_images=others, duration=[40, 250, 90, 1000], **private())


@lru_cache
def by_libheif(bits: int = 8) -> bytes:
    ramp = pyvips.Image.xyz(80, 56).bandjoin(pyvips.Image.gaussnoise(80, 56)[0])
    picture = (ramp * (400 if bits > 8 else 3)).cast("ushort" if bits > 8 else "uchar")
    picture = picture.copy(interpretation="rgb16" if bits > 8 else "srgb").copy()
    picture.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x>" + MARKER + b"</x>")
    return bytes(picture.heifsave_buffer(compression="av1", bitdepth=bits, effort=0, Q=60))


# Files made box by box.


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def u16(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}H", *numbers)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def ispe(width: int = SIDE, height: int = SIDE) -> tuple[bytes, bytes]:
    return b"ispe", u32(0, width, height)


@lru_cache
def coded(seed: int = 0, mode: str = "RGB") -> tuple[bytes, tuple[bytes, bytes]]:
    """An AV1 picture of SIDE x SIDE, and the property with its configuration."""
    data = strip(made(noise(mode, (SIDE, SIDE), seed)))
    configuration = data.index(b"av1C") + 4
    return data[data.index(b"mdat") + 4 :], (b"av1C", data[configuration : configuration + 4])


@dataclass
class Item:
    """An item of a file made by `build`. Its parts of bytes come to lie apart."""

    number: int
    kind: bytes = b"av01"
    parts: tuple[bytes, ...] = ()
    properties: tuple[tuple[bytes, bytes], ...] = ()
    essential: tuple[bytes, ...] = (b"av1C", b"irot", b"imir", b"clap")
    in_idat: bool = False
    name: bytes = MARKER
    flags: int = 0
    reference: int = 0


def picture(number: int = 1, seed: int = 0, *more: tuple[bytes, bytes], mode: str = "RGB", **options: object) -> Item:
    data, configuration = coded(seed, mode)
    return Item(number, parts=(data,), properties=(ispe(), configuration, *more), **options)


def alpha(number: int, seed: int = 5) -> Item:
    return picture(number, seed, (b"auxC", bytes(4) + ALPHA), mode="L")


def grid(number: int, rows: int, columns: int, width: int, height: int, large: bool = False) -> Item:
    numbers = struct.pack(">II" if large else ">HH", width, height)
    return Item(number, b"grid", (bytes([0, large, rows - 1, columns - 1]) + numbers,), (ispe(width, height),))


def reference(kind: bytes, origin: int, *targets: int, wide: bool = False) -> bytes:
    pack = u32 if wide else u16
    return box(kind, pack(origin), u16(len(targets)), pack(*targets))


FTYP = box(b"ftyp", b"avif", bytes(4), b"avif", b"mif1", b"miaf")
HDLR = full(b"hdlr", bytes(4), b"pict", bytes(12), MARKER + b"\0")


def build(
    items: list[Item],
    *references: bytes,
    primary: int = 1,
    ftyp: bytes = FTYP,
    hdlr: bytes = HDLR,
    wide: bool = False,
    sizes: tuple[int, int, int] = (4, 4, 0),
    groups: bytes = b"",
    gap: bytes = MARKER,
    after_ftyp: bytes = b"",
    change: Callable[[dict[bytes, bytes]], None] | None = None,
) -> bytes:
    """A file: ftyp, mdat, meta. `sizes` are those of offsets, lengths and base offsets in iloc."""
    mdat, idat, places = gap, gap, {}
    start = len(ftyp) + len(after_ftyp) + 8
    for item in items:
        places[item.number] = []
        for part in item.parts:
            places[item.number].append(((len(idat) if item.in_idat else start + len(mdat)), len(part)))
            idat, mdat = (idat + part + gap, mdat) if item.in_idat else (idat, mdat + part + gap)
    properties = list(dict.fromkeys(pair for item in items for pair in item.properties))
    number = u32 if wide else u16
    entries, infos, associations = [], [], []
    for item in items:
        base = min((place[0] for place in places[item.number]), default=0) if sizes[2] else 0
        extents = [
            (place[0] - base).to_bytes(sizes[0], "big") + place[1].to_bytes(sizes[1], "big")
            for place in places[item.number]
        ]
        head = number(item.number) + u16(item.in_idat, item.reference) + base.to_bytes(sizes[2], "big")
        entries.append(head + u16(len(extents)) + b"".join(extents))
        content_type = b"application/rdf+xml\0" if item.kind == b"mime" else b""
        info = number(item.number) + u16(0) + item.kind + item.name + b"\0" + content_type
        infos.append(full(b"infe", info, version=3 if wide else 2, flags=item.flags))
        pairs = [(properties.index(pair) + 1) | 0x8000 * (pair[0] in item.essential) for pair in item.properties]
        associations.append(number(item.number) + bytes([len(pairs)]) + u16(*pairs))
    nibbles = bytes([sizes[0] << 4 | sizes[1], sizes[2] << 4])
    parts = {
        b"hdlr": hdlr,
        b"pitm": full(b"pitm", number(primary), version=int(wide)),
        b"iloc": full(b"iloc", nibbles, number(len(items)), *entries, version=2 if wide else 1),
        b"iinf": full(b"iinf", number(len(items)), *infos, version=int(wide)),
        b"iref": full(b"iref", *references, version=int(wide)) if references else b"",
        b"ipco": box(b"ipco", *(box(*pair) for pair in properties)),
        b"ipma": full(b"ipma", u32(len(items)), *sorted(associations), version=int(wide), flags=1),
        b"grpl": groups,
        b"idat": box(b"idat", idat),
    }
    if change:
        change(parts)
    iprp = box(b"iprp", parts.pop(b"ipco"), parts.pop(b"ipma"))
    return ftyp + after_ftyp + box(b"mdat", mdat) + full(b"meta", *parts.values(), iprp)


EXIF = Item(90, b"Exif", (bytes(4) + b"MM\0*" + u32(8) + bytes(6) + MARKER,))
XMP = Item(91, b"mime", (b"<x:xmpmeta>" + MARKER + b"</x:xmpmeta>",))
OTHER = Item(92, b"uri ", (MARKER,))
COLOUR = (b"colr", b"nclx" + u16(1, 13, 6) + b"\x80")
TONE_MAP = Item(50, b"tmap", (bytes(62),), (ispe(), COLOUR))


def colour_grid() -> list[Item]:
    cells = [picture(number, number) for number in range(2, 6)]
    return [grid(1, 2, 2, 2 * SIDE - 10, SIDE + 30), *cells]


DIMG = reference(b"dimg", 1, 2, 3, 4, 5)
METADATA = (reference(b"cdsc", 90, 1), reference(b"cdsc", 91, 1))
HAND_MADE: dict[str, bytes] = {
    "one picture": build([picture(), EXIF, XMP, OTHER], *METADATA),
    "a picture in two parts": build(
        [Item(1, parts=(coded()[0][:50], coded()[0][50:]), properties=(ispe(), coded()[1])), EXIF]
    ),
    "turned, mirrored and cropped": build(
        [picture(1, 0, (b"clap", u32(40, 1, 31, 1, 0, 1, 1, 2)), (b"irot", b"\1"), (b"imir", b"\0"))]
    ),
    "a thumbnail and a depth map": build(
        [
            picture(1),
            picture(2, 2),
            picture(3, 3, (b"auxC", bytes(4) + b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth\0" + MARKER), mode="L"),
        ],
        reference(b"thmb", 2, 1),
        reference(b"auxl", 3, 1),
    ),
    "an alpha plane": build([alpha(2), picture(1), EXIF], reference(b"auxl", 2, 1), reference(b"prem", 1, 2)),
    "a grid": build([*colour_grid(), EXIF], DIMG, METADATA[0]),
    "a grid with large numbers": build(
        [grid(1, 1, 2, 2 * SIDE, SIDE, large=True), *colour_grid()[1:3]], reference(b"dimg", 1, 2, 3)
    ),
    "a grid with an alpha grid": build(
        [
            *colour_grid(),
            Item(10, b"grid", colour_grid()[0].parts, (ispe(118, 94), (b"auxC", bytes(4) + ALPHA))),
            *(alpha(number, number) for number in range(11, 15)),
        ],
        DIMG,
        reference(b"dimg", 10, 11, 12, 13, 14),
        reference(b"auxl", 10, 1),
    ),
    "a grid with an alpha plane a cell": build(
        [*colour_grid(), *(alpha(number, number) for number in range(12, 16))],
        DIMG,
        *(reference(b"auxl", number, number - 10) for number in range(12, 16)),
    ),
    "a grid in the meta box": build(
        [Item(1, b"grid", colour_grid()[0].parts, (ispe(118, 94),), in_idat=True), *colour_grid()[1:]], DIMG
    ),
    "all in the meta box": build([picture(1, in_idat=True), Item(90, b"Exif", EXIF.parts, in_idat=True)], METADATA[0]),
    "numbers beyond 16 bits": build(
        [picture(70_000), alpha(70_001)], reference(b"auxl", 70_001, 70_000, wide=True), primary=70_000, wide=True
    ),
    "64-bit offsets from a base": build([picture(), EXIF], sizes=(8, 8, 8)),
    "a picture turned by another item": build(
        [Item(1, b"iden", (), (ispe(), (b"irot", b"\1"))), picture(2)], reference(b"dimg", 1, 2)
    ),
    "a gain map": build(
        [picture(1), TONE_MAP, picture(51, 3)],
        reference(b"dimg", 50, 1, 51),
        groups=box(b"grpl", full(b"altr", u32(77, 2, 50, 1)), full(b"ster", u32(78, 2, 1, 51))),
    ),
}
SAMPLES: dict[str, bytes] = {
    "still": still(),
    "sequence": sequence(),
    "opaque sequence": sequence("RGB"),
    "grey": made(noise("L", (33, 17))),
    "by libheif": by_libheif(),
    "10 bits": by_libheif(10),
    **HAND_MADE,
}
every_sample = pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES.keys())
UNKNOWN_TO_PILLOW = {"a picture turned by another item"}


# The tree of boxes, for looking into files and for planting things in them.

INSIDE = {
    b"meta": 4,
    b"iinf": 6,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"edts": 0,
    b"tref": 0,
    b"mdia": 0,
    b"minf": 0,
    b"dinf": 0,
    b"dref": 8,
    b"stbl": 0,
    b"stsd": 8,
    b"av01": 78,
    b"grpl": 0,
    b"iref": 4,
}
Found = tuple[tuple[bytes, ...], tuple[int, ...], int]


def tree(data: bytes, start: int = 0, stop: int | None = None, path: tuple = (), heads: tuple = ()) -> Iterator[Found]:
    """The path of every box, where it and those around it start, and where it stops."""
    while start < (len(data) if stop is None else stop):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield (*path, kind), (*heads, start), start + size
        if kind in INSIDE:
            yield from tree(data, start + 8 + INSIDE[kind], start + size, (*path, kind), (*heads, start))
        start += size


def paths(data: bytes) -> list[str]:
    return [b"/".join(path).decode() for path, _, _ in tree(data)]


def planted(data: bytes, where: str, what: bytes) -> bytes:
    """The file with something at the end of the first box of a path, lengths and offsets following."""
    path = tuple(part.encode() for part in where.split("/"))
    heads, stop = next((heads, stop) for found, heads, stop in tree(data) if found == path)
    new = bytearray(data)
    for head in heads:
        new[head : head + 4] = u32(struct.unpack_from(">I", new, head)[0] + len(what))
    for found, inner, _ in tree(data):
        for at in offsets(data, found[-1], inner[-1]):
            value = struct.unpack_from(">I", new, at)[0]
            new[at : at + 4] = u32(value + len(what) * (value >= stop))
    return bytes(new[:stop]) + what + bytes(new[stop:])


def offsets(data: bytes, kind: bytes, start: int) -> list[int]:
    """Where the offsets are that an iloc (version 0, one extent an item) or a stco tells."""
    if kind == b"iloc":
        return [start + 22 + 14 * item for item in range(struct.unpack_from(">H", data, start + 14)[0])]
    if kind == b"stco":
        return [start + 16 + 4 * chunk for chunk in range(struct.unpack_from(">I", data, start + 12)[0])]
    return []


# Recognising.


@pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES.keys())
def test_an_avif_is_recognised_by_its_first_64_bytes(data):
    assert avif.recognises(data[:64])
    assert avif.recognises(strip(data)[:64])


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"avif____", True),
        (b"avis____", True),
        (b"mif1____mif1miafavif", True),
        (b"msf1____avis", True),
        (b"heic____mif1heic", False),
        (b"mif1____mif1", False),
        (b"mif3avifmif3", False),
        (b"heic____avi", False),
        (b"isom____xavifx", False),
    ],
)
def test_a_brand_makes_an_avif_and_neither_a_version_nor_half_a_brand(brands, expected):
    assert avif.recognises(box(b"ftyp", brands) + box(b"free", b"avifavis")) is expected


@pytest.mark.parametrize("head", [b"", b"\0\0\0\x20ftyp", b"\0\0\0\x20ftypavi", b"\0\0\0\x20free" + b"avif" * 9])
def test_what_is_too_short_or_does_not_begin_with_its_type_is_not_recognised(head):
    assert not avif.recognises(head)


# What stays.


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in UNKNOWN_TO_PILLOW])
def test_frames_durations_and_the_profile_are_the_same_to_pillow(name):
    assert by_pillow(strip(SAMPLES[name])) == by_pillow(SAMPLES[name])


@every_sample
def test_pixels_and_the_profile_are_the_same_to_libvips(data):
    assert by_libvips(strip(data)) == by_libvips(data)


@every_sample
def test_stripping_the_stripped_changes_nothing(data):
    clean = strip(data)
    assert strip(clean) == clean
    assert walk(clean).prefix == len(clean)


def test_the_profile_stays_and_no_exif_or_xmp():
    with Image.open(io.BytesIO(strip(made(noise(), icc_profile=profile(), **private())))) as image:
        assert image.info["icc_profile"] == profile()
        assert "exif" not in image.info
        assert "xmp" not in image.info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_and_mirrors_stay_and_width_and_height_are_as_a_viewer_shows_them(orientation):
    data = made(noise(), **private(orientation))
    plan, clean = walk(data), strip(data)
    assert (b"irot" in clean, b"imir" in clean) == (b"irot" in data, b"imir" in data)
    assert (plan.width, plan.height) == shown_by_libvips(data) == shown_by_libvips(clean)
    assert (plan.width, plan.height) == ((48, SIDE) if orientation >= 5 else (SIDE, 48))
    assert plan.orientation == 1


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "turned, mirrored and cropped"])
def test_libvips_reads_the_size_from_the_clean_file_that_the_plan_tells(name):
    data = SAMPLES[name]
    plan = walk(data)
    assert (plan.width, plan.height) == shown_by_libvips(strip(data))


@pytest.mark.parametrize(
    "crop",
    [
        u32(40, 1, 31, 1, 0xFFFFFFFF, 2, 3, 1),
        u32(65, 1, 31, 1, 0, 1, 0, 1),
        u32(40, 1, 31, 1, 13, 1, 0, 1),
        u32(0, 1, 31, 1, 0, 1, 0, 1),
        u32(0xFFFFFFFF, 1, 31, 1, 0, 1, 0, 1),
        bytes(32),
    ],
)
@pytest.mark.parametrize("angle", range(4))
def test_a_crop_is_ignored_as_browsers_do_even_where_it_lies_outside(crop, angle):
    data = build([picture(1, 0, (b"clap", crop), (b"irot", bytes([angle])))])
    assert (walk(data).width, walk(data).height) == (SIDE, SIDE)
    assert strip(strip(data)) == strip(data)
    shown_by_libvips(strip(data))


def test_a_crop_stays_for_those_that_heed_it_unless_it_is_nonsense():
    sensible, nonsense = (b"clap", u32(40, 1, 31, 1, 0, 1, 0, 1)), (b"clap", bytes(32))
    assert box(*sensible) in strip(build([picture(1, 0, sensible)]))
    assert strip(build([picture(1, 0, nonsense)])) == strip(build([picture()]))


def test_a_plan_tells_what_the_picture_is():
    plan = walk(sequence())
    assert (plan.mime, plan.ext, plan.width, plan.height, plan.frames, plan.orientation) == (
        "image/avif",
        "avif",
        SIDE,
        48,
        4,
        1,
    )
    assert walk(still()).frames == 1


def test_the_clean_file_is_laid_out_in_one_way():
    assert [path for path in paths(strip(still())) if "/" not in path] == ["ftyp", "meta", "mdat"]
    assert [path for path in paths(strip(sequence())) if "/" not in path] == ["ftyp", "meta", "moov", "mdat"]


def test_only_what_the_main_picture_needs_stays():
    clean = strip(HAND_MADE["a thumbnail and a depth map"])
    assert paths(clean).count("meta/iinf/infe") == 1
    assert "meta/iref" not in paths(clean)
    assert len(clean) < len(coded()[0]) + 300


def test_alpha_planes_and_what_is_said_of_them_stay():
    clean = strip(HAND_MADE["an alpha plane"])
    assert {"meta/iref/auxl", "meta/iref/prem", "meta/iprp/ipco/auxC"} <= set(paths(clean))
    assert paths(strip(HAND_MADE["a grid with an alpha plane a cell"])).count("meta/iref/auxl") == 4
    with Image.open(io.BytesIO(clean)) as image:
        assert image.mode == "RGBA"


def test_a_gain_map_stays_with_the_group_that_offers_it():
    clean = strip(HAND_MADE["a gain map"])
    assert paths(clean).count("meta/iinf/infe") == 3
    assert {"meta/iref/dimg", "meta/grpl/altr"} <= set(paths(clean))
    assert "meta/grpl/ster" not in paths(clean)
    assert walk(HAND_MADE["a gain map"]).hdr
    assert walk(clean).hdr
    assert not walk(SAMPLES["still"]).hdr


@pytest.mark.parametrize(
    "content", [bytes(62) + MARKER, b"\1" + bytes(61), bytes(5) + b"\x80" + bytes(56), b"", bytes(9999)]
)
def test_a_tone_map_with_other_parameters_than_the_known_ones_goes_and_the_picture_stays(content):
    items = [picture(1), Item(50, b"tmap", (content,), (ispe(),)), picture(51, 3)]
    clean = strip(build(items, reference(b"dimg", 50, 1, 51)))
    assert clean == strip(build([picture(1)]))


def test_the_same_bytes_may_serve_two_items_and_a_sample():
    twice = [*colour_grid()[:2], *(picture(number, 2) for number in (3, 4, 5))]
    data = build(twice, DIMG)
    at = [data.index(coded(2)[0])]
    while (found := data.find(coded(2)[0], at[-1] + 1)) > 0:
        at.append(found)
    for other in at[1:]:
        data = data.replace(u32(other), u32(at[0]))
    assert len(strip(data)) < len(data) - 3 * len(coded(2)[0])
    assert by_libvips(strip(data)) == by_libvips(data)
    assert sequence("RGB").count(coded_frames()[0]) == 1


def coded_frames() -> list[bytes]:
    data = strip(sequence("RGB"))
    sizes = data.index(b"stsz") + 16
    start, frames = data.index(b"mdat") + 4, []
    for size in struct.unpack_from(">4I", data, sizes):
        frames.append(data[start : start + size])
        start += size
    return frames


@pytest.mark.parametrize("size_field", [0, 1])
def test_boxes_may_end_with_the_file_or_have_64_bit_lengths(size_field):
    data = strip(still())
    at = data.index(b"mdat") - 4
    if size_field:
        data = data[:at] + u32(1) + b"mdat" + struct.pack(">Q", len(data) - at + 8) + data[at + 8 :]
        data = moved(data, 8)
    else:
        data = data[:at] + u32(0) + data[at + 4 :]
    assert strip(data) == strip(still())


def moved(data: bytes, by: int) -> bytes:
    new = bytearray(data)
    for path, heads, _ in tree(data[: data.index(b"mdat") - 4]):
        for at in offsets(data, path[-1], heads[-1]):
            new[at : at + 4] = u32(struct.unpack_from(">I", new, at)[0] + by)
    return bytes(new)


def test_a_meta_box_that_is_last_may_end_with_the_file():
    data = HAND_MADE["all in the meta box"]
    at = data.index(b"meta") - 4
    assert strip(data[:at] + u32(0) + data[at + 4 :]) == strip(data)


def test_a_sequence_without_a_still_is_kept():
    data = strip(sequence())
    start, stop = data.index(b"meta") - 4, data.index(b"moov") - 4
    alone = moved_tracks(data, start, stop).replace(b"avifavis", b"iso8avis")
    assert walk(alone).frames == 4
    assert by_pillow(strip(alone)) == by_pillow(sequence())


def moved_tracks(data: bytes, start: int, stop: int) -> bytes:
    new = bytearray(data)
    for path, heads, _ in tree(data):
        for at in offsets(data, path[-1], heads[-1]) if path[-1] == b"stco" else []:
            new[at : at + 4] = u32(struct.unpack_from(">I", new, at)[0] - (stop - start))
    return bytes(new[:start] + new[stop:])


@pytest.mark.parametrize(("major", "frames"), [(b"avif", 1), (b"avis", 4), (b"mif1", 4), (b"what", 4)])
def test_the_major_brand_says_whether_the_still_or_the_sequence_is_shown(major, frames):
    data = sequence().replace(b"ftypavis", b"ftyp" + major)
    assert walk(data).frames == frames
    with Image.open(io.BytesIO(strip(data))) as image:
        assert image.n_frames == frames


def test_offsets_of_64_bits_and_sizes_of_16_bits_become_the_usual_ones():
    data = sequence("RGB")
    sizes = [struct.unpack_from(">4I", data, data.index(b"stsz") + 16)]
    wide = rewritten(data, b"stsz", full(b"stz2", bytes(3) + b"\x10", u32(4), u16(*sizes[0])))
    chunk = struct.unpack_from(">I", wide, wide.index(b"stco") + 12)[0]
    wide = rewritten(wide, b"stco", full(b"co64", u32(1), struct.pack(">Q", chunk + 4)))
    assert strip(wide) == strip(data)


def rewritten(data: bytes, kind: bytes, replacement: bytes) -> bytes:
    """The file with the first box of a kind replaced, lengths and offsets following."""
    _, heads, stop = next((path, heads, stop) for path, heads, stop in tree(data) if path[-1] == kind)
    by = len(replacement) - (stop - heads[-1])
    new = bytearray(data)
    for head in heads[:-1]:
        new[head : head + 4] = u32(struct.unpack_from(">I", new, head)[0] + by)
    for path, inner, _ in tree(data):
        for at in offsets(data, path[-1], inner[-1]):
            new[at : at + 4] = u32(struct.unpack_from(">I", new, at)[0] + by)
    return bytes(new[: heads[-1]]) + replacement + bytes(new[stop:])


# What goes.


@every_sample
def test_no_marker_is_left_of_metadata_names_gaps_and_unused_properties(data):
    assert MARKER not in strip(data)
    assert b"libavif" not in strip(data)
    assert b"AOM Coding" not in strip(data)


STRICT = {b"iref", b"iprp", b"tref", b"dref", b"stsd"}
PLACES = [
    (name, where)
    for name, data in (("still", still()), ("sequence", sequence()))
    for where in dict.fromkeys(paths(data))
    if where.split("/")[-1].encode() in INSIDE and where.split("/")[-1].encode() not in STRICT
]
STRANGERS = [b"uuid", b"free", b"skip", b"udta", b"XxYy", b"mdat", b"meta", b"Exif"]


@pytest.mark.parametrize(("name", "where"), PLACES, ids=lambda value: value)
def test_boxes_that_do_not_belong_there_go_from_every_level(name, where):
    data = planted(SAMPLES[name], where, b"".join(box(kind, MARKER) for kind in STRANGERS))
    assert strip(data) == strip(SAMPLES[name])


@pytest.mark.parametrize("kind", [b"uuid", b"free", b"skip", b"udta", b"moof", b"XxYy", b"mdat"])
@pytest.mark.parametrize("name", ["still", "sequence"])
def test_boxes_that_do_not_belong_there_go_from_the_file(name, kind):
    data = SAMPLES[name]
    stranger = box(kind, MARKER)
    ftyp_end = struct.unpack_from(">I", data)[0]
    early = moved(data[:ftyp_end] + stranger + data[ftyp_end:], len(stranger)) if kind != b"mdat" else data
    assert strip(early + stranger) == strip(data)


@pytest.mark.parametrize(
    "trailer", [MARKER, b"\0", b"PK\3\4" + MARKER, u32(1 << 20) + b"junk", u32(3) + b"bad!", still()]
)
@pytest.mark.parametrize("name", ["still", "sequence", "a grid"])
def test_trailing_bytes_and_second_files_go(name, trailer):
    assert strip(SAMPLES[name] + trailer) == strip(SAMPLES[name])


def test_unknown_brands_go_and_with_them_the_version():
    ftyp = box(b"ftyp", b"avif", MARKER[:4], b"avif", MARKER[:4], b"mif1", b"mif1", MARKER[4:8])
    assert strip(build([picture()], ftyp=ftyp))[:24] == box(b"ftyp", b"avif", bytes(4), b"avif", b"mif1")


def test_properties_of_nothing_that_is_kept_go_and_the_others_are_numbered_anew():
    strangers = [Item(number, b"uri ", (MARKER,), ((b"free", u32(number)),)) for number in range(100, 300)]
    assert strip(build([*strangers, picture()])) == strip(build([picture()]))
    many = [picture(number, number, (b"pasp", u32(number, 1))) for number in range(2, 132)]
    cells = [cell.number for cell in many]
    clean = strip(build([grid(1, 1, 130, 130 * SIDE, SIDE), *many], reference(b"dimg", 1, *cells)))
    assert strip(clean) == clean
    assert clean.count(b"pasp") == 130


def test_what_may_follow_in_a_property_goes():
    pixel = (b"pixi", u32(1) + b"\3\x08\x08\x08" + MARKER)
    configuration = (b"av1C", coded()[1][1] + MARKER)
    item = Item(1, parts=(coded()[0],), properties=(ispe(), pixel, configuration))
    plain = Item(1, parts=(coded()[0],), properties=(ispe(), (b"pixi", bytes(4) + b"\3\x08\x08\x08"), coded()[1]))
    assert strip(build([item])) == strip(build([plain]))
    subtype = picture(2, 5, (b"auxC", bytes(4) + ALPHA + MARKER), mode="L")
    assert strip(build([picture(), subtype], reference(b"auxl", 2, 1))) == strip(
        build([picture(), alpha(2)], reference(b"auxl", 2, 1))
    )


@pytest.mark.parametrize(
    "stranger",
    [(b"udes", bytes(4) + MARKER), (b"colr", b"prof" + MARKER * 9), (b"colr", b"nclc" + MARKER), (b"uuid", MARKER * 2)],
)
def test_properties_that_are_not_on_the_list_go(stranger):
    assert strip(build([picture(1, 0, stranger)])) == strip(build([picture()]))


KEPT_PROPERTIES = [
    COLOUR,
    (b"pasp", u32(1, 1)),
    (b"clli", u16(1000, 400)),
    (b"mdcv", bytes(24)),
    (b"cclv", b"\x3c" + bytes(36)),
    (b"cclv", b"\x10" + bytes(4)),
    (b"amve", bytes(8)),
    (b"a1lx", b"\0" + u16(10, 0, 0)),
    (b"a1lx", b"\1" + u32(10, 0, 0)),
    (b"lsel", u16(0)),
    (b"a1op", b"\0"),
]


@pytest.mark.parametrize("kept", KEPT_PROPERTIES, ids=lambda pair: pair[0].decode())
def test_properties_on_the_list_stay_and_have_exactly_their_length(kept):
    kind, body = kept
    assert box(kind, body) in strip(build([picture(1, 0, kept)]))
    for other in (body[:-1], body + b"\0"):
        assert refusal(build([picture(1, 0, (kind, other))])) == "broken_image"


def test_of_a_profile_nothing_is_left_but_the_profile():
    kept = (b"colr", b"prof" + icc_profile())
    assert box(*kept) in strip(build([picture(1, 0, COLOUR, kept)]))
    assert strip(build([picture(1, 0, (b"colr", kept[1] + MARKER))])) == strip(build([picture(1, 0, kept)]))
    assert strip(build([picture(1, 0, (b"colr", kept[1][:-1]))])) == strip(build([picture()]))


def with_brands(*brands: bytes) -> bytes:
    return box(b"ftyp", brands[0], bytes(4), *brands[1:])


GAIN = reference(b"dimg", 50, 1, 51)


@pytest.mark.parametrize("content", [b"\1" + bytes(61), bytes(62) + MARKER, b"\0\0\1" + bytes(59)])
@pytest.mark.parametrize("major", [b"avif", b"tmap"])
def test_the_brand_of_a_tone_map_goes_with_it(content, major):
    items = [picture(1), Item(50, b"tmap", (content,), (ispe(), COLOUR)), picture(51, 3)]
    clean = strip(build(items, GAIN, ftyp=with_brands(major, b"avif", b"mif1", b"tmap")))
    assert clean[:24] == with_brands(b"avif", b"avif", b"mif1")


def test_the_brand_of_a_tone_map_that_stays_stays():
    ftyp = with_brands(b"avif", b"avif", b"mif1", b"tmap")
    assert strip(build([picture(1), TONE_MAP, picture(51, 3)], GAIN, ftyp=ftyp))[: len(ftyp)] == ftyp


def test_a_still_has_no_brand_of_a_movie():
    clean = strip(build([picture()], ftyp=with_brands(b"avif", b"avif", b"avis", b"msf1", b"iso8", b"mif1")))
    assert clean[:24] == with_brands(b"avif", b"avif", b"mif1")


@pytest.mark.parametrize("others", [15, 61])
def test_an_avif_is_recognised_by_its_last_brand(others):
    data = build([picture()], ftyp=with_brands(b"mif1", *(b"x%03d" % number for number in range(others)), b"avif"))
    assert walker_for(data[:HEAD]) is avif.walk
    assert strip(data)[:20] == with_brands(b"mif1", b"avif")
    assert by_libvips(strip(data)) == by_libvips(build([picture()]))


@pytest.mark.parametrize("handler", [b"vide", b"what"])
def test_a_picture_track_may_have_any_handler(handler):
    data = sequence("RGB")
    start = data.index(b"hdlr", data.index(b"mdia"))
    other = data[:start] + data[start:].replace(b"pict", handler, 1)
    assert walk(other).frames == 4
    assert strip(other) == strip(data)


@pytest.mark.parametrize("lacking", [b"pitm", b"iloc", b"iinf", b"iprp"])
def test_a_sequence_whose_meta_box_tells_of_no_picture_is_kept_without_it(lacking):
    data = sequence("RGB").replace(lacking, b"free")
    clean = strip(data)
    assert [path for path in paths(clean) if "/" not in path] == ["ftyp", "moov", "mdat"]
    assert b"avif" not in clean[:40]
    assert by_pillow(clean) == by_pillow(sequence("RGB"))


@pytest.mark.parametrize("kind", [b"sato", b"tmap", b"iovl", b"what"])
def test_a_derived_picture_of_an_unknown_kind_is_refused(kind):
    derived = Item(1, kind, (bytes(8),), (ispe(),))
    assert refusal(build([derived, picture(2), picture(3)], reference(b"dimg", 1, 2, 3))) == "broken_image"
    turned = Item(1, b"iden", (), (ispe(),))
    hidden = Item(2, kind, (bytes(8),), (ispe(),))
    links = reference(b"dimg", 1, 2), reference(b"dimg", 2, 3)
    assert refusal(build([turned, hidden, picture(3)], *links)) == "broken_image"


def test_times_languages_and_names_in_a_sequence_are_emptied():
    clean = strip(sequence())
    assert struct.unpack_from(">QQ", clean, clean.index(b"mvhd") + 8) == (0, 0)
    assert struct.unpack_from(">QQ", clean, clean.index(b"tkhd") + 8) == (0, 0)
    assert struct.unpack_from(">QQ", clean, clean.index(b"mdhd") + 8) == (0, 0)
    assert "moov/trak/meta" in paths(sequence())
    assert "moov/trak/meta" not in paths(clean)
    german = sequence()
    at = german.index(b"mdhd") + 4 + 4 + 16 + 4 + 8
    assert german[at : at + 2] == b"\x55\xc4"
    assert strip(german[:at] + b"\x10\xb5" + german[at + 2 :]) == clean


@pytest.mark.parametrize("handler", [b"soun", b"meta", b"text"])
def test_other_tracks_go(handler):
    data = sequence("RGB")
    heads, stop = next(found[1:] for found in tree(data) if found[0] == (b"moov", b"trak"))
    track = data[heads[-1] : stop].replace(b"pict", handler)
    number = track.index(b"tkhd") + 8 + 16
    other = track[:number] + u32(9) + track[number + 4 :]
    assert strip(planted(data, "moov", other)) == strip(data)


@pytest.mark.parametrize(
    ("link", "kind"),
    [(b"thmb", b""), (b"auxl", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth")],
)
def test_tracks_of_thumbnails_and_depth_maps_go(link, kind):
    data = sequence()
    found = [item for item in tree(data) if item[0] == (b"moov", b"trak")]
    start, stop = found[1][1][-1], found[1][2]
    track = data[start:stop].replace(b"auxl", link).replace(ALPHA[:-1], kind.ljust(len(ALPHA) - 1, b"\0") or ALPHA[:-1])
    clean = strip(data[:start] + track + data[stop:])
    assert paths(clean).count("moov/trak") == 1
    assert walk(data[:start] + track + data[stop:]).frames == 4


@pytest.mark.parametrize(("old", "new"), [(b"auxi", b"free"), (b"auxv", b"pict"), (b"auxv", b"what")])
def test_an_alpha_track_of_an_early_writer_or_with_a_strange_handler_stays(old, new):
    data = sequence().replace(old, new)
    assert by_pillow(data) == by_pillow(sequence())
    assert by_pillow(strip(data)) == by_pillow(data)
    assert strip(strip(data)) == strip(data)


# What is refused.


@pytest.mark.parametrize("name", ["still", "opaque sequence", "an alpha plane", "all in the meta box", "by libheif"])
def test_a_file_that_is_cut_short_is_refused(name):
    clean = strip(SAMPLES[name])
    for whole in (SAMPLES[name], clean):
        for length in range(len(whole)):
            assert refusal(whole[:length]) == "broken_image", length


def replaced(kind: bytes, old: bytes, new: bytes) -> Callable[[dict[bytes, bytes]], None]:
    def change(parts: dict[bytes, bytes]) -> None:
        assert old in parts[kind]
        parts[kind] = parts[kind].replace(old, new)

    return change


def without(kind: bytes) -> Callable[[dict[bytes, bytes]], None]:
    return lambda parts: parts.update({kind: b""})


def twice(kind: bytes) -> Callable[[dict[bytes, bytes]], None]:
    return lambda parts: parts.update({kind: 2 * parts[kind]})


def version(kind: bytes, number: int) -> Callable[[dict[bytes, bytes]], None]:
    def change(parts: dict[bytes, bytes]) -> None:
        parts[kind] = parts[kind][:8] + bytes([number]) + parts[kind][9:]

    return change


CELLS = colour_grid()[1:]
INFE = 21 + len(MARKER)
SMALL = Item(5, parts=(coded(5)[0],), properties=(ispe(SIDE, SIDE - 1), coded(5)[1]))
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "no boxes but its type": FTYP,
    "no type": box(b"free") + HAND_MADE["one picture"],
    "a type of half a brand": box(b"ftyp", b"avif", bytes(4), b"av"),
    "too many brands": build([picture()], ftyp=box(b"ftyp", b"avif", bytes(4), b"avif" * 100)),
    "brands of something else": build([picture()], ftyp=box(b"ftyp", b"heic", bytes(4), b"mif1")),
    "two metas": HAND_MADE["one picture"] + build([picture()])[len(FTYP) :],
    "two movies": sequence() + sequence()[sequence().index(b"moov") - 4 : sequence().index(b"mdat") - 4],
    "a movie with no track": build([picture()], ftyp=box(b"ftyp", b"avis", bytes(4), b"avis")) + box(b"moov"),
    "a sequence without a movie": build([picture()], ftyp=box(b"ftyp", b"avis", bytes(4), b"avis")),
    "too many boxes": FTYP + box(b"free") * 5000,
    "a meta box that is too long": FTYP + full(b"meta", bytes(9 << 20)),
    **{
        f"no {kind.decode()}": build([picture()], change=without(kind))
        for kind in (b"hdlr", b"pitm", b"iloc", b"iinf", b"ipco", b"ipma")
    },
    **{
        f"two of {kind.decode()}": build([picture()], change=twice(kind))
        for kind in (b"hdlr", b"pitm", b"iloc", b"iinf", b"ipco", b"ipma", b"idat")
    },
    **{
        f"an unknown version of {kind.decode()}": build([picture()], change=version(kind, 7))
        for kind in (b"hdlr", b"pitm", b"iloc", b"iinf", b"ipma")
    },
    "an unknown version of iref": build(colour_grid(), DIMG, change=version(b"iref", 2)),
    "an unknown version of ispe": build([picture()], change=replaced(b"ipco", b"ispe\0", b"ispe\1")),
    "an unknown version of infe": build([picture()], change=replaced(b"iinf", b"infe\2", b"infe\1")),
    "another handler": build([picture()], hdlr=full(b"hdlr", bytes(4), b"soun", bytes(12), b"\0")),
    "a child longer than its parent": build(
        [picture()], change=replaced(b"iinf", u32(INFE) + b"infe", u32(INFE + 1) + b"infe")
    ),
    "a child shorter than its head": build(
        [picture()], change=replaced(b"iinf", u32(INFE) + b"infe", u32(7) + b"infe")
    ),
    "more items than it tells": build(
        [picture(), EXIF], change=replaced(b"iinf", b"\0\2" + u32(INFE), b"\0\1" + u32(INFE))
    ),
    "an item twice": build([picture(), picture()]),
    "an item without a number": build([picture(0)], primary=0),
    "an item of another kind": build([Item(1, b"hvc1", (b"x",), (ispe(),))]),
    "an item that is encrypted": build([picture()], change=replaced(b"iinf", u16(1, 0) + b"av01", u16(1, 1) + b"av01")),
    "no main item": build([picture(2)]),
    "a main item of a kind that is shown in other ways": build([TONE_MAP], primary=50),
    "an item that is nowhere": build([Item(1, properties=(ispe(), coded()[1]))]),
    "an empty item": build([Item(1, parts=(b"",), properties=(ispe(), coded()[1]))]),
    "an item in another file": build([picture(1, reference=1)]),
    "an item in another item": build([picture()], change=replaced(b"iloc", u16(1, 0, 0), u16(1, 2, 0))),
    "an offset beyond the file": build([picture()], change=replaced(b"iloc", u32(len(FTYP) + 20), u32(1 << 31))),
    "a length beyond the file": build([picture()], change=replaced(b"iloc", u32(len(coded()[0])), u32(1 << 31))),
    "an offset outside of mdat": build([picture()], change=replaced(b"iloc", u32(len(FTYP) + 20), u32(4))),
    "an offset beyond idat": build([picture(1, in_idat=True)], change=replaced(b"iloc", u32(12), u32(1 << 20))),
    "no idat": build([picture(1, in_idat=True)], change=without(b"idat")),
    "a huge offset": build([picture()], sizes=(8, 8, 8), change=replaced(b"iloc", bytes(7) + b"\x30", b"\xff" * 8)),
    "numbers of three bytes": build([picture()], sizes=(3, 4, 0)),
    "parts that overlap": build(
        [Item(1, parts=(coded()[0][:50], coded()[0][50:]), properties=(ispe(), coded()[1]))],
        change=replaced(b"iloc", u32(len(FTYP) + 20, 50), u32(len(FTYP) + 20, 90)),
    ),
    "the same part twice": build(
        [Item(1, parts=(coded()[0], coded()[0]), properties=(ispe(), coded()[1]))],
        gap=b"",
        change=replaced(b"iloc", u32(len(FTYP) + 8 + len(coded()[0])), u32(len(FTYP) + 8)),
    ),
    "items that overlap": build(
        [*colour_grid()], DIMG, gap=b"", change=replaced(b"iloc", u32(len(coded(2)[0])), u32(len(coded(2)[0]) + 1))
    ),
    "no size": build([Item(1, parts=(coded()[0],), properties=(coded()[1],))]),
    "a size of nothing": build([Item(1, parts=(coded()[0],), properties=(ispe(0, 5), coded()[1]))]),
    "two sizes": build([picture(1, 0, ispe(3, 3))]),
    "no AV1 configuration": build([Item(1, parts=(coded()[0],), properties=(ispe(),))]),
    "another AV1 configuration": build([Item(1, parts=(coded()[0],), properties=(ispe(), (b"av1C", bytes(4))))]),
    "a property that it needs and nobody knows": build([picture(1, 0, (b"what", b"!"), essential=(b"what",))]),
    "a property that it does not have": build(
        [picture()], change=replaced(b"ipma", u16(1, 0x8002)[1:], u16(1, 0x8009)[1:])
    ),
    "a grid without cells": build([grid(1, 2, 2, 100, 100), *CELLS]),
    "a grid of too few cells": build([grid(1, 2, 2, 100, 100), *CELLS], reference(b"dimg", 1, 2, 3, 4)),
    "a grid of cells that it does not have": build([grid(1, 2, 2, 100, 100), *CELLS[1:]], DIMG),
    "a grid of itself": build([grid(1, 1, 1, SIDE, SIDE)], reference(b"dimg", 1, 1)),
    "a grid of grids": build(
        [grid(1, 1, 1, 64, 64), grid(2, 1, 1, 64, 64)], reference(b"dimg", 1, 2), reference(b"dimg", 2, 1)
    ),
    "a grid of metadata": build([grid(1, 1, 1, SIDE, SIDE), EXIF], reference(b"dimg", 1, 90)),
    "a grid that is too large for its cells": build([grid(1, 2, 2, 2 * SIDE + 1, 100), *CELLS], DIMG),
    "a grid with a column too many": build([grid(1, 2, 2, SIDE, 100), *CELLS], DIMG),
    "a grid with a row too many": build([grid(1, 2, 2, 100, SIDE), *CELLS], DIMG),
    "a grid of cells of two sizes": build([grid(1, 2, 2, 100, 100), *CELLS[:3], SMALL], DIMG),
    "a grid of another version": build(
        [Item(1, b"grid", (b"\1\0\1\1" + u16(100, 100),), (ispe(100, 100),)), *CELLS], DIMG
    ),
    "a grid with something after it": build(
        [Item(1, b"grid", (b"\0\0\1\1" + u16(100, 100, 1),), (ispe(100, 100),)), *CELLS], DIMG
    ),
    "a grid of another size than it tells": build(
        [Item(1, b"grid", (b"\0\0\1\1" + u16(100, 99),), (ispe(100, 100),)), *CELLS], DIMG
    ),
    "a grid made of cells twice": build(colour_grid(), DIMG, DIMG),
    "an identity of two": build([Item(1, b"iden", (), (ispe(),)), *CELLS], reference(b"dimg", 1, 2, 3)),
    "alpha planes in a circle": build([alpha(1), alpha(2)], reference(b"auxl", 1, 2), reference(b"auxl", 2, 1)),
    "an alpha plane of its own": build([alpha(1)], reference(b"auxl", 1, 1)),
    "a list of references that ends early": build(colour_grid(), DIMG, change=replaced(b"iref", u16(1, 4), u16(1, 5))),
    "a list of properties that ends early": build(
        [picture()], change=replaced(b"ipma", u32(1) + u16(1), u32(2) + u16(1))
    ),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_contradiction_is_refused(data):
    assert refusal(data) == "broken_image"


def swapped(old: bytes, new: bytes, data: bytes | None = None) -> bytes:
    data = sequence("RGB") if data is None else data
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new)


BROKEN_SEQUENCES: dict[str, bytes] = {
    "a track without samples": swapped(b"stsz", b"free"),
    "a track without times": swapped(b"stts", b"free"),
    "a track without chunks": swapped(b"stco", b"free"),
    "a track without a header": swapped(b"tkhd", b"free"),
    "a movie without a header": swapped(b"mvhd", b"free"),
    "a track without media": swapped(b"minf", b"free"),
    "a track of another coding": swapped(b"av01\0", b"hvc1\0", swapped(b"av01Color", b"av01\0olor")),
    "no configuration": sequence("RGB")[:600] + sequence("RGB")[600:].replace(b"av1C", b"free"),
    "a count of frames that the times do not have": swapped(b"stts" + u32(0, 4, 1), b"stts" + u32(0, 4, 2)),
    "too many runs of times": swapped(b"stts" + u32(0, 4), b"stts" + u32(0, 5)),
    "frames of no bytes": swapped(u32(*map(len, coded_frames())), u32(0, *map(len, coded_frames()[1:]))),
    "frames longer than the file": swapped(u32(*map(len, coded_frames())), u32(1 << 31, *map(len, coded_frames()[1:]))),
    "a chunk that is missing": swapped(b"stsc" + u32(0, 1, 1, 4, 1), b"stsc" + u32(0, 1, 1, 3, 1)),
    "a chunk of too much": swapped(b"stsc" + u32(0, 1, 1, 4, 1), b"stsc" + u32(0, 1, 1, 0xFFFFFFFF, 1)),
    "chunks that begin with the second": swapped(b"stsc" + u32(0, 1, 1, 4, 1), b"stsc" + u32(0, 1, 2, 4, 1)),
    "another description": swapped(b"stsc" + u32(0, 1, 1, 4, 1), b"stsc" + u32(0, 1, 1, 4, 2)),
    "a key frame that there is not": swapped(b"stss" + u32(0, 1, 1), b"stss" + u32(0, 1, 5)),
    "a key frame before the first": swapped(b"stss" + u32(0, 1, 1), b"stss" + u32(0, 1, 0)),
    "pictures in another file": swapped(b"url " + u32(1), b"url " + u32(0)),
    "more chunks than frames": rewritten(sequence("RGB"), b"stco", full(b"stco", u32(5, 1, 2, 3, 4, 5))),
    "chunks in two places": planted(sequence("RGB"), "moov/trak/mdia/minf/stbl", full(b"co64", u32(1, 0, 100))),
    "sizes of a third of a byte": rewritten(sequence("RGB"), b"stsz", full(b"stz2", b"\0\0\0\3", u32(4), bytes(9))),
    "frames that overlap": rewritten(
        rewritten(sequence("RGB"), b"stco", full(b"stco", u32(2, 900, 910))), b"stsc", full(b"stsc", u32(1, 1, 2, 1))
    ),
    "too many tracks": planted(sequence("RGB"), "moov", box(b"trak") * 20),
    "edits without end": rewritten(sequence("RGB"), b"elst", full(b"elst", u32(1 << 20), bytes(99))),
}


@pytest.mark.parametrize("data", BROKEN_SEQUENCES.values(), ids=BROKEN_SEQUENCES.keys())
def test_a_contradiction_in_a_sequence_is_refused(data):
    assert refusal(data) == "broken_image"


# Limits.


def with_size(width: int, height: int) -> bytes:
    return build([Item(1, parts=(coded()[0],), properties=(ispe(width, height), coded()[1]))])


@pytest.mark.parametrize(("width", "height"), [(16385, 1), (1, 16385), (10_000, 5_001), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_pictures_with_too_many_pixels_are_refused(width, height):
    assert refusal(with_size(width, height)) == "too_many_pixels"
    assert walk(with_size(10_000, 5_000)).width == 10_000


def test_cells_and_alpha_planes_count_too():
    huge = Item(2, parts=(b"x",), properties=(ispe(16384, 16384), coded()[1], (b"auxC", bytes(4) + ALPHA)))
    assert refusal(build([picture(), huge], reference(b"auxl", 2, 1))) == "too_many_pixels"
    cells = [
        Item(number, parts=(b"x",), properties=(ispe(7000, 7000), coded()[1], (b"auxC", bytes(4) + ALPHA)))
        for number in range(2, 7)
    ]
    links = [reference(b"auxl", cell.number, 1) for cell in cells]
    assert refusal(build([picture(), *cells], *links)) == "too_many_pixels"


def test_sequences_with_too_many_frames_or_pixels_are_refused():
    assert refusal(sequence(), limits(max_frames=3)) == "too_many_frames"
    assert refusal(sequence(), limits(max_total_pixels=4 * SIDE * 48 - 1)) == "too_many_pixels"
    assert walk(sequence(), limits(max_frames=4, max_total_pixels=4 * SIDE * 48)).frames == 4
    many = swapped(b"stsz" + u32(0, 0, 4), b"stsz" + u32(0, 1, 0xFFFFFFFF))
    assert refusal(many) == "too_many_frames"


def limits(**changes: int) -> Limits:
    values = {name: getattr(LIMITS, name) for name in LIMITS.__slots__}
    return Limits(**{**values, **changes})


def test_tracks_with_too_many_pixels_are_refused():
    data = sequence("RGB")
    entry = data.index(b"av01", data.index(b"stsd")) + 4 + 24
    assert refusal(data[:entry] + u16(65535, 65535) + data[entry + 4 :]) == "too_many_pixels"
    header = data.index(b"edts") - 4 - 8
    assert refusal(data[:header] + u32(20_000 << 16, 1 << 16) + data[header + 8 :]) == "too_many_pixels"


COUNTS: dict[str, bytes] = {
    "items": build([picture()], change=replaced(b"iinf", u16(1) + u32(INFE), u16(0xFFFF) + u32(INFE))),
    "places": build([picture()], change=replaced(b"iloc", b"\x44\0" + u16(1), b"\x44\0" + u16(0xFFFF))),
    "places of no bytes": build(
        [picture()],
        change=lambda parts: parts.update(
            {b"iloc": full(b"iloc", b"\0\0", u16(4000), *(u16(n, 0, 65535) for n in range(4000)))}
        ),
    ),
    "properties of an item": build(
        [picture()],
        change=lambda parts: parts.update({b"ipma": full(b"ipma", u32(1), u16(1), b"\xff", b"\1" * 255)}),
    ),
    "associations": build([picture()], change=replaced(b"ipma", u32(1) + u16(1), u32(0xFFFFFFFF) + u16(1))),
    "references": build([picture()], *(reference(b"cdsc", 2, *[1] * 9000) for _ in range(2))),
    "properties": build([picture()], change=lambda parts: parts.update({b"ipco": box(b"ipco", box(b"free") * 5000)})),
    "members of a group": build([picture()], groups=box(b"grpl", full(b"altr", u32(1, 0xFFFFFFFF)))),
}


@pytest.mark.parametrize("data", COUNTS.values(), ids=COUNTS.keys())
def test_no_count_in_a_file_makes_a_long_loop(data):
    assert refusal(data) == "broken_image"


def test_a_large_picture_is_not_read_into_memory():
    class Watched(Source):
        most = 0

        def at(self, start: int, length: int) -> bytes:
            Watched.most = max(Watched.most, length)
            return super().at(start, length)

    data = bytes(20 << 20)
    item = Item(1, parts=(data,), properties=(ispe(), coded()[1]))
    source = Watched(build([item]))
    plan = avif.walk(source, LIMITS)
    assert plan.size > len(data)
    assert Watched.most < 10_000
    assert sum(len(piece) for piece in plan.pieces if isinstance(piece, bytes)) < 10_000
    assert boxes.MAX_BODY <= 8 << 20


# Whatever comes.

BASES = [
    SAMPLES[name] for name in ("still", "sequence", "a grid with an alpha grid", "a gain map", "all in the meta box")
]
NUMBERS = [
    bytes(4),
    u32(1),
    u32(0xFFFFFFFF),
    u32(0x80000000),
    u16(0, 2),
    u16(1, 1),
    u16(0xFFFF, 0),
    b"free",
    b"dimg",
    b"meta",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    base = draw(st.sampled_from(BASES))
    start = base.index(b"meta") if base.index(b"meta") > base.index(b"mdat") else 0
    place = st.integers(start, min(len(base), start + 2200) - 1)
    data = bytearray(base)
    for action in draw(st.lists(st.sampled_from(["flip", "number", "splice", "cut"]), min_size=1, max_size=4)):
        at = draw(place)
        if action == "flip":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif action == "number":
            data[at : at + 4] = draw(st.sampled_from(NUMBERS))
        elif action == "splice":
            other = draw(st.sampled_from(BASES))
            take = draw(st.integers(0, len(other)))
            data[at:at] = other[take : take + draw(st.integers(1, 300))]
        else:
            del data[at : at + draw(st.integers(1, 300))]
    return bytes(data)


def check_whatever_comes(data: bytes) -> None:
    try:
        clean = strip(data)
    except Fault:
        return
    assert strip(clean) == clean
    assert avif.recognises(clean[:64])


@given(damaged())
@settings(max_examples=300, deadline=None)
@example(b"")
@example(FTYP + u32(1) + b"meta" + b"\xff" * 8)
def test_damaged_files_are_refused_or_become_files_that_are_clean(data):
    check_whatever_comes(data)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_after_a_type_are_refused_or_become_files_that_are_clean(data):
    check_whatever_comes(FTYP + data)
    check_whatever_comes(FTYP + full(b"meta", HDLR, data))


# The corpus.


def corpus() -> list[tuple[str, str]]:
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        return []
    with (Path(folder) / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["file"], row["expected"]) for row in rows if row["format"] in ("avif", "heic")]


@pytest.mark.parametrize(("name", "expected"), corpus())
def test_a_file_of_the_corpus_is_stripped_or_refused_as_expected(name, expected):
    data = (Path(os.environ["TEST_CORPUS"]) / name).read_bytes()
    assert avif.recognises(data[:64]) is (expected != "reject-415")
    if expected != "accept":
        assert refusal(data) == "broken_image"
        return
    clean = strip(data)
    assert strip(clean) == clean
    assert by_pillow(clean) == by_pillow(data)
    assert by_libvips(clean) == by_libvips(data)
    plan = walk(data)
    assert (plan.width, plan.height) == shown_by_libvips(clean)
