"""PNG and APNG: walk every chunk with its CRC, keep what makes the picture.

Source: W3C "Portable Network Graphics (PNG) Specification (Third Edition)", sections 5 and 11; its CRC is ISO 3309's.

Kept: IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT cICP mDCV cLLI bKGD hIST sPLT pHYs acTL fcTL fdAT.
An eXIf orientation other than 1 stays, alone in an eXIf chunk of its own. Everything else goes: tEXt zTXt iTXt
eXIf tIME, unknown chunks, repeated ones of which there may be one, ones of a length they cannot have, and every
byte after IEND.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from iuserver.imaging.exif import UPRIGHT, Orientation, read_orientation
from iuserver.imaging.plan import Limits, Piece, Plan, broken, joined
from iuserver.imaging.source import Source

MAGIC = b"\x89PNG\r\n\x1a\n"

# Chunks that may stand once, and the lengths that they may have.
ONCE: dict[bytes, range] = {
    b"PLTE": range(3, 769, 3),
    b"tRNS": range(1, 257),
    b"gAMA": range(4, 5),
    b"cHRM": range(32, 33),
    b"sRGB": range(1, 2),
    b"iCCP": range(3, 1 << 31),
    b"sBIT": range(1, 5),
    b"cICP": range(4, 5),
    b"mDCV": range(24, 25),
    b"cLLI": range(8, 9),
    b"bKGD": range(1, 7),
    b"hIST": range(2, 513, 2),
    b"pHYs": range(9, 10),
    b"acTL": range(8, 9),
}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
MAX_CHUNK = (1 << 31) - 1
MAX_EXIF = 1 << 20
MAX_CHUNKS = 100_000  # encoders write 8 KiB and more into one; a file made of empty ones would only take time


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    data: int
    length: int

    @property
    def stop(self) -> int:
        return self.data + self.length + 4


@dataclass
class _Walk:
    """What has been seen so far."""

    size: tuple[int, int] = (0, 0)
    orientation: Orientation | None = None
    kinds: set[bytes] = field(default_factory=set)
    ended_data: bool = False
    sequence: int = 0
    frames_declared: int = 0
    frames: int = 0
    pixels: int = 0
    frame_data: bool = True
    pieces: list[Piece | None] = field(default_factory=list)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a PNG to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_frames."""
    seen = _Walk(pieces=[(0, len(MAGIC))])
    for number, chunk in enumerate(_chunks(source)):
        if number == MAX_CHUNKS:
            broken("it has far too many chunks")
        if chunk.kind != b"IHDR" and not seen.kinds:
            broken("it does not begin with its header")
        _CHUNKS.get(chunk.kind, _ancillary)(source, seen, limits, chunk)
        seen.ended_data |= chunk.kind != b"IDAT" and b"IDAT" in seen.kinds
        seen.kinds.add(chunk.kind)
    return _plan(seen)


def _chunks(source: Source) -> Iterator[_Chunk]:
    """Every chunk up to IEND, whole and with its CRC right."""
    position = len(MAGIC)
    while True:
        head = source.at(position, 8)
        if len(head) < 8:
            broken("it ends before its end chunk")
        length, kind = struct.unpack(">I4s", head)
        chunk = _Chunk(kind, position, position + 8, length)
        if length > MAX_CHUNK or chunk.stop > source.size:
            broken("a chunk is cut short")
        stored = int.from_bytes(source.at(chunk.stop - 4, 4), "big")
        if source.crc32(chunk.start + 4, chunk.stop - 4) != stored:
            broken("the checksum of a chunk is wrong")
        yield chunk
        if kind == b"IEND":
            return
        position = chunk.stop


# One function a kind of chunk: check it, note what it says, keep it or not.


def _keep(seen: _Walk, chunk: _Chunk) -> None:
    seen.pieces.append((chunk.start, chunk.stop))


def _ihdr(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if chunk.length != 13 or seen.kinds:
        broken("its header is wrong")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(
        ">IIBBBBB", source.at(chunk.data, 13)
    )
    if not (0 < width <= MAX_CHUNK and 0 < height <= MAX_CHUNK) or compression or filtering or interlace > 1:
        broken("its header is wrong")
    if depth not in DEPTHS.get(colour, ()):
        broken("its header has no such colours")
    limits.check_frame(width, height)
    seen.size = (width, height)
    _keep(seen, chunk)
    seen.pieces.append(None)  # the place of the lone orientation


def _idat(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.ended_data:
        broken("its picture data is interrupted")
    seen.frame_data = True
    _keep(seen, chunk)


def _iend(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if chunk.length:
        broken("its end chunk has something in it")
    if b"IDAT" not in seen.kinds:
        broken("it has no picture in it")
    if seen.frames != seen.frames_declared or not seen.frame_data:
        broken("it has other frames than it declares")
    _keep(seen, chunk)


def _exif(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.orientation is None:
        seen.orientation = read_orientation(source.at(chunk.data, min(chunk.length, MAX_EXIF)))


def _suggested_palette(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if b"IDAT" not in seen.kinds:
        _keep(seen, chunk)


def _animation(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if b"IDAT" in seen.kinds or b"acTL" in seen.kinds or chunk.length != 8:
        broken("its animation header is wrong")
    (seen.frames_declared,) = struct.unpack_from(">I", source.at(chunk.data, 8))
    if not seen.frames_declared:
        broken("its animation has no frames")
    limits.check_frames(seen.frames_declared, seen.pixels)
    _keep(seen, chunk)


def _frame_control(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if not seen.frames_declared:
        return  # not an APNG: libpng knows no such chunk either
    if chunk.length != 26 or (seen.frames and not seen.frame_data):
        broken("a frame of its animation is wrong")
    sequence, width, height, left, top = struct.unpack_from(">IIIII", source.at(chunk.data, 26))
    _check_sequence(seen, sequence)
    if not (width and height) or left + width > seen.size[0] or top + height > seen.size[1]:
        broken("a frame of its animation is wrong")
    seen.frames += 1
    seen.pixels += width * height
    seen.frame_data = False
    limits.check_frames(seen.frames, seen.pixels)
    _keep(seen, chunk)


def _frame_data(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if not seen.frames_declared:
        return
    if chunk.length < 4 or not seen.frames or b"IDAT" not in seen.kinds:
        broken("a frame of its animation is wrong")
    _check_sequence(seen, int.from_bytes(source.at(chunk.data, 4), "big"))
    seen.frame_data = True
    _keep(seen, chunk)


def _check_sequence(seen: _Walk, number: int) -> None:
    if number != seen.sequence:
        broken("the frames of its animation are out of order")
    seen.sequence += 1


def _ancillary(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    known = chunk.length in ONCE.get(chunk.kind, ())
    if not known and chunk.kind[0] & 0x20 == 0:
        broken("it has a critical chunk that no specification knows, or one of a wrong length")
    if known and chunk.kind not in seen.kinds and b"IDAT" not in seen.kinds:
        _keep(seen, chunk)


_CHUNKS = {
    b"IHDR": _ihdr,
    b"IDAT": _idat,
    b"IEND": _iend,
    b"eXIf": _exif,
    b"sPLT": _suggested_palette,
    b"acTL": _animation,
    b"fcTL": _frame_control,
    b"fdAT": _frame_data,
}


def _plan(seen: _Walk) -> Plan:
    orientation = seen.orientation or UPRIGHT
    if orientation.tiff:
        seen.pieces[2] = _chunk_bytes(b"eXIf", orientation.tiff)
    return Plan("image/png", "png", *seen.size, max(1, seen.frames), orientation.shown, joined(seen.pieces))


def _chunk_bytes(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
