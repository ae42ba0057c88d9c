"""JPEG: finds the gain map behind a picture, and lays out a clean file of both.

Source: Ultra HDR Image Format v1.1; ISO 21496-1 as libultrahdr and Skia implement it; CIPA DC-007-2009 for where the
map is; Apple's "Applying Apple HDR effect to your photos"; Skia (SkJpegMetadataDecoderImpl.cpp) for which image is one.

A gain map is a second JPEG behind the first. Three dialects tell its parameters: XMP with `hdrgm`, ISO 21496-1, and
Apple's own, of which a number may stand in maker notes. The picture has to announce the first two. All of it is written
anew from numbers: the dialects that a file has stay, and Apple's becomes both others. Any other image goes.

A map that is cut short, over the limits or of another shape than its picture is no map here. Whether it shows the same
as the picture is for a decoder to say.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from iuserver.imaging import iso21496, mpf, xmp
from iuserver.imaging.gain_parameters import Channel, Parameters
from iuserver.imaging.maker_notes import apple_headroom
from iuserver.imaging.plan import GainMap, Piece, Range, joined, size_of
from iuserver.imaging.source import Source

APP1, APP2 = 0xE1, 0xE2
WITH_LENGTH = frozenset({*range(0xC0, 0xFF)} - {*range(0xD0, 0xDB)})
"""All that stand before a picture's first scan."""
SOI = b"\xff\xd8"
NAMES = {APP1: (xmp.NAME,), APP2: (iso21496.NAME, mpf.NAME)}
"""The segments that tell of gain maps, and how their bodies begin."""
MAX_SEGMENTS = 200
MIN_SIDE = 8
MAX_BYTES = 16 * 1024 * 1024
"""Of the file of a gain map, which is decoded from memory."""
MAX_DIFFERENCE = 0.02
"""By which the ratio of the sides may differ: maps have whole pixels, too."""
Segment = tuple[int, bytes]
"""Where a segment begins, and its body."""


@dataclass(frozen=True, slots=True)
class Image:
    """A JPEG in parts: EXIF with what comes before it, the metadata behind it, and the picture with its end marker."""

    sides: tuple[int, int]
    exif: tuple[Piece | None, ...]
    other: tuple[Piece | None, ...]
    coded: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the application segments of an image say of gain maps."""

    xmp: xmp.Packet | None
    iso: bytes
    mpf: Segment | None


@dataclass(frozen=True, slots=True)
class _Dialects:
    """The parameters of a map in each of the dialects in which it is to be written."""

    hdrgm: Parameters | None
    iso: Parameters | None


def find(
    source: Source, picture: Image, end: int, tiff: bytes, walk: Callable[[Range], Image | None]
) -> GainMap | None:
    """The gain map of a picture that ends at `end` and has this TIFF structure as EXIF, or None.

    `walk` walks a further image, of which an index tells where it is, and is called once.
    """
    if source.size - end < len(SOI):
        return None
    marks = _marks(source, 0)
    for place in _candidates(marks, end, source.size):
        dialects = _dialects(marks, _marks(source, place[0]), tiff)
        if dialects:
            found = walk(place)
            return _laid_out(picture, found, dialects) if found and _fits(picture, found) else None
    return None


def _marks(source: Source, start: int) -> _Marks:
    """What the segments before the first scan say; of each kind the first counts."""
    found: dict[bytes, Segment] = {}
    for marker, at, length in _segments(source, start):
        name = next((name for name in NAMES[marker] if source.at(at + 4, len(name)) == name), None)
        if name and name not in found:
            found[name] = (at, source.at(at + 4, length))
    packet = xmp.parse(found[xmp.NAME][1]) if xmp.NAME in found else None
    return _Marks(packet, found.get(iso21496.NAME, (0, b""))[1], found.get(mpf.NAME))


def _segments(source: Source, start: int) -> Iterator[tuple[int, int, int]]:
    """Marker, start and length of the body of each APP1 and APP2 segment before the first scan of an image."""
    if source.at(start, 2) != SOI:
        return
    position = start + 2
    for _ in range(MAX_SEGMENTS):
        head = source.at(position, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] not in WITH_LENGTH:
            return
        length = int.from_bytes(head[2:], "big")
        if length < 2:
            return
        if head[1] in NAMES:
            yield head[1], position, length - 2
        position += 2 + length


def _candidates(marks: _Marks, end: int, size: int) -> list[Range]:
    """Where decoders look for a map: at the images of the index, then where the container says that one is."""
    found = []
    if marks.mpf:
        first = marks.mpf[0] + 4 + len(mpf.NAME)
        found = [(first + start, first + stop) for start, stop in mpf.read(marks.mpf[1])]
    place = xmp.map_place(marks.xmp) if marks.xmp is not None else None
    if place:
        found.append((end + place[0], end + place[1]))
    return [place for place in dict.fromkeys(found) if end <= place[0] < size]


def _dialects(picture: _Marks, other: _Marks, tiff: bytes) -> _Dialects | None:
    """In which dialects another image is the gain map of a picture, or None where it is not."""
    hdrgm = iso = None
    if picture.xmp is not None and other.xmp is not None and xmp.announces(picture.xmp):
        hdrgm = xmp.parameters(other.xmp)
    if iso21496.announces(picture.iso):
        iso = iso21496.read(other.iso)
    if not (hdrgm or iso) and other.xmp is not None and xmp.is_apple_map(other.xmp):
        hdrgm = iso = _of_apple(xmp.apple_headroom(other.xmp) or apple_headroom(tiff))
    return _Dialects(hdrgm, iso) if hdrgm or iso else None


def _of_apple(headroom: float | None) -> Parameters | None:
    """The parameters that come nearest to how Apple applies a map that reaches so many stops.

    Apple multiplies light by 1 + (2 ** headroom - 1) * map, and the map has the curve of Rec. 709. The others multiply
    it by 2 ** (headroom * map ** (1 / gamma)). The gamma is the one by which both do the same at half of the map.
    """
    if headroom is None or not 0 < headroom <= 8:
        return None
    half = ((0.5 + 0.099) / 1.099) ** (1 / 0.45)
    share = math.log2(1 + (2**headroom - 1) * half) / headroom
    gamma, stops = (Fraction(f"{value:.6f}") for value in (math.log(0.5) / math.log(share), headroom))
    none = Fraction(0)
    parameters = Parameters((Channel(none, stops, gamma, none, none),), none, stops)
    return parameters if parameters.sound else None


def _fits(picture: Image, found: Image) -> bool:
    """Whether an image is large enough to be a map, and has the shape of the picture."""
    (width, height), (map_width, map_height) = picture.sides, found.sides
    difference = abs(map_width * height - map_height * width)
    return min(found.sides) >= MIN_SIDE and difference <= MAX_DIFFERENCE * map_height * width


def _laid_out(picture: Image, found: Image, dialects: _Dialects) -> GainMap | None:
    """The clean file: the picture, which tells where its map is, and the map, which tells how it is applied."""
    applied = [
        _segment(APP1, xmp.of_map(dialects.hdrgm)) if dialects.hdrgm else None,
        _segment(APP2, iso21496.write(dialects.iso)) if dialects.iso else None,
    ]
    alone = joined([SOI, *found.exif, *applied, *found.other, *found.coded])
    length = size_of(alone)
    if length > MAX_BYTES:
        return None
    announced = [
        _segment(APP1, xmp.of_primary(length)) if dialects.hdrgm else None,
        _segment(APP2, iso21496.ANNOUNCEMENT) if dialects.iso else None,
    ]
    before = joined([SOI, *picture.exif, *announced])
    behind = joined([*picture.other, *picture.coded])
    index = size_of(before) + 4 + len(mpf.NAME)
    total = index + mpf.SIZE - len(mpf.NAME) + size_of(behind)
    pieces = joined([*before, _segment(APP2, mpf.write(total, total - index, length)), *behind, *alone])
    return GainMap(alone, found.sides, pieces)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
