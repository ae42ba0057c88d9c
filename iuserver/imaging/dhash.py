"""The perceptual hash of a picture: dHash, by which a copy that was scaled or compressed again is recognized.

The picture is reduced to 9 x 8 greys. Each of the 64 bits says whether one of them is darker than its right neighbour
by more than FLAT: what differs by less is noise. Source: Neal Krawetz, "Kind of Like That" (2013).
"""

from __future__ import annotations

import gc
import itertools

import pyvips

from iuserver.imaging import thumbnail
from iuserver.imaging.plan import Plan, Rules, broken_image
from iuserver.imaging.source import opened
from iuserver.imaging.walkers import HEAD, walker_for
from iuserver.likeness import COLUMNS, ROWS, hash_of

CELL = 8
"""Pixels that each grey is the mean of, across and down: a decoder's way to scale makes no difference then."""
FLAT = 1.0
"""Of 255."""


def make(origin: bytes | str, rules: Rules) -> bytes:
    """The hash of a clean picture's first frame. Raises Fault where it cannot be decoded: broken_image,
    unsupported_type, too_many_pixels."""
    with opened(origin) as source:
        plan = walker_for(source.at(0, HEAD))(source, rules.limits)
    thumbnail.check(plan, rules)
    try:
        greys = _greys(origin, plan)
    except (pyvips.Error, OSError, SyntaxError) as error:
        raise broken_image("its pixels cannot be read") from error
    finally:
        gc.collect()
    return hash_of([[right - left > FLAT for left, right in itertools.pairwise(row)] for row in greys])


def _greys(origin: bytes | str, plan: Plan) -> list[list[float]]:
    small = thumbnail.shrunk(origin, plan, COLUMNS * CELL, ROWS * CELL)
    if small.hasalpha():
        small = small.flatten(background=255)
    values = small.colourspace("b-w")[0].cast("float").shrink(CELL, CELL).tolist()
    return [[float(value) for value in row] for row in values]
