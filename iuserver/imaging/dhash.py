"""The perceptual hash of a picture: dHash, by which a copy that was scaled or compressed again is recognized.

The picture is reduced to 9 x 8 greys. Each of the 64 bits says whether one of them is darker than its right neighbour
by more than FLAT: what differs by less is noise. Source: Neal Krawetz, "Kind of Like That" (2013).
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Sequence

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
TURNS = 10
"""So often a bit must differ from its right neighbour, and from the one below: random ones do 28 times each.

Blank pages, gradients, stripes and logos turn less, and are like many others. Of 1,000 crops of photos against 100,000
crops of others, 69 had one within 4 bits; of those that turn enough, none within 5.
"""
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
    darker = [[right - left > FLAT for left, right in itertools.pairwise(row)] for row in greys]
    if min(_turns(darker), _turns(list(zip(*darker, strict=True)))) < TURNS:
        return None
    bits = sum(darker[row][column] << number for number, (row, column) in enumerate(ORDER))
    return bits.to_bytes(len(ORDER) // 8, "big")


def _turns(bits: Sequence[Sequence[bool]]) -> int:
    """How often neighbours in a row differ."""
    return sum(one != other for row in bits for one, other in itertools.pairwise(row))


def _greys(origin: bytes | str, plan: Plan) -> list[list[float]]:
    small = thumbnail.shrunk(origin, plan, COLUMNS * CELL, ROWS * CELL)
    if small.hasalpha():
        small = small.flatten(background=255)
    values = small.colourspace("b-w")[0].cast("float").shrink(CELL, CELL).tolist()
    return [[float(value) for value in row] for row in values]
