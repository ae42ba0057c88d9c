"""PNG and APNG: walk every chunk with its CRC, keep what makes the picture.

Source: W3C "Portable Network Graphics (PNG) Specification (Third Edition)", sections 5 and 11; its CRC is ISO 3309's.

Kept: IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT cICP mDCV cLLI bKGD pHYs acTL fcTL fdAT. Of iCCP the
profile alone stays, under a name that is always the same. The orientation in the first eXIf stays in an eXIf of its
own, before or behind the picture data, where it stood: browsers heed it before it only. Everything else goes: sPLT
tEXt zTXt iTXt tIME, unknown chunks, repeated ones of which there may be one, ones of a length they cannot have, ones
with a wrong CRC, and every byte after IEND.

What ends without IEND is a whole picture if the last of its compressed streams has all the rows: that one is inflated.
Of an animation those frames stay that browsers play: as many as declared, and none from a gap in the sequence on.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from iuserver.imaging import icc, left_out
from iuserver.imaging.exif import Orientation, read_orientation
from iuserver.imaging.plan import Limits, Piece, Plan, Range, broken, joined
from iuserver.imaging.source import Source

MAGIC = b"\x89PNG\r\n\x1a\n"

# Chunks that may stand once, and the lengths that they may have.
ONCE: dict[bytes, range] = {
    b"PLTE": range(3, 769, 3),
    b"tRNS": range(1, 257),
    b"gAMA": range(4, 5),
    b"cHRM": range(32, 33),
    b"sRGB": range(1, 2),
    b"sBIT": range(1, 5),
    b"cICP": range(4, 5),
    b"mDCV": range(24, 25),
    b"cLLI": range(8, 9),
    b"bKGD": range(1, 7),
    b"pHYs": range(9, 10),
}
# How many bytes a colour takes in these depends on the picture's kind of colours.
PALETTE = 3
TRANSPARENT = {0: 2, 2: 6, PALETTE: 1}
EXACT = {
    b"sBIT": {0: 1, 2: 3, PALETTE: 3, 4: 2, 6: 4},
    b"bKGD": {0: 2, 2: 6, PALETTE: 1, 4: 2, 6: 6},
}
WRONG: dict[bytes, Callable[[int], bool]] = {
    b"gAMA": lambda value: not 0 < value < 1 << 31,
    b"sRGB": lambda value: value > 3,
}
"""Values that one browser ignores, and then takes those of the next chunk of the kind. Another does not."""
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
MAX_CHUNK = (1 << 31) - 1
MAX_EXIF = 1 << 20
MAX_CHUNKS = 100_000  # encoders write 8 KiB and more into one; a file made of empty ones would only take time


# What a wrong CRC in them damages cannot be left out: all other chunks can. Without acTL browsers show a still.
NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"fcTL", b"fdAT"})
# The passes of an interlaced picture: the first column and row of each, and how far apart the others are.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

MAX_PROFILE = 16 * 1024 * 1024
LONGEST_NAME = 79
PROFILE_NAME = b"ICC Profile\0\0"
"""The name that every profile gets, with the compression method behind it."""

INFLATED = 1024 * 1024
END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk that is all there. It is intact if its CRC is right."""

    kind: bytes
    start: int
    data: int
    length: int
    intact: bool

    @property
    def stop(self) -> int:
        return self.data + self.length + 4

    @property
    def counts(self) -> bool:
        """Whether it is noted as seen as soon as it is intact. Those of ONCE are when they are kept."""
        return self.kind == b"IEND" or (self.intact and self.kind not in ONCE)


@dataclass
class _Animation:
    """The first acTL that declares frames, and the frames: for each the places of its chunks among the pieces."""

    header: int | None = None
    declared: int = 0
    plays: bytes = b""
    sequence: int = 0
    pixels: int = 0
    over: bool = False
    frames: list[list[int]] = field(default_factory=list)


@dataclass
class _Walk:
    """What has been seen so far. `stream` is the last picture's compressed data, and `sides` are its width and height.

    `profiled` tells that Firefox has its colour profile, `settled` that Chromium has looked at the only one it will.
    `palette` is the number of its colours.
    """

    size: tuple[int, int] = (0, 0)
    depth: int = 0
    colour: int = 0
    palette: int = 0
    pixel_bits: int = 0
    interlaced: bool = False
    orientation: Orientation | None = None
    turned: int = 1
    kinds: set[bytes] = field(default_factory=set)
    wrong: set[bytes] = field(default_factory=set)
    profiled: bool = False
    settled: bool = False
    ended_data: bool = False
    animation: _Animation = field(default_factory=_Animation)
    stream: list[Range] = field(default_factory=list)
    sides: tuple[int, int] = (0, 0)
    pieces: list[Piece | None] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a PNG to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_frames."""
    seen = _Walk(pieces=[(0, len(MAGIC))])
    stop = len(MAGIC)
    for number, chunk in enumerate(_chunks(source)):
        if number == MAX_CHUNKS:
            broken("it has far too many chunks")
        if chunk.kind != b"IHDR" and not seen.kinds:
            broken("it does not begin with its header")
        if not chunk.intact and chunk.kind in NEEDED:
            broken(f"a part that the picture needs ({chunk.kind.decode()}) is damaged, its checksum is wrong")
        before, stop = len(seen.pieces), chunk.stop
        _CHUNKS.get(chunk.kind, _ancillary)(source, seen, limits, chunk)
        if len(seen.pieces) == before and chunk.kind != b"eXIf":
            head = source.at(chunk.data, min(chunk.length, left_out.LOOKED_AT))
            seen.removed.add(left_out.of_chunk(chunk.kind, head))
        seen.ended_data |= chunk.kind != b"IDAT" and b"IDAT" in seen.kinds
        if chunk.counts:
            seen.kinds.add(chunk.kind)
    _end(source, seen)
    seen.removed |= {"trailer"} if stop < source.size else set()
    return _plan(source, seen)


def _chunks(source: Source) -> Iterator[_Chunk]:
    """Every chunk up to IEND, or to where no whole chunk follows."""
    position, kind = len(MAGIC), b""
    while kind != b"IEND":
        head = source.at(position, 8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        length, kind = struct.unpack(">I4s", head)
        stop = position + 12 + length
        if length > MAX_CHUNK or stop > source.size:
            if kind in (b"IDAT", b"fdAT"):
                broken("it ends in the middle of its picture data")
            return
        intact = source.crc32(position + 4, stop - 4) == int.from_bytes(source.at(stop - 4, 4), "big")
        yield _Chunk(kind, position, position + 8, length, intact)
        position = stop


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
    seen.size = seen.sides = (width, height)
    seen.depth, seen.colour = depth, colour
    seen.pixel_bits, seen.interlaced = depth * CHANNELS[colour], bool(interlace)
    _keep(seen, chunk)


def _idat(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.ended_data:
        broken("its picture data is interrupted")
    if b"IDAT" not in seen.kinds and seen.animation.header is None:
        seen.animation.over = True  # an acTL behind the picture does not count
    seen.stream.append((chunk.data, chunk.data + chunk.length))
    _keep(seen, chunk)


def _iend(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    seen.pieces.append(_same(source, chunk.start, END))


def _exif(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if "exif" in seen.removed and (seen.orientation or not chunk.intact):
        return  # one that goes has been looked at
    tiff = source.at(chunk.data, min(chunk.length, MAX_EXIF))
    if seen.orientation is None and chunk.intact:
        seen.orientation = read_orientation(tiff)
        seen.removed |= left_out.of_exif(tiff, seen.orientation.tiff)
        if seen.orientation.tiff:
            seen.pieces.append(_same(source, chunk.start, _chunk_bytes(b"eXIf", seen.orientation.tiff)))
        if b"IDAT" not in seen.kinds:
            seen.turned = seen.orientation.shown
    else:
        seen.removed |= left_out.of_exif(tiff)


# The colour profile. Chromium ignores an iCCP with a wrong CRC and takes the next one, Firefox does not mind; Firefox
# ignores one that is no profile or cannot be inflated and takes the next one, Chromium does not. What
# only Firefox applies stays with a wrong CRC, so that both show the colours that they showed before.


def _profile(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    head = source.at(chunk.data, LONGEST_NAME + 2)
    name, _, method = head.partition(b"\0")
    if b"IDAT" in seen.kinds:
        return
    first = not seen.settled
    seen.settled |= chunk.intact
    if not name or method[:1] != b"\0":
        if len(name) > LONGEST_NAME:
            broken("the name of its colour profile is too long")
        return
    start = chunk.data + len(name) + 2
    packed = source.at(start, min(chunk.data + chunk.length - start, MAX_PROFILE))
    profile, whole = _inflated_profile(packed)
    sound = whole and chunk.intact and first
    if profile is not None and (sound or not seen.profiled):
        seen.profiled = True
        seen.pieces.append(_same(source, chunk.start, _chunk_bytes(b"iCCP", PROFILE_NAME + profile, sound)))


def _inflated_profile(packed: bytes) -> tuple[bytes | None, bool]:
    """The compressed profile with nothing behind it, or None where it is none; whether the stream is whole and right.

    No more than MAX_PROFILE bytes are inflated.
    """
    inflater, length = zlib.decompressobj(), 0
    with contextlib.suppress(zlib.error):
        length = len(inflater.decompress(packed, MAX_PROFILE))
    if length == MAX_PROFILE:
        broken("its colour profile is too long")
    profile = _first_profile(packed)
    if profile is None:
        return None, inflater.eof
    exact = inflater.eof and len(profile) == length and not inflater.unused_data
    return packed if exact else zlib.compress(profile), inflater.eof


def _first_profile(packed: bytes) -> bytes | None:
    """The profile that a stream (RFC 1950) begins with, whatever follows it, a wrong checksum included."""
    if len(packed) < 2 or packed[0] & 15 != 8 or packed[1] & 0x20 or int.from_bytes(packed[:2], "big") % 31:
        return None
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # which does not look for a checksum
    try:
        head = inflater.decompress(packed[2:], icc.HEADER)
        size = icc.length(head, MAX_PROFILE)
        if size is None:
            return None
        rest = inflater.decompress(inflater.unconsumed_tail, max(1, size - icc.HEADER))
        return icc.profile(head + rest)
    except zlib.error:
        return None


# The animation.


def _animation(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    animation = seen.animation
    declared, plays = int.from_bytes(source.at(chunk.data, 4), "big"), source.at(chunk.data + 4, 4)
    late = b"IDAT" in seen.kinds or animation.header is not None
    if late or not chunk.intact or chunk.length != 8 or not 0 < declared <= MAX_CHUNK:
        return
    animation.header, animation.declared, animation.plays = len(seen.pieces), declared, plays
    _keep(seen, chunk)


def _frame_control(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    animation = seen.animation
    if animation.over:
        return
    if chunk.length != 26 or (animation.frames and not seen.stream):
        broken("a frame of its animation is wrong")
    sequence, width, height, left, top = struct.unpack_from(">IIIII", source.at(chunk.data, 26))
    if not _in_sequence(seen, sequence):
        return
    if not (width and height) or left + width > seen.size[0] or top + height > seen.size[1]:
        broken("a frame of its animation is wrong")
    animation.frames.append([len(seen.pieces)])
    animation.pixels += width * height
    limits.check_frames(len(animation.frames), animation.pixels, seen.size)
    seen.stream, seen.sides = [], (width, height)
    _keep(seen, chunk)


def _frame_data(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    animation = seen.animation
    if animation.over or animation.header is None:
        return
    frame = animation.frames[-1] if animation.frames else []
    if chunk.length < 4 or not frame or b"IDAT" not in seen.kinds or (len(frame) == 1 and seen.stream):
        broken("a frame of its animation is wrong")
    if _in_sequence(seen, int.from_bytes(source.at(chunk.data, 4), "big")):
        frame.append(len(seen.pieces))
        seen.stream.append((chunk.data + 4, chunk.data + chunk.length))
        _keep(seen, chunk)
    else:
        _drop(seen, animation.frames.pop())


def _in_sequence(seen: _Walk, number: int) -> bool:
    """Whether this is the next number. If not, the animation ends with the frame before: browsers play no further."""
    seen.animation.over = number != seen.animation.sequence
    seen.animation.sequence += 1
    return not seen.animation.over


def _drop(seen: _Walk, places: list[int]) -> None:
    for place in places:
        seen.pieces[place] = None
    seen.stream = []


def _ancillary(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    known = chunk.length in ONCE.get(chunk.kind, ())
    if not known and chunk.kind[0] & 0x20 == 0:
        broken("it has a critical chunk that no specification knows, or one of a wrong length")
    if not _is_heeded(seen, chunk):
        return
    is_wrong = WRONG.get(chunk.kind)
    if is_wrong and is_wrong(int.from_bytes(source.at(chunk.data, chunk.length), "big")):
        if chunk.kind not in seen.wrong:
            seen.wrong.add(chunk.kind)
            _keep(seen, chunk)
        return
    seen.kinds.add(chunk.kind)
    _keep(seen, chunk)


def _is_heeded(seen: _Walk, chunk: _Chunk) -> bool:
    """Whether it is the first right one of a kind that decoders know, and stands before the picture."""
    return (
        chunk.intact
        and chunk.length in ONCE.get(chunk.kind, ())
        and chunk.kind not in seen.kinds
        and b"IDAT" not in seen.kinds
        and chunk.length == EXACT.get(chunk.kind, {}).get(seen.colour, chunk.length)
    )


def _palette(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    """Of a palette those colours stay that a pixel can have. Of a picture without one nobody shows what it suggests."""
    if chunk.length not in ONCE[b"PLTE"]:
        broken("its palette has a wrong length")
    if seen.colour != PALETTE or not _is_heeded(seen, chunk):
        return
    seen.kinds.add(b"PLTE")
    seen.palette = min(chunk.length // 3, 1 << seen.depth)
    colours = source.at(chunk.data, 3 * seen.palette)
    seen.pieces.append(_same(source, chunk.start, _chunk_bytes(b"PLTE", colours)))


def _transparency(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    """Where it is too long, Chromium heeds it and Firefox the next one, if any: it keeps its length, and zeros."""
    least = TRANSPARENT.get(seen.colour, MAX_CHUNK)
    if chunk.length < least or not _is_heeded(seen, chunk):
        return
    most = (seen.palette or 256) if seen.colour == PALETTE else least
    if chunk.length <= most:
        seen.kinds.add(b"tRNS")
    values = source.at(chunk.data, min(chunk.length, most)).ljust(chunk.length, b"\0")
    seen.pieces.append(_same(source, chunk.start, _chunk_bytes(b"tRNS", values)))


_CHUNKS = {
    b"IHDR": _ihdr,
    b"IDAT": _idat,
    b"IEND": _iend,
    b"eXIf": _exif,
    b"PLTE": _palette,
    b"tRNS": _transparency,
    b"iCCP": _profile,
    b"acTL": _animation,
    b"fcTL": _frame_control,
    b"fdAT": _frame_data,
}


# The end.


def _end(source: Source, seen: _Walk) -> None:
    """Add IEND where it is missing, if the last picture is all there."""
    if b"IDAT" not in seen.kinds:
        broken("it has no picture in it")
    frames = seen.animation.frames
    if b"IEND" in seen.kinds:
        if frames and not (seen.stream or seen.animation.over):
            broken("a frame of its animation has no picture")
        return
    if frames and not (seen.stream or seen.animation.over):
        _drop(seen, frames.pop())
    elif seen.stream and not _has_all_rows(source, seen):
        broken("it ends in the middle of its picture data")
    seen.pieces.append(END)


def _has_all_rows(source: Source, seen: _Walk) -> bool:
    """Whether the last picture's compressed data yields as many bytes as its rows have."""
    wanted, inflater = _bytes_of_rows(seen), zlib.decompressobj()
    try:
        for start, stop in seen.stream:
            for at in range(start, stop, INFLATED):
                data = source.at(at, min(INFLATED, stop - at))
                while data and wanted > 0:
                    wanted -= len(inflater.decompress(data, INFLATED))
                    data = inflater.unconsumed_tail
    except zlib.error:
        return False
    return wanted <= 0


def _bytes_of_rows(seen: _Walk) -> int:
    """Bytes of the rows before compression, each with the byte that names its filter."""
    total = 0
    for left, top, across, down in ADAM7 if seen.interlaced else ((0, 0, 1, 1),):
        columns, rows = (seen.sides[0] - left + across - 1) // across, (seen.sides[1] - top + down - 1) // down
        total += rows * (1 + (columns * seen.pixel_bits + 7) // 8) if columns > 0 and rows > 0 else 0
    return total


def _plan(source: Source, seen: _Walk) -> Plan:
    frames = _frames(source, seen)
    pieces, removed = joined(seen.pieces), frozenset(seen.removed)
    return Plan("image/png", "png", *seen.size, max(1, frames), seen.turned, pieces, removed=removed)


def _frames(source: Source, seen: _Walk) -> int:
    """How many frames are kept, after the acTL declares as many, and those beyond its number have gone."""
    animation = seen.animation
    kept = animation.frames[: animation.declared]
    for frame in animation.frames[animation.declared :]:
        _drop(seen, frame)
    if animation.header is not None and not kept:
        broken("its animation has no frames")
    if animation.header is not None and len(kept) != animation.declared:
        seen.pieces[animation.header] = _chunk_bytes(b"acTL", struct.pack(">I", len(kept)) + animation.plays)
    return len(kept)


def _same(source: Source, start: int, wanted: bytes) -> Piece:
    """The input's bytes from `start` where they are the wanted ones already, else the wanted ones."""
    return (start, start + len(wanted)) if source.at(start, len(wanted)) == wanted else wanted


def _chunk_bytes(kind: bytes, data: bytes, sound: bool = True) -> bytes:
    """A chunk, its CRC right if it is to be sound."""
    crc = zlib.crc32(kind + data) ^ (0 if sound else 0xFFFFFFFF)
    return struct.pack(">I", len(data)) + kind + data + crc.to_bytes(4, "big")
