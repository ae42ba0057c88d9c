"""EXIF: reads the orientation, and builds a minimal TIFF structure that keeps it and nothing else.

Source: CIPA DC-008 (Exif 2.32), section 4.5 (TIFF 6.0 structure), tags 0x0112 and 0x8769.

Decoders differ: browsers accept only a SHORT of count 1, but in the Exif IFD as well as in IFD0; Pillow and libvips
accept every type of number, but in IFD0 alone; of two tags some take the first, others the last. So each orientation
tag stays in its IFD with its type and count, and every decoder treats the clean file as it did the original.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

ORIENTATION, EXIF_IFD = 0x0112, 0x8769
SHORT, LONG = 3, 4
FORMATS = {1: "B", SHORT: "H", LONG: "I", 6: "B", 8: "H", 9: "I", 13: "I"}
"""The types that some decoder turns a picture by (TIFF 6.0, section 2): unsigned, signed, and IFD."""
INLINE = 4  # values of more bytes are stored elsewhere; no browser heeds those
MAX_TAGS = 8  # of one IFD; there should be one


@dataclass(frozen=True, slots=True)
class Orientation:
    """The orientation (1-8) that browsers show, and the TIFF structure to be kept: empty where no decoder turns."""

    shown: int
    tiff: bytes


UPRIGHT = Orientation(1, b"")


@dataclass(frozen=True, slots=True)
class _Tag:
    """An orientation tag. `value` is 0 where it is none of 1 to 8."""

    kind: int
    count: int
    value: int


_Entry = _Tag | list[_Tag]
"""A tag, or the tags of the Exif IFD, which IFD0 points to."""


def read_orientation(tiff: bytes) -> Orientation:
    """What a TIFF structure tells of the orientation; UPRIGHT where it tells nothing, or is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    entries = _read(tiff, order, 4)
    tags = [tag for entry in entries for tag in (entry if isinstance(entry, list) else [entry])]
    if all(tag.value <= 1 for tag in tags):
        return UPRIGHT
    heeded = (tag.value for tag in tags if tag.value and (tag.kind, tag.count) == (SHORT, 1))
    return Orientation(next(heeded, 1), b"MM\0*" + struct.pack(">I", 8) + _written(entries, 8))


def _read(tiff: bytes, order: str, pointer: int, nested: bool = False) -> list[_Entry]:
    """The entries that count of the IFD whose offset stands at `pointer`."""
    found: list[_Entry] = []
    below: list[_Entry] = []
    for tag, kind, count, value in _raw_entries(tiff, order, pointer):
        if tag == ORIENTATION and kind in FORMATS and len(found) < MAX_TAGS:
            found += _tag(tiff, order, kind, count, value)
        elif tag == EXIF_IFD and (kind, count) == (LONG, 1) and not (nested or below):
            below = _read(tiff, order, value, nested=True)
            found += [cast("list[_Tag]", below)] if below else []
    return found


def _raw_entries(tiff: bytes, order: str, pointer: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type and count of each whole entry of an IFD, and the offset of its value field."""
    (ifd,) = struct.unpack_from(order + "I", tiff, pointer)
    if ifd + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(order + "H", tiff, ifd)
    for entry in range(ifd + 2, min(ifd + 2 + 12 * count, len(tiff) - 11), 12):
        yield (*struct.unpack_from(order + "HHI", tiff, entry), entry + 8)


def _tag(tiff: bytes, order: str, kind: int, count: int, offset: int) -> Iterator[_Tag]:
    """The tag, if its values stand in its entry."""
    form = order + FORMATS[kind]
    if 1 <= count <= INLINE // struct.calcsize(form):
        (value,) = struct.unpack_from(form, tiff, offset)
        yield _Tag(kind, count, value if 1 <= value <= 8 else 0)


def _written(entries: Sequence[_Entry], start: int) -> bytes:
    """An IFD of these entries at the offset `start`, and behind it the one that it points to."""
    stop = start + 2 + 12 * len(entries) + 4
    ifd, below = struct.pack(">H", len(entries)), b""
    for entry in entries:
        if isinstance(entry, list):
            ifd += struct.pack(">HHII", EXIF_IFD, LONG, 1, stop)
            below = _written(entry, stop)
        else:
            value = struct.pack(">" + FORMATS[entry.kind], entry.value)
            ifd += struct.pack(">HHI4s", ORIENTATION, entry.kind, entry.count, value)
    return ifd + bytes(4) + below
