"""Resolves doubts about a JPEG by decoding it: where its picture ends, and whether junk in it is visible.

libjpeg decides, as in browsers: libvips loads a file of coded data alone, without metadata. A decoder reports when it
finds too few bytes, and too many as soon as it reads on to the next marker. So the end is where the picture is complete
and is not with one byte less.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import pyvips

from iuserver.imaging.plan import Doubt, Piece, Plan, joined, write
from iuserver.imaging.source import Source

EOI = b"\xff\xd9"
READ_AHEAD = 9
"""One byte more than what libjpeg may have read beyond the end of a scan without counting it: its buffer of 64 bits."""
SHORT = -1
STRIP = 64
"""Lines of a picture that are looked at together."""

# jerror.h of libjpeg: JWRN_HIT_MARKER and JWRN_EXTRANEOUS_DATA. It reports the first warning only.
TOO_FEW = "premature end of data segment"
TOO_MANY = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


def settle(source: Source, plan: Plan, doubt: Doubt, scratch: str) -> Plan:
    """The plan to be carried out, with the file `scratch` there meanwhile. Raises the doubt's Fault."""
    try:
        end = _end(source, doubt, scratch) if doubt.bare else None
        if end is not None:
            eoi: Piece = (end, end + 2) if source.at(end, 2) == EOI else EOI
            pieces = joined([*doubt.before, (doubt.data[0], end), eoi])
            return replace(plan, pieces=pieces, doubt=None)
        if doubt.raw and _look_alike(source, doubt.raw, plan.pieces, scratch):
            return replace(plan, doubt=None)
    finally:
        _remove(scratch)
    raise doubt.fault


def _end(source: Source, doubt: Doubt, scratch: str) -> int | None:
    """Where the data of the last scan ends, or None where it is damaged or a part of it is missing."""
    start, end = doubt.data

    def surplus(stop: int) -> int | None:
        return _surplus(source, [*(doubt.bare or ()), (start, max(start, stop)), EOI], scratch)

    more = surplus(end)
    while more and more > 0:
        end -= more
        more = surplus(end)
    if more != 0:
        return None
    if surplus(end - 1) == SHORT:
        return end  # nearly always: there was no byte too many, or all of them were counted
    return _first_whole(surplus, max(start, end - READ_AHEAD), end - 1)


def _first_whole(surplus: Callable[[int], int | None], too_short: int, whole: int) -> int | None:
    """The first end at which the picture is complete; None if that is uncertain."""
    if surplus(too_short) != SHORT or surplus(whole) != 0:
        return None
    while whole - too_short > 1:
        middle = (too_short + whole) // 2
        if surplus(middle) == SHORT:
            too_short = middle
        else:
            whole = middle
    return whole


def _surplus(source: Source, pieces: list[Piece], scratch: str) -> int | None:
    """How many bytes stand between the picture's end and EOI as far as libjpeg counts them, SHORT, or None: damaged."""
    _write(source, pieces, scratch)
    try:
        pyvips.Image.jpegload(scratch, revalidate=True, fail_on="warning", access="sequential").crop(0, 0, 1, 1).avg()
    except pyvips.Error as error:
        match = TOO_MANY.search(str(error))
        return int(match[1]) if match else SHORT if TOO_FEW in str(error) else None
    return 0


def _look_alike(source: Source, before: Iterable[Piece], after: Iterable[Piece], scratch: str) -> bool:
    """Whether libjpeg makes the same pixels of two files, and gives up on neither."""
    pixels = _looks(source, before, scratch)
    return pixels is not None and pixels == _looks(source, after, scratch)


def _looks(source: Source, pieces: Iterable[Piece], scratch: str) -> bytes | None:
    """A hash of the pixels that libjpeg makes of a file, damaged or not, or None where it gives up."""
    _write(source, pieces, scratch)
    digest = hashlib.sha256()
    try:
        image = pyvips.Image.jpegload(scratch, revalidate=True, access="sequential")
        region = pyvips.Region.new(image)
        for top in range(0, image.height, STRIP):
            digest.update(region.fetch(0, top, image.width, min(STRIP, image.height - top)))
    except pyvips.Error:
        return None
    return digest.digest()


def _write(source: Source, pieces: Iterable[Piece], scratch: str) -> None:
    _remove(scratch)
    write(source, pieces, scratch)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
