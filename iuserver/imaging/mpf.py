"""Multi-Picture Format: reads where the further images of a JPEG begin, and writes the index of two images anew.

Source: CIPA DC-007-2009, section 5: an APP2 segment with a TIFF structure, whose offsets count from its first byte.
"""

from __future__ import annotations

import struct

from iuserver.imaging.plan import Range

NAME = b"MPF\0"
ENTRIES = 0xB002
ENTRY = 16
MAX_IMAGES = 16
FIRST_IMAGE = 0x030000  # "baseline MP primary image", a JPEG as all of them
INDEX = struct.Struct(">4sIH HHI4s HHII HHII I")
SIZE = len(NAME) + INDEX.size + 2 * ENTRY
"""Bytes of the body that `write` makes."""


def read(body: bytes) -> list[Range]:
    """Where the images behind the first are, counted from the first byte behind the name; none where it tells none."""
    tiff = body[len(NAME) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if not body.startswith(NAME) or order is None:
        return []
    try:
        start, length = _entries(tiff, order)
        count = min(length // ENTRY, MAX_IMAGES)
        images = [struct.unpack_from(order + "II", tiff, start + ENTRY * number + 4) for number in range(1, count)]
    except struct.error:
        return []
    return [(offset, offset + size) for size, offset in images if offset]


def _entries(tiff: bytes, order: str) -> tuple[int, int]:
    """Where the list of images stands, and its length. Raises struct.error where the structure is cut short."""
    (ifd,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, ifd)
    for entry in range(min(count, len(tiff) // 12)):
        tag, _, length, start = struct.unpack_from(order + "HHII", tiff, ifd + 2 + 12 * entry)
        if tag == ENTRIES:
            return start, length
    return 0, 0


def write(first: int, offset: int, second: int) -> bytes:
    """The body of the segment for a first image of so many bytes and a second one, which begins at `offset`."""
    head = INDEX.pack(
        *(b"MM\0*", 8, 3),
        *(0xB000, 7, 4, b"0100"),
        *(0xB001, 4, 1, 2),
        *(ENTRIES, 7, 2 * ENTRY, INDEX.size),
        0,
    )
    return NAME + head + struct.pack(">IIIHH IIIHH", FIRST_IMAGE, first, 0, 0, 0, 0, second, offset, 0, 0)
