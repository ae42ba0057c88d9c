"""WebP, simple, extended and animated: walk every chunk, keep what makes the picture.

Source: RFC 9649 for the container (sections 2.3 to 2.7) and for the header of VP8L (section 3.4), RFC 6386 section
9.1 for that of VP8. Where the RFC leaves a malformed file open, libwebp's demuxer decides, as browsers use it.

Kept: VP8 VP8L ALPH, and in an extended file VP8X ANIM ANMF and ICCP, which comes to stand before
the picture: browsers heed it behind it, too. What comes after the picture
of a simple file goes, as does ANIM in a still. VP8X stays even where nothing needs it any more; its flags are made
right, except for the alpha flag, which stays as it is: decoders go by it, and with it the look would change.
An EXIF orientation stays, alone in an EXIF chunk of its own; browsers do not turn a WebP by it. Everything else goes:
EXIF, XMP, unknown chunks, also within ANMF, ICCP and EXIF that the flags do not announce (no decoder heeds these),
what stands behind the known fields of VP8X and ANIM, behind a profile and behind uncompressed alpha, reserved bits,
padding that is not zero, and every byte after the RIFF chunk.

What this cannot see: bytes that a decoder would skip at the end of VP8, VP8L or compressed ALPH data, or in a profile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from iuserver.imaging import icc, left_out
from iuserver.imaging.exif import read_orientation
from iuserver.imaging.plan import Limits, Piece, Plan, broken, joined
from iuserver.imaging.source import Source

RIFF_HEADER = 12
MAX_RIFF = (1 << 32) - 64  # a little less than the format allows: a clean file may be some bytes longer
MAX_CHUNKS = 1 << 18  # an empty chunk has but eight bytes: this bounds the time that a walk can take
MAX_EXIF = 1 << 20

ICC_FLAG, ALPHA_FLAG, EXIF_FLAG, ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x02
BLENDING_AND_DISPOSAL = 0x03

VP8X_LENGTH, ANIM_LENGTH, ANMF_LENGTH = 10, 6, 16
VP8_HEADER, VP8L_HEADER = 10, 5


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    length: int

    @property
    def data(self) -> int:
        return self.start + 8

    @property
    def stop(self) -> int:
        return self.data + self.length + (self.length & 1)


@dataclass
class _Frame:
    """One picture, a still or what an ANMF chunk holds: ALPH and VP8, or VP8 or VP8L alone."""

    alpha: _Chunk | None = None
    size: tuple[int, int] | None = None
    pieces: list[Piece] = field(default_factory=list)


@dataclass
class _Walk:
    """What has been seen so far. A simple file has no header, and its size is its picture's."""

    chunks: int = 0
    header: _Chunk | None = None
    flags: int = 0
    size: tuple[int, int] | None = None
    frames: int = 0
    decoded: int = 0
    still: _Frame = field(default_factory=_Frame)
    exif: _Chunk | None = None
    orientation: bytes = b""
    profile: list[Piece] | None = None
    animation: Piece | None = None
    pictures: list[Piece] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


_Handler = Callable[[Source, _Walk, Limits, _Chunk], None]


def recognises(head: bytes) -> bool:
    """Whether a file that begins with `head` (12 bytes or more) says that it is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a WebP to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_frames."""
    seen, end = _Walk(), _riff_end(source)
    chunks = _chunks(source, seen, RIFF_HEADER, end)
    handlers = _begin(source, seen, limits, next(chunks, None))
    for chunk in chunks:
        handle = handlers.get(chunk.kind)
        if handle:
            handle(source, seen, limits, chunk)
        else:
            _note_removed(source, seen, chunk)
    seen.removed |= {"trailer"} if end < source.size else set()
    return _plan(source, seen)


def _note_removed(source: Source, seen: _Walk, chunk: _Chunk) -> None:
    """Note what kind of thing goes with a chunk."""
    if chunk.kind != b"EXIF":
        head = source.at(chunk.data, min(chunk.length, left_out.LOOKED_AT))
        seen.removed.add(left_out.of_chunk(chunk.kind, head))
    elif "exif" not in seen.removed:
        seen.removed |= left_out.of_exif(_tiff(source, chunk))


def _riff_end(source: Source) -> int:
    head = source.at(0, RIFF_HEADER)
    size = int.from_bytes(head[4:8], "little")
    if not recognises(head) or size > MAX_RIFF:
        broken("it does not begin with its header")
    if 8 + size > source.size:
        broken("it is cut short")
    return 8 + size


def _chunks(source: Source, seen: _Walk, position: int, end: int) -> Iterator[_Chunk]:
    """Every chunk up to `end`, whole. The last one's padding may be missing, as some writers do not count it."""
    while position < end:
        if position + 8 > end:
            broken("a chunk is cut short")
        chunk = _Chunk(source.at(position, 4), position, int.from_bytes(source.at(position + 4, 4), "little"))
        if chunk.data + chunk.length > end:
            broken("a chunk is cut short")
        seen.chunks += 1
        if seen.chunks > MAX_CHUNKS:
            broken("it has far too many chunks")
        yield chunk
        position = chunk.stop


def _begin(source: Source, seen: _Walk, limits: Limits, first: _Chunk | None) -> dict[bytes, _Handler]:
    """Read the first chunk, and tell what is to be done with those that follow it."""
    if not first or first.kind not in (b"VP8X", *_BITSTREAMS):
        broken("it begins with neither a picture nor a header")
    if first.kind != b"VP8X":
        _still(source, seen, limits, first)
        return {}
    _extended(source, seen, limits, first)
    return _IN_ANIMATION if seen.flags & ANIMATION_FLAG else _IN_STILL


# One function a kind of chunk: check it, note what it says, keep it or not.


def _extended(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if chunk.length < VP8X_LENGTH:
        broken("its header is wrong")
    body = source.at(chunk.data, VP8X_LENGTH)
    seen.header = chunk
    seen.flags = body[0]
    seen.size = (1 + _int24(body, 4), 1 + _int24(body, 7))
    limits.check_frame(*seen.size)


def _still(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    _picture_chunk(source, seen.still, chunk)
    size = seen.still.size
    if not size:
        return  # its alpha: the colours are still to come
    if seen.size not in (None, size):
        broken("its header and its picture do not agree on its size")
    seen.size = size
    limits.check_frame(*size)
    _count_frame(seen, limits, size, size)
    seen.pictures = seen.still.pieces


def _animation(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if chunk.length < ANIM_LENGTH:
        broken("its animation header is wrong")
    if seen.animation is None:
        body = source.at(chunk.data, ANIM_LENGTH)
        seen.animation = _same(source, chunk.start, _head(b"ANIM", ANIM_LENGTH) + body)


def _animation_frame(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.animation is None or seen.size is None or chunk.length < ANMF_LENGTH:
        broken("a frame of its animation is wrong")
    body = source.at(chunk.data, ANMF_LENGTH)
    left, top, width, height = 2 * _int24(body, 0), 2 * _int24(body, 3), 1 + _int24(body, 6), 1 + _int24(body, 9)
    _count_frame(seen, limits, (width, height), seen.size)
    if left + width > seen.size[0] or top + height > seen.size[1]:
        broken("a frame of its animation reaches over the edge")
    frame = _frame(source, seen, chunk)
    if frame.size != (width, height):
        broken("a frame of its animation has no picture, or one of another size")
    head = _head(b"ANMF", ANMF_LENGTH + _size(frame.pieces)) + body[:15] + bytes([body[15] & BLENDING_AND_DISPOSAL])
    seen.pictures += [_same(source, chunk.start, head), *frame.pieces]


def _profile(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.profile is None:
        length = icc.length(source.at(chunk.data, icc.HEADER), chunk.length)
        heeded = seen.flags & ICC_FLAG
        seen.profile = _kept(source, _Chunk(chunk.kind, chunk.start, length)) if length and heeded else []


def _exif(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    if seen.exif is None and seen.flags & EXIF_FLAG:
        seen.exif = chunk
        tiff = _tiff(source, chunk)
        seen.orientation = read_orientation(tiff).tiff
        seen.removed |= left_out.of_exif(tiff, seen.orientation)
    else:
        _note_removed(source, seen, chunk)


def _tiff(source: Source, chunk: _Chunk) -> bytes:
    """The TIFF structure in an EXIF chunk; some writers put before it what a JPEG has there."""
    return source.at(chunk.data, min(chunk.length, MAX_EXIF)).removeprefix(b"Exif\0\0")


def _misplaced(source: Source, seen: _Walk, limits: Limits, chunk: _Chunk) -> None:
    broken("it has a picture or a header where none may be")


_IN_STILL: dict[bytes, _Handler] = {
    b"ICCP": _profile,
    b"ALPH": _still,
    b"VP8 ": _still,
    b"VP8L": _still,
    b"EXIF": _exif,
    b"VP8X": _misplaced,
    b"ANMF": _misplaced,
}
_IN_ANIMATION: dict[bytes, _Handler] = {
    b"ICCP": _profile,
    b"ANIM": _animation,
    b"ANMF": _animation_frame,
    b"EXIF": _exif,
    b"VP8X": _misplaced,
    b"ALPH": _misplaced,
    b"VP8 ": _misplaced,
    b"VP8L": _misplaced,
}


# One picture: a still, or what an ANMF chunk holds.


def _count_frame(seen: _Walk, limits: Limits, sides: tuple[int, int], canvas: tuple[int, int]) -> None:
    seen.frames += 1
    seen.decoded += sides[0] * sides[1]
    limits.check_frames(seen.frames, seen.decoded, canvas)


def _frame(source: Source, seen: _Walk, chunk: _Chunk) -> _Frame:
    frame = _Frame()
    for part in _chunks(source, seen, chunk.data + ANMF_LENGTH, chunk.data + chunk.length):
        if part.kind == b"ALPH" or part.kind in _BITSTREAMS:
            _picture_chunk(source, frame, part)
        else:
            _note_removed(source, seen, part)
    return frame


def _picture_chunk(source: Source, frame: _Frame, chunk: _Chunk) -> None:
    if frame.size or (frame.alpha and chunk.kind != b"VP8 "):
        broken("the parts of its picture are out of order, or there are too many of them")
    if chunk.kind == b"ALPH":
        frame.alpha = chunk
        return
    frame.size = _BITSTREAMS[chunk.kind](source, chunk)
    if frame.alpha:
        frame.pieces += _alpha(source, frame.alpha, frame.size)
    frame.pieces += _kept(source, chunk)


def _lossy(source: Source, chunk: _Chunk) -> tuple[int, int]:
    """The size that a VP8 key frame tells, which must be shown and be of a known profile."""
    if chunk.length < VP8_HEADER:
        broken("its picture data is cut short")
    tag, start_code, width, height = struct.unpack("<3s3sHH", source.at(chunk.data, VP8_HEADER))
    bits = int.from_bytes(tag, "little")
    interframe, profile, shown, first_partition = bits & 1, bits >> 1 & 7, bits >> 4 & 1, bits >> 5
    size = (width & 0x3FFF, height & 0x3FFF)
    if interframe or profile > 3 or not shown or start_code != b"\x9d\x01\x2a" or 0 in size:
        broken("the header of its picture data is wrong")
    if not 0 < first_partition < chunk.length - VP8_HEADER:
        broken("its picture data is cut short")
    return size


def _lossless(source: Source, chunk: _Chunk) -> tuple[int, int]:
    """The size that a VP8L header tells."""
    if chunk.length <= VP8L_HEADER:
        broken("its picture data is cut short")
    signature, bits = struct.unpack("<BI", source.at(chunk.data, VP8L_HEADER))
    if signature != 0x2F or bits >> 29:
        broken("the header of its picture data is wrong")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


_BITSTREAMS = {b"VP8 ": _lossy, b"VP8L": _lossless}


def _alpha(source: Source, chunk: _Chunk, size: tuple[int, int]) -> list[Piece]:
    """The alpha chunk without its reserved bits, and where it is not compressed with one byte a pixel."""
    if chunk.length < 2:
        broken("its transparency is cut short")
    (head,) = source.at(chunk.data, 1)
    compression, preprocessing = head & 3, head >> 4 & 3
    if compression > 1 or preprocessing > 1:
        broken("its transparency is of no known kind")
    length = chunk.length if compression else 1 + size[0] * size[1]
    if length > chunk.length:
        broken("its transparency is cut short")
    return _kept(source, _Chunk(chunk.kind, chunk.start, length), bytes([head & 0x3F]))


# The pieces: ranges of the input wherever it has the right bytes already.


def _plan(source: Source, seen: _Walk) -> Plan:
    if not seen.size or not seen.frames:
        broken("it has no picture in it")
    pieces = [*_header(source, seen), *(seen.profile or []), seen.animation, *seen.pictures, _exif_chunk(source, seen)]
    size = RIFF_HEADER - 8 + _size(pieces)
    riff = _same(source, 0, b"RIFF" + size.to_bytes(4, "little") + b"WEBP")
    removed = frozenset(seen.removed)
    return Plan("image/webp", "webp", *seen.size, seen.frames, 1, joined([riff, *pieces]), removed=removed)


def _header(source: Source, seen: _Walk) -> list[Piece]:
    if not seen.header:
        return []
    flags = seen.flags & (ALPHA_FLAG | ANIMATION_FLAG)
    flags |= ICC_FLAG if seen.profile else 0
    flags |= EXIF_FLAG if seen.orientation else 0
    canvas = source.at(seen.header.data + 4, 6)
    return [_same(source, seen.header.start, _head(b"VP8X", VP8X_LENGTH) + bytes([flags, 0, 0, 0]) + canvas)]


def _exif_chunk(source: Source, seen: _Walk) -> Piece | None:
    if not seen.exif or not seen.orientation:
        return None
    return _same(source, seen.exif.start, _head(b"EXIF", len(seen.orientation)) + seen.orientation)


def _kept(source: Source, chunk: _Chunk, begin: bytes = b"") -> list[Piece]:
    """The chunk with `begin` in place of the first bytes of its data, and with its padding zero."""
    head = _same(source, chunk.start, _head(chunk.kind, chunk.length) + begin)
    stop = chunk.data + chunk.length
    padding = [_same(source, stop, b"\0")] if chunk.length & 1 else []
    return [head, (chunk.data + len(begin), stop), *padding]


def _same(source: Source, start: int, wanted: bytes) -> Piece:
    """The input's bytes from `start` where they are the wanted ones already, else the wanted ones."""
    return (start, start + len(wanted)) if source.at(start, len(wanted)) == wanted else wanted


def _size(pieces: list[Piece] | list[Piece | None]) -> int:
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces if piece)


def _head(kind: bytes, length: int) -> bytes:
    return kind + length.to_bytes(4, "little")


def _int24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
