"""The one thing that is read from EXIF, the orientation, and the block that keeps it and nothing else.

Source: CIPA DC-008 (Exif 2.32), section 4.5 (TIFF 6.0 structure) and tag 0x0112.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
BYTE, SHORT, LONG = 1, 3, 4
MAX_ENTRIES = 512


def orientation(tiff: bytes) -> int | None:
    """The orientation (1-8) that IFD0 of a TIFF structure tells, or None where it tells none that is valid."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return None
    (ifd,) = struct.unpack_from(order + "I", tiff, 4)
    if ifd + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(order + "H", tiff, ifd)
    for index in range(min(count, MAX_ENTRIES)):
        entry = ifd + 2 + 12 * index
        if entry + 12 > len(tiff):
            return None
        tag, kind = struct.unpack_from(order + "HH", tiff, entry)
        if tag == ORIENTATION:
            return _value(order, kind, tiff[entry + 8 : entry + 12])
    return None


def _value(order: str, kind: int, raw: bytes) -> int | None:
    formats = {BYTE: "B", SHORT: "H", LONG: "I"}
    if kind not in formats:
        return None
    (value,) = struct.unpack_from(order + formats[kind], raw)
    return value if 1 <= value <= 8 else None


def lone_orientation(value: int) -> bytes:
    """A TIFF structure of one IFD with one tag: the orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, SHORT, 1, value, 0, 0)
