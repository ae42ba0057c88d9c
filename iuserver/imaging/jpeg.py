"""JPEG: walk every marker, keep what makes the picture.

Source: ITU-T T.81 (ISO/IEC 10918-1) annex B for the markers, T.871 for JFIF, T.872 for APP14 Adobe,
ICC.1:2022 annex B.4 for APP2 ICC_PROFILE. Where a file contradicts T.81, libjpeg decides, as browsers use it.

Kept: SOI DQT DHT SOFn SOS and scan data DRI DAC DNL EOI; APP0 JFIF without its thumbnail, APP2 ICC, APP14 Adobe.
An EXIF orientation stays as it stood, and beside it a density that browsers lay the picture out by, alone in an EXIF
block of their own. Everything else goes, also between scans: EXIF, XMP, IPTC, MPF, JFXX, comments, unknown APPn, fill
bytes, tables behind the last scan, and every byte after EOI.

Entropy-coded data is not decoded here, so in five cases the walk cannot be sure of what it found: EOI is missing; bytes
of no known kind follow it, so that it may be a chance one within a trailer; a marker stands in a scan where none may
be; junk stands between scans; or a scan follows those that make the whole picture. Then the plan has a Doubt, for a
decoder to settle.

What this cannot see: bytes that a decoder would skip inside the data of a scan, and a scan that a later one draws over.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from iuserver.errors import Fault
from iuserver.imaging import icc, left_out
from iuserver.imaging.exif import read_layout
from iuserver.imaging.jpeg_doubt import CUT_SHORT, Coded, doubt_of, ends_at
from iuserver.imaging.plan import Limits, Piece, Plan, Range, broken, joined
from iuserver.imaging.source import Source

MAGIC = b"\xff\xd8\xff"

SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SOF0, BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC0, 0xC1, 0xC2
DHT, DAC, RST0, SOI, EOI, SOS, DQT, DNL, DRI, COM = 0xC4, 0xCC, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
APP = frozenset(range(0xE0, 0xF0))
WITHOUT_LENGTH = frozenset({0x01, *range(RST0, SOI)})
SKIPPED = frozenset({*APP, COM, DNL})
"""Segments that decoders skip; a length that is too small to be one they take for 2."""
NAMED = frozenset({COM, *APP}) - {APP2, APP14}
"""Segments that go, or are written anew, and say what is in them."""
BETWEEN_SCANS = frozenset({*SOF, DHT, DAC, SOI, EOI, SOS, DQT, DRI, *SKIPPED})

# 60 MB of metadata are a thousand segments; a file made of nothing but empty ones would only take time.
MAX_SEGMENTS = 10_000
MAX_PADDING = 64 * 1024

JFIF = b"JFIF\0"
EXIF = b"Exif\0"  # and a byte that the specification wants to be 0, and Chromium does not look at
TIFF = 6  # where the TIFF structure begins in an EXIF block
ICC = b"ICC_PROFILE\0"
ICC_HEADER = len(ICC) + 2  # the part's number, and how many there are
MAX_PART = 65_533 - ICC_HEADER
ADOBE = b"Adobe"

MARKER = re.compile(rb"\xff[^\x00\xff]")
NO_RESTART = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
NO_RESTART_NOR_RESERVED = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True)
class _Exif:
    """The EXIF block that counts, the first: where it starts, whether it is the first APP1, and its TIFF structure."""

    start: int
    first_app1: bool
    regular: bool
    tiff: bytes


@dataclass
class _Walk:
    """What has been seen so far. The JFIF and Adobe segments that count are the last ones before the first scan.

    `odd` is set where something stands behind the first scan that has no place there. `whole` is the picture before a
    scan that draws over it.
    """

    segments: int = 0
    frame: tuple[int, int] | None = None
    restart_interval: int = 0
    coded: Coded = field(default_factory=Coded)
    whole: Coded | None = None
    odd: bool = False
    ended: bool = False
    eoi: Piece = b"\xff\xd9"
    app1: int = 0
    exif: _Exif | None = None
    jfif: Piece | None = None
    adobe: Piece | None = None
    icc: list[tuple[int, int, Range]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a JPEG to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_scans."""
    seen = _Walk()
    try:
        _walk(source, limits, seen)
    except Fault as fault:
        if fault.code != "broken_image" or not seen.coded.data:
            raise  # else the picture may be whole, and what is behind it a trailer
    if not seen.frame or not seen.coded.data:
        broken("it has no picture in it")
    return _plan(source, limits, seen)


def _walk(source: Source, limits: Limits, seen: _Walk) -> None:
    position = len(b"\xff\xd8")
    while True:
        marker, start = _next_marker(source, position)
        seen.segments += 1
        if seen.segments > MAX_SEGMENTS:
            broken("it has far too many segments")
        if seen.coded.data:
            seen.odd |= marker not in BETWEEN_SCANS or _is_junk(source, position, start)
        if marker == EOI:
            seen.eoi = (start, start + 2)
            seen.ended = ends_at(source, start + 2)
            seen.removed |= {"trailer"} if source.size > start + 2 else set()
            return
        if marker in WITHOUT_LENGTH:
            position = start + 2
            continue
        stop = _segment_end(source, marker, start)
        if marker == SOS and seen.coded.data and seen.coded.complete:
            if seen.coded.one_scan:
                return
            seen.whole = seen.whole or seen.coded.before_it_is_redrawn()
        _SEGMENTS.get(marker, _remove)(source, seen, (start, stop))
        if marker in NAMED:
            _note_removed(source, seen, marker, (start, stop))
        if marker in SOF and seen.frame:
            limits.check_frame(*seen.frame)
        if marker == SOS:
            limits.check_scans(len(seen.coded.scans))
            stop = _end_of_scan(source, seen, stop)
        position = stop


def _next_marker(source: Source, position: int) -> tuple[int, int]:
    """The next marker and where it starts. Bytes before it, which decoders skip, are thereby left out."""
    start = source.search(MARKER, position)
    if start < 0:
        broken(CUT_SHORT)
    return source.at(start + 1, 1)[0], start


def _is_junk(source: Source, start: int, stop: int) -> bool:
    """Whether anything stands there but the few fill bytes that may precede a marker (T.81, B.1.1.2)."""
    return stop > start and source.at(start, min(stop - start, MAX_PADDING)).strip(b"\xff") != b""


def _segment_end(source: Source, marker: int, start: int) -> int:
    field = source.at(start + 2, 2)
    length = int.from_bytes(field, "big")
    if marker in SKIPPED:
        length = max(length, 2)
    if len(field) < 2 or length < 2 or start + 2 + length > source.size:
        broken("it is cut short, or a segment has a wrong length")
    return start + 2 + length


def _end_of_scan(source: Source, seen: _Walk, start: int) -> int:
    """Where a decoder stops reading a scan's data: at any marker, but for restarts where the file has them.

    There it also looks for the next restart behind a marker of no known kind, which only damage can have put there.
    """
    stop = source.search(NO_RESTART if seen.restart_interval else MARKER, start)
    if seen.restart_interval and stop >= 0 and source.at(stop + 1, 1)[0] < SOF0:
        seen.odd = True
        stop = source.search(NO_RESTART_NOR_RESERVED, stop)
    seen.coded.data = (start, stop if stop >= 0 else source.size)
    seen.coded.pieces.append(seen.coded.data)
    if stop < 0:
        broken(CUT_SHORT)
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
    seen.coded.begin_frame(source, segment)


def _scan(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if not seen.frame:
        broken("a scan comes before its frame header")
    if not body or len(body) != 4 + 2 * body[0]:
        broken("a scan header has a wrong length")
    seen.coded.begin_scan(segment, body)


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


def _restart_interval(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    _keep_if(len(body) == 2, "restart interval", seen, segment)
    seen.restart_interval = int.from_bytes(body, "big")


def _line_count(source: Source, seen: _Walk, segment: Range) -> None:
    if len(_body(source, segment)) == 2:
        seen.coded.pieces.append(segment)


def _keep_if(right: bool, what: str, seen: _Walk, segment: Range) -> None:
    if not right:
        broken(f"a {what} has a wrong length")
    seen.coded.pieces.append(segment)


def _note_removed(source: Source, seen: _Walk, marker: int, segment: Range) -> None:
    """Note what kind of thing goes with a segment. Of the EXIF block that counts that is told when it is written."""
    head = source.at(segment[0] + 4, min(segment[1] - segment[0] - 4, left_out.LOOKED_AT))
    if marker == APP0 and head.startswith(JFIF):
        seen.removed |= {"thumbnail"} if any(head[12:14]) else set()
    elif marker == APP1 and head.startswith(EXIF):
        if "exif" not in seen.removed and not (seen.exif and seen.exif.start == segment[0]):
            seen.removed |= left_out.of_exif(_body(source, segment)[TIFF:])
    elif kind := left_out.of_jpeg_segment(marker, head):
        seen.removed.add(kind)


def _app0(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.coded.scans or len(body) < 14 or not body.startswith(JFIF):
        return
    exact = len(body) == 14 and body[12:14] == b"\0\0"
    seen.jfif = segment if exact else b"\xff\xe0\x00\x10" + body[:12] + b"\0\0"


def _app1(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.coded.scans:
        return
    if not seen.exif and body.startswith(EXIF) and len(body) > TIFF:
        seen.exif = _Exif(segment[0], not seen.app1, body[TIFF - 1] == 0, body[TIFF:])
    seen.app1 += 1


def _app2(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if not seen.coded.scans and body.startswith(ICC) and len(body) > len(ICC) + 2:
        seen.icc.append((body[len(ICC)], body[len(ICC) + 1], segment))
    else:
        seen.removed |= {"other"} if body else set()


def _app14(source: Source, seen: _Walk, segment: Range) -> None:
    body = _body(source, segment)
    if seen.coded.scans or len(body) < 12 or not body.startswith(ADOBE):
        return
    seen.adobe = segment if len(body) == 12 else b"\xff\xee\x00\x0e" + body[:12]


_SEGMENTS = {
    **dict.fromkeys(SOF, _frame),
    SOS: _scan,
    DQT: _quantization,
    DHT: _huffman,
    DAC: _arithmetic,
    DRI: _restart_interval,
    DNL: _line_count,
    APP0: _app0,
    APP1: _app1,
    APP2: _app2,
    APP14: _app14,
}


# The pieces of the clean file.


def _plan(source: Source, limits: Limits, seen: _Walk) -> Plan:
    assert seen.frame
    layout = read_layout(seen.exif.tiff if seen.exif else b"", seen.frame)
    limits.check_frame(*layout.sides)
    exif = _exif_segments(seen.exif, layout.tiff)
    profile = _icc_profile(source, seen.icc)
    seen.removed |= left_out.of_exif(seen.exif.tiff, layout.tiff) if seen.exif else set()
    seen.removed |= {"other"} if len(profile) < len(seen.icc) else set()
    metadata = [(0, 2), seen.jfif, exif, *profile, seen.adobe]
    colours = [(0, 2), seen.jfif, seen.adobe]
    coded = seen.whole or seen.coded
    sound = seen.ended and not seen.odd and not seen.whole
    doubt = None if sound else doubt_of(source, coded, metadata, colours, seen.ended)
    pieces = joined([*metadata, *_needed(source, coded), seen.eoi])
    removed = frozenset(seen.removed)
    return Plan("image/jpeg", "jpg", *seen.frame, 1, layout.orientation, pieces, doubt, layout.sides, removed)


def _needed(source: Source, coded: Coded) -> Iterator[Range]:
    """The pieces without tables behind the last scan, which nobody reads. DNL has its place there (T.81, B.2.5)."""
    assert coded.data
    for piece in coded.pieces:
        if piece[0] <= coded.data[0] or source.at(piece[0] + 1, 1)[0] == DNL:
            yield piece


def _exif_segments(exif: _Exif | None, tiff: bytes) -> bytes | None:
    """The EXIF block with this in it alone. Firefox heeds the first APP1 alone: an empty one stays first."""
    if not exif or not tiff:
        return None
    body = EXIF + (b"\0" if exif.regular else b"\xff") + tiff
    return (b"" if exif.first_app1 else _segment(APP1, b"")) + _segment(APP1, body)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _icc_profile(source: Source, chunks: list[tuple[int, int, Range]]) -> list[Piece]:
    """The segments of the first whole profile, which Chromium goes by, without what stands behind the profile's end."""
    segments = _first_whole(chunks)
    ranges = [(start + 4 + ICC_HEADER, stop) for start, stop in segments]
    room = sum(stop - start for start, stop in ranges)
    head = b"".join(source.at(start, min(stop - start, icc.HEADER)) for start, stop in ranges)
    length = icc.length(head[: icc.HEADER], room)
    if length is None:
        return []
    if length == room:
        return [*segments]
    profile = b"".join(source.at(start, stop - start) for start, stop in ranges)[:length]
    parts = [profile[start : start + MAX_PART] for start in range(0, length, MAX_PART)]
    return [_segment(APP2, ICC + bytes([number, len(parts)]) + part) for number, part in enumerate(parts, 1)]


def _first_whole(chunks: list[tuple[int, int, Range]]) -> list[Range]:
    """The segments that make the first profile, in order, or none where one is missing, doubled or of another count."""
    found: dict[int, Range] = {}
    for number, count, segment in chunks:
        if count != chunks[0][1] or not 1 <= number <= count or number in found:
            return []
        found[number] = segment
        if len(found) == count:
            return [found[number] for number in sorted(found)]
    return []
