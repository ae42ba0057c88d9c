"""JPEG: walk every marker, keep what makes the picture.

Source: ITU-T T.81 (ISO/IEC 10918-1) annex B for the markers, T.871 for JFIF, T.872 for APP14 Adobe,
ICC.1:2022 annex B.4 for APP2 ICC_PROFILE.

Kept: SOI DQT DHT SOFn SOS and scan data DRI DAC DNL EOI; APP0 JFIF without its thumbnail, APP2 ICC, APP14 Adobe.
An EXIF orientation other than 1 stays, alone in an EXIF block of its own. Everything else goes, also between
scans: EXIF, XMP, IPTC, MPF, JFXX, comments, unknown APPn, fill bytes, and every byte after EOI.

What this cannot see: bytes that a decoder would skip inside entropy-coded data (it is not decoded here).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from iuserver.imaging.exif import Orientation, read_orientation
from iuserver.imaging.plan import Limits, Piece, Plan, Range, broken, joined
from iuserver.imaging.source import Source

MAGIC = b"\xff\xd8\xff"

SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
DHT, DAC, SOI, EOI, SOS, DQT, DNL, DRI = 0xC4, 0xCC, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})

# 60 MB of metadata are a thousand segments; a file made of nothing but empty ones would only take time.
MAX_SEGMENTS = 10_000

JFIF = b"JFIF\0"
EXIF = b"Exif\0"  # and a byte that the specification wants to be 0, and Chromium does not look at
TIFF = 6  # where the TIFF structure begins in an EXIF block
ICC = b"ICC_PROFILE\0"
ADOBE = b"Adobe"

MARKER = re.compile(rb"\xff[^\x00\xff]")
AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class _Exif:
    """The EXIF block that counts, the first: whether it is the first APP1, and what it tells."""

    first_app1: bool
    regular: bool
    orientation: Orientation


@dataclass
class _Walk:
    """What has been seen so far. The JFIF and Adobe segments that count are the last ones before the first scan."""

    segments: int = 0
    frame: tuple[int, int] | None = None
    scans: int = 0
    app1: int = 0
    exif: _Exif | None = None
    jfif: Piece | None = None
    adobe: Piece | None = None
    icc: list[tuple[int, int, Range]] = field(default_factory=list)
    rest: list[Range] = field(default_factory=list)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a JPEG to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_scans."""
    seen = _Walk()
    position = len(b"\xff\xd8")
    while True:
        marker, start = _next_marker(source, position)
        if marker == EOI:
            seen.rest.append((start, start + 2))
            return _plan(source, seen)
        if marker in WITHOUT_LENGTH:
            position = start + 2
            continue
        stop = _segment_end(source, start)
        seen.segments += 1
        if seen.segments > MAX_SEGMENTS:
            broken("it has far too many segments")
        _SEGMENTS.get(marker, _remove)(source, seen, (start, stop))
        if marker in SOF and seen.frame:
            limits.check_frame(*seen.frame)
        if marker == SOS:
            limits.check_scans(seen.scans)
            stop = _end_of_scan(source, stop)
            seen.rest[-1] = (start, stop)
        position = stop


def _next_marker(source: Source, position: int) -> tuple[int, int]:
    """The next marker and where it starts. Bytes before it, which decoders skip, are thereby left out."""
    start = source.search(MARKER, position)
    if start < 0:
        broken("it ends before its end-of-image marker")
    return source.at(start + 1, 1)[0], start


def _segment_end(source: Source, start: int) -> int:
    length = source.at(start + 2, 2)
    stop = start + 2 + int.from_bytes(length, "big")
    if len(length) < 2 or stop < start + 4 or stop > source.size:
        broken("a segment is cut short")
    return stop


def _end_of_scan(source: Source, position: int) -> int:
    stop = source.search(AFTER_SCAN, position)
    if stop < 0:
        broken("it ends in the middle of its picture data")
    return stop


def _body(source: Source, segment: Range) -> bytes:
    return source.at(segment[0] + 4, segment[1] - segment[0] - 4)


# One function a kind of segment: check it, note what it says, keep it or not.


def _remove(source: Source, seen: _Walk, segment: Range) -> None:
    if source.at(segment[0] + 1, 1)[0] == SOI:
        broken("a second image starts before the first one has ended")


def _frame(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.frame:
        broken("it has two frames")
    if len(body) < 6 or len(body) != 6 + 3 * body[5] or body[5] == 0:
        broken("its frame header has a wrong length")
    height, width = struct.unpack_from(">HH", body, 1)
    if not (width and height):
        broken("it has no size")
    seen.frame = (width, height)
    seen.rest.append(segment)


def _scan(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if not seen.frame:
        broken("a scan comes before its frame header")
    if not body or len(body) != 4 + 2 * body[0]:
        broken("a scan header has a wrong length")
    seen.scans += 1
    seen.rest.append(segment)


def _quantization(source: Source, seen: _Walk, segment: Range) -> None:
    body, position = _body(source, segment), 0
    while position < len(body):
        position += 129 if body[position] >> 4 else 65
    _keep_if(position == len(body), "quantization table", seen, segment)


def _huffman(source: Source, seen: _Walk, segment: Range) -> None:
    body, position = _body(source, segment), 0
    while position < len(body):
        position += 17 + sum(body[position + 1 : position + 17])
    _keep_if(position == len(body), "Huffman table", seen, segment)


def _arithmetic(source: Source, seen: _Walk, segment: Range) -> None:
    _keep_if(len(_body(source, segment)) % 2 == 0, "arithmetic coding table", seen, segment)


def _two_bytes(source: Source, seen: _Walk, segment: Range) -> None:
    _keep_if(len(_body(source, segment)) == 2, "restart interval or line count", seen, segment)


def _keep_if(right: bool, what: str, seen: _Walk, segment: Range) -> None:
    if not right:
        broken(f"a {what} has a wrong length")
    seen.rest.append(segment)


def _app0(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.scans or len(body) < 14 or not body.startswith(JFIF):
        return
    exact = len(body) == 14 and body[12:14] == b"\0\0"
    seen.jfif = segment if exact else b"\xff\xe0\x00\x10" + body[:12] + b"\0\0"


def _app1(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.scans:
        return
    if not seen.exif and body.startswith(EXIF) and len(body) > TIFF:
        seen.exif = _Exif(not seen.app1, body[TIFF - 1] == 0, read_orientation(body[TIFF:]))
    seen.app1 += 1


def _app2(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if not seen.scans and body.startswith(ICC) and len(body) > len(ICC) + 2:
        seen.icc.append((body[len(ICC)], body[len(ICC) + 1], segment))


def _app14(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.scans or len(body) < 12 or not body.startswith(ADOBE):
        return
    seen.adobe = segment if len(body) == 12 else b"\xff\xee\x00\x0e" + body[:12]


_SEGMENTS = {
    **dict.fromkeys(SOF, _frame),
    SOS: _scan,
    DQT: _quantization,
    DHT: _huffman,
    DAC: _arithmetic,
    DRI: _two_bytes,
    DNL: _two_bytes,
    APP0: _app0,
    APP1: _app1,
    APP2: _app2,
    APP14: _app14,
}


def _plan(source: Source, seen: _Walk) -> Plan:
    if not seen.frame or not seen.scans:
        broken("it has no picture in it")
    pieces = [(0, 2), seen.jfif, _exif_segments(seen.exif), *_icc_profile(source, seen.icc), seen.adobe, *seen.rest]
    width, height = seen.frame
    shown = seen.exif.orientation.shown if seen.exif else 1
    return Plan("image/jpeg", "jpg", width, height, 1, shown, joined(pieces))


def _exif_segments(exif: _Exif | None) -> bytes | None:
    """The EXIF block with the orientation alone. Firefox heeds the first APP1 alone: an empty one stays first."""
    if not exif or not exif.orientation.tiff:
        return None
    body = EXIF + (b"\0" if exif.regular else b"\xff") + exif.orientation.tiff
    before = b"" if exif.first_app1 else b"\xff\xe1\x00\x02"
    return before + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _icc_profile(source: Source, chunks: list[tuple[int, int, Range]]) -> list[Range]:
    """The profile's segments in order, or nothing where they are not one whole ICC profile."""
    chunks = sorted(chunks)
    if [number for number, _, _ in chunks] != list(range(1, len(chunks) + 1)):
        return []
    if any(count != len(chunks) for _, count, _ in chunks):
        return []
    if chunks and source.at(chunks[0][2][0] + 4 + len(ICC) + 2 + 36, 4) != b"acsp":
        return []
    return [segment for _, _, segment in chunks]
