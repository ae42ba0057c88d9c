"""Whether a gain map belongs to a picture: compares the edges of both, at a small scale, by libvips.

Source: none but measurement; docs/formats.md has the figures.

A map tells of each place how much brighter it is to be, so it changes where the picture does, though nobody knows how
much, or in which direction. What is compared is therefore how strong the edges are, each beside those around it. The
map of another picture has its edges elsewhere, and so has that of a picture that was cropped afterwards.

Decoding the picture is what costs time. So it is read from the top until the answer is clear.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable
from dataclasses import replace
from operator import mul

import pyvips

from iuserver.imaging.plan import GainMap, Piece, Plan, write
from iuserver.imaging.source import Source

GRID = 128
"""Places along the longer side."""
PARTS = ((8, 0.45), (4, 0.35), (2, 0.3), (1, 0.3))
"""Of a picture an eighth is read first, then a quarter, a half, and all of it; and the correlation of edges at which a
map belongs to it, which need not be as high where more has been seen."""
EDGE = pyvips.Image.new_from_array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
"""The Laplacian: by how much a place differs from the four beside it."""
AROUND = pyvips.Image.new_from_array([[1] * 9], scale=9)
"""The mean of nine places, in both directions."""
SHRINKS = (8, 4, 2)
Sides = tuple[int, int]


def write_both(source: Source, plan: Plan, gain_map: GainMap, target: str) -> Plan | None:
    """Write a picture with its gain map to the new file `target`, and return the plan that was carried out.

    Where the map does not belong to the picture, there is None, and no file.
    """
    write(source, gain_map.pieces, target)
    alone = b"".join(_bytes_of(source, piece) for piece in gain_map.alone)
    if belongs(target, (plan.width, plan.height), alone, gain_map.sides):
        removed = plan.removed - {"trailer"} if _ends(gain_map.pieces) == source.size else plan.removed
        removed = frozenset() if _is_all_of(source, gain_map.pieces) else removed
        return replace(plan, pieces=gain_map.pieces, removed=removed, hdr=True, gain_map=None)
    os.unlink(target)
    return None


def _ends(pieces: tuple[Piece, ...]) -> int | None:
    """Where the last piece ends in the input; None where it is not from there."""
    return pieces[-1][1] if isinstance(pieces[-1], tuple) else None


def _is_all_of(source: Source, pieces: tuple[Piece, ...]) -> bool:
    """Whether the pieces are the input as it came: what was written anew is what stood there."""
    position = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            if source.at(position, len(piece)) != piece:
                return False
            position += len(piece)
        elif piece[0] == position:
            position = piece[1]
        else:
            return False
    return position == source.size


def _bytes_of(source: Source, piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else source.at(piece[0], piece[1] - piece[0])


def belongs(picture: str, sides: Sides, gain_map: bytes, map_sides: Sides) -> bool:
    """Whether a gain map, a JPEG, belongs to the picture that the file `picture` begins with."""
    scale = GRID / max(sides)
    width, height = (max(1, round(side * scale)) for side in sides)
    try:
        one = _Reduced(pyvips.Image.jpegload, picture, max(sides), width, height)
        other = _Reduced(pyvips.Image.jpegload_buffer, gain_map, max(map_sides), width, height)
        return any(_correlation(_edges(one, other, max(1, height // part))) >= enough for part, enough in PARTS)
    except pyvips.Error:
        return False  # one of them cannot be decoded


class _Reduced:
    """A JPEG at a small size, of which no more is decoded than is asked for.

    It is decoded at an eighth, or larger where it has few pixels. libvips would read ahead where it reduces what it is
    still decoding: so that is done in two steps.
    """

    def __init__(
        self, load: Callable[..., pyvips.Image], jpeg: str | bytes, side: int, width: int, height: int
    ) -> None:
        shrink = next((shrink for shrink in SHRINKS if side >= 2 * shrink * GRID), 1)
        self._image = load(jpeg, shrink=shrink, access="sequential", revalidate=True)
        self._region = pyvips.Region.new(self._image)
        self._decoded = b""
        self.width, self.height = width, height

    def levels(self, rows: int) -> pyvips.Image:
        """The brightness of each place of the upper rows."""
        image = self._image
        here = math.ceil(rows * image.height / self.height)
        before = len(self._decoded) // (image.width * image.bands)
        if here > before:
            self._decoded += bytes(self._region.fetch(0, before, image.width, here - before))
        strip = pyvips.Image.new_from_memory(self._decoded, image.width, here, image.bands, "uchar")
        grey = strip.bandmean() if image.bands > 1 else strip
        small = grey.resize(self.width / image.width, vscale=self.height / image.height, kernel="linear")
        return small if small.height == rows else small.crop(0, 0, self.width, rows)


def _edges(one: _Reduced, other: _Reduced, rows: int) -> array[float]:
    """How strong the edges of both are at each place of the upper rows, by the mean of those around it; alternating."""
    levels = one.levels(rows).bandjoin(other.levels(rows)).cast("short")
    strength = levels.conv(EDGE).abs()
    edges = strength / (strength.convsep(AROUND) + 1)
    return array("f", bytes(pyvips.Region.new(edges).fetch(0, 0, one.width, rows)))


def _correlation(pairs: array[float]) -> float:
    """Pearson's correlation of two series whose values alternate; 0 where one of them does not change."""
    one, other = pairs[::2], pairs[1::2]
    count, total, other_total = len(one), sum(one), sum(other)
    spread = sum(map(mul, one, one)) - total * total / count
    other_spread = sum(map(mul, other, other)) - other_total * other_total / count
    both = sum(map(mul, one, other)) - total * other_total / count
    return both / math.sqrt(spread * other_spread) if min(spread, other_spread) > 1e-6 else 0.0
