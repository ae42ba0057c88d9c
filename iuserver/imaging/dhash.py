"""The perceptual hash of a picture: dHash, by which a copy that was scaled or compressed again is recognized.

The picture is reduced to 9 x 8 greys. Each of the 64 bits says whether one of them is darker than its right neighbour
by more than FLAT: what differs by less is noise. Source: Neal Krawetz, "Kind of Like That" (2013).
"""

from __future__ import annotations

import gc

import pyvips

from iuserver.imaging import thumbnail
from iuserver.imaging.plan import Plan, Rules, broken_image
from iuserver.imaging.source import opened
from iuserver.imaging.walkers import HEAD, walker_for

COLUMNS, ROWS = 9, 8
CELL = 8
"""Pixels that each grey is the mean of, across and down: a decoder's way to scale makes no difference then."""
FLAT = 1.0
"""Of 255."""
EDGES = 24
"""So many of the 64 pairs must differ by more than FLAT: less is a blank page, a gradient, a logo like others."""
ORDER = sorted(((row, column) for row in range(ROWS) for column in range(COLUMNS - 1)), key=lambda at: sum(at) % 4)
"""The bits, so that each quarter is spread over the picture: parts by which an index finds a hash differ more then."""


def make(origin: bytes | str, rules: Rules) -> str | None:
    """The hash of a clean picture's first frame, in hex digits; None where too little happens to tell it from others.

    Raises Fault where it cannot be decoded: broken_image, unsupported_type, too_many_pixels.
    """
    with opened(origin) as source:
        plan = walker_for(source.at(0, HEAD))(source, rules.limits)
    thumbnail.check(plan, rules)
    try:
        found = hash_of(_greys(origin, plan))
        return None if found is None else found.hex()
    except (pyvips.Error, OSError, SyntaxError) as error:
        raise broken_image("its pixels cannot be read") from error
    finally:
        gc.collect()


def hash_of(greys: list[list[float]]) -> bytes | None:
    """The hash of 8 rows of 9 greys."""
    steps = [greys[row][column + 1] - greys[row][column] for row, column in ORDER]
    if sum(abs(step) > FLAT for step in steps) < EDGES:
        return None
    bits = sum((step > FLAT) << number for number, step in enumerate(reversed(steps)))
    return bits.to_bytes(len(steps) // 8, "big")


def _greys(origin: bytes | str, plan: Plan) -> list[list[float]]:
    small = thumbnail.shrunk(origin, plan, COLUMNS * CELL, ROWS * CELL)
    if small.hasalpha():
        small = small.flatten(background=255)
    values = small.colourspace("b-w")[0].cast("float").shrink(CELL, CELL).tolist()
    return [[float(value) for value in row] for row in values]
