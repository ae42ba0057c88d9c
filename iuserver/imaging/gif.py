"""GIF: walk every block, keep what makes the pictures and their timing.

Source: CompuServe "Graphics Interchange Format, Version 89a", sections 15 to 27; the looping
extension is Netscape's, and ICC.1:2022 annex B names the one of the colour profile.

Kept: header, logical screen descriptor, colour tables, image descriptors and their data, the graphic control
extension before an image; of the application extensions the last looping one (NETSCAPE2.0 or ANIMEXTS1.0: the one that
decoders obey), with nothing but its loop count, and the first ICC profile (ICCRGBG1012). Everything else goes:
comments, plain text, XMP and other application extensions, unknown extensions, and every byte after the trailer.

Browsers take whatever is no block, or is cut off before a frame's data begins, for the end of the file; so does this,
and writes the trailer. Frames that reach over the edge or have no size stay as they are: browsers draw what is inside.

Decoders skip plain text and give the graphic control that precedes it to the next image; so does this.

What this cannot see: bytes that follow the end code inside an image's data (it is not decoded here).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from iuserver.imaging import icc, left_out
from iuserver.imaging.lzw import count_pixels
from iuserver.imaging.plan import Limits, Piece, Plan, Range, broken, joined
from iuserver.imaging.source import Source

MAGICS = (b"GIF87a", b"GIF89a")

EXTENSION, IMAGE, TRAILER = b"!", b",", b";"
CONTROL, APPLICATION = b"\xf9", b"\xff"

SCREEN_END = 13
# The specification says 2 to 8; some encoders write 1 for two colours, and decoders draw it.
CODE_SIZES = range(1, 9)
# A picture has a few extensions, or a few for each frame; a file made of nothing else would only take time.
MAX_EXTENSIONS = 10_000

# Where the data of an application extension begins, and how much of it is looked into.
APPLICATION_DATA = 14
APPLICATION_HEAD = 1024
BUFFERING = b"\x05\x02\0\0\0\0"
"""The sub-block that asks to buffer 0 bytes."""
MAX_PROFILE = 8 * 1024 * 1024
# Of an image that is cut off its codes are read, at three megabytes a second.
MAX_CUT = 1024 * 1024

FIRST_WINDOW = 1024
WINDOW = 64 * 1024


@dataclass
class _Walk:
    """What has been seen so far. The canvas is the screen, made larger by the first frame where that does not fit."""

    canvas: tuple[int, int] = (0, 0)
    frames: int = 0
    pixels: int = 0
    extensions: int = 0
    control: Piece | None = None
    loop: int | None = None
    profile: bool = False
    pieces: list[Piece | None] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk a GIF to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_frames."""
    seen = _Walk()
    position: int | None = _screen(source, seen, limits)
    while position is not None:
        introducer = source.at(position, 1)
        if introducer == EXTENSION:
            position = _extension(source, seen, position)
        elif introducer == IMAGE:
            position = _image(source, seen, limits, position)
        else:
            seen.pieces.append((position, position + 1) if introducer == TRAILER else TRAILER)
            seen.removed |= {"trailer"} if position + (introducer == TRAILER) < source.size else set()
            return _plan(seen)
    seen.pieces.append(TRAILER)
    return _plan(seen)


def _screen(source: Source, seen: _Walk, limits: Limits) -> int:
    """Check header and logical screen descriptor; where the global colour table after them ends."""
    head = source.at(0, SCREEN_END)
    if len(head) < SCREEN_END or not head.startswith(MAGICS):
        broken("it does not begin with its header")
    width, height, packed = struct.unpack_from("<HHB", head, 6)
    limits.check_frame(width, height)
    seen.canvas = (width, height)
    stop = SCREEN_END + _colour_table(packed)
    seen.pieces.append((0, stop))
    return stop


def _colour_table(packed: int) -> int:
    return 6 << (packed & 7) if packed & 0x80 else 0


def _image(source: Source, seen: _Walk, limits: Limits, start: int) -> int | None:
    """Check an image and keep it, with the graphic control extension before it; where it ends, or None if it is cut."""
    head = source.at(start, 10)
    if len(head) < 10:
        return None
    left, top, width, height, packed = struct.unpack_from("<HHHHB", head, 1)
    _frame(seen, limits, (left, top), (width, height))
    code_size = start + 10 + _colour_table(packed)
    data = source.at(code_size, 2)
    if len(data) < 2 or data[0] not in CODE_SIZES or not data[1]:
        broken(f"frame {seen.frames} has no picture data, or data of a wrong kind")
    stop = _end_of_blocks(source, code_size + 1)
    pieces: list[Piece] = [(start, stop)] if stop else _ended(source, seen, start, code_size, width * height)
    seen.pieces += [seen.control, *pieces]
    seen.control = None
    return stop


def _ended(source: Source, seen: _Walk, start: int, code_size: int, pixels: int) -> list[Piece]:
    """An image that is cut off behind its last pixel, which browsers show whole, with its sub-blocks ended."""
    position, data, last, size = code_size + 1, bytearray(), 0, source.size
    while position < size and len(data) < MAX_CUT:
        last, position = position, position + 1 + source.at(position, 1)[0]
        data += source.at(last + 1, position - last - 1)
    if position < size or count_pixels(data, source.at(code_size, 1)[0], pixels) < pixels:
        broken(f"it ends in the middle of frame {seen.frames}, as an interrupted download does")
    rest = (last + 1, size)
    return [(start, last), bytes([size - last - 1]), rest, b"\0"] if last + 1 < size else [(start, last), b"\0"]


def _frame(seen: _Walk, limits: Limits, place: tuple[int, int], sides: tuple[int, int]) -> None:
    """Count a frame. The first one may make the canvas larger; of later ones browsers draw what is inside of it."""
    limits.check_frame(*sides)
    if not seen.frames:
        seen.canvas = (max(seen.canvas[0], place[0] + sides[0]), max(seen.canvas[1], place[1] + sides[1]))
        limits.check_frame(*seen.canvas)
    seen.frames += 1
    seen.pixels += sides[0] * sides[1]
    limits.check_frames(seen.frames, seen.pixels, seen.canvas)


def _end_of_blocks(source: Source, position: int) -> int | None:
    """Where the data sub-blocks that begin at `position` end, their terminator included; None if they are cut."""
    window = source.at(position, FIRST_WINDOW)
    while True:
        offset, size = 0, len(window)
        if not size:
            return None
        while offset < size:
            length = window[offset]
            offset += length + 1
            if not length:
                return position + offset
        position += offset
        window = source.at(position, WINDOW)


def _extension(source: Source, seen: _Walk, start: int) -> int | None:
    """Keep an extension, or some of it, or nothing; where it ends, or None if it is cut."""
    seen.extensions += 1
    if seen.extensions > MAX_EXTENSIONS:
        broken("it has too many extensions")
    stop = _end_of_blocks(source, start + 2)
    if stop is not None:
        before, kind = len(seen.pieces), source.at(start + 1, 1)
        _EXTENSIONS.get(kind, _remove)(source, seen, (start, stop))
        if len(seen.pieces) == before and kind != CONTROL:
            seen.removed.add(left_out.of_gif_extension(source.at(start + 1, min(stop - start - 1, left_out.LOOKED_AT))))
    return stop


# One function a kind of extension: check it, note what it says, keep it or not.


def _remove(source: Source, seen: _Walk, extension: Range) -> None:
    """A comment, or something that no specification knows."""


def _control(source: Source, seen: _Walk, extension: Range) -> None:
    """Hold it until its image comes: the last one before an image counts."""
    start, stop = extension
    body = source.at(start, min(stop - start, 7))
    if len(body) == 7 and body[2] >= 4:
        seen.control = extension if stop - start == 8 else b"!\xf9\x04" + body[3:] + b"\0"


def _application(source: Source, seen: _Walk, extension: Range) -> None:
    handler = _APPLICATIONS.get(source.at(extension[0] + 2, 12))
    if handler:
        handler(source, seen, extension)


def _loop(source: Source, seen: _Walk, extension: Range) -> None:
    """Of its sub-blocks only the first one with the loop count stays.

    Where others precede it, an empty one of those stands in their place: Firefox reads on, Chromium does not.
    """
    blocks = list(_sub_blocks(source, extension, APPLICATION_HEAD))
    counts = [block for block in blocks if len(block) == 3 and block[0] == 1]
    if not counts:
        return
    before = b"" if blocks[0] == counts[0] else BUFFERING
    if seen.loop is not None:
        seen.pieces[seen.loop] = None
    seen.loop = len(seen.pieces)
    start, stop = extension
    alone = stop - start == APPLICATION_DATA + 5
    seen.pieces.append(
        extension if alone else source.at(start, APPLICATION_DATA) + before + b"\x03" + counts[0] + b"\0"
    )


def _icc(source: Source, seen: _Walk, extension: Range) -> None:
    data = b"".join(_sub_blocks(source, extension, MAX_PROFILE))
    profile = icc.profile(data)
    if profile is None or seen.profile:
        return
    seen.profile = True
    blocks = (profile[at : at + 255] for at in range(0, len(profile), 255))
    anew = source.at(extension[0], APPLICATION_DATA) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    seen.pieces.append(extension if profile == data else anew)


def _sub_blocks(source: Source, extension: Range, most: int) -> Iterator[bytes]:
    """The sub-blocks that are whole within the first bytes of an application extension's data."""
    begin = extension[0] + APPLICATION_DATA
    head = source.at(begin, min(extension[1] - begin, most))
    offset = 0
    while offset < len(head):
        stop = offset + 1 + head[offset]
        if stop <= len(head):
            yield head[offset + 1 : stop]
        offset = stop


_EXTENSIONS = {CONTROL: _control, APPLICATION: _application}
_APPLICATIONS = {b"\x0bNETSCAPE2.0": _loop, b"\x0bANIMEXTS1.0": _loop, b"\x0bICCRGBG1012": _icc}


def _plan(seen: _Walk) -> Plan:
    if not seen.pixels:
        broken("it has no picture in it")
    removed = frozenset(seen.removed)
    return Plan("image/gif", "gif", *seen.canvas, seen.frames, 1, joined(seen.pieces), removed=removed)
