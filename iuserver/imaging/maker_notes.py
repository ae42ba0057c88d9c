"""Maker notes in EXIF: reads how far an iPhone's gain map reaches, and nothing else.

Source: Apple's "Applying Apple HDR effect to your photos" for the numbers and the formula; libavif (avifjpeg.c) and
Skia (SkExif.cpp) for where they stand.
"""

from __future__ import annotations

import struct

from iuserver.imaging.exif import EXIF_IFD, LONG, byte_order, entries_of, raw_entries

MAKER_NOTE = 0x927C
UNDEFINED, SIGNED_RATIONAL = 7, 10
APPLE = b"Apple iOS\0\0\1MM"
HEADROOM, GAIN = 33, 48


def apple_headroom(tiff: bytes) -> float | None:
    """How many stops above white an iPhone's gain map reaches, or None where the TIFF structure does not tell it."""
    notes = _apple_notes(tiff)
    found = {}
    for tag, kind, count, value in entries_of(notes, ">", len(APPLE)):
        if tag in (HEADROOM, GAIN) and (kind, count) == (SIGNED_RATIONAL, 1) and tag not in found:
            (start,) = struct.unpack_from(">I", notes, value)
            numerator, divisor = struct.unpack_from(">ii", notes, start) if start + 8 <= len(notes) else (0, 0)
            if divisor:
                found[tag] = numerator / divisor
    return _stops(found.get(HEADROOM, 0.0), found.get(GAIN, 0.0)) if found else None


def _stops(headroom: float, gain: float) -> float:
    if headroom < 1:
        return -20 * gain + 1.8 if gain <= 0.01 else -0.101 * gain + 1.601
    return -70 * gain + 3 if gain <= 0.01 else -0.303 * gain + 2.303


def _apple_notes(tiff: bytes) -> bytes:
    """The notes of an iPhone, or nothing."""
    order = byte_order(tiff)
    if not order:
        return b""
    for tag, kind, count, pointer in raw_entries(tiff, order, 4):
        if tag == EXIF_IFD and (kind, count) == (LONG, 1):
            for inner, inner_kind, length, value in raw_entries(tiff, order, pointer):
                if (inner, inner_kind) == (MAKER_NOTE, UNDEFINED):
                    (start,) = struct.unpack_from(order + "I", tiff, value)
                    notes = tiff[start : start + length]
                    return notes if notes.startswith(APPLE) else b""
    return b""
