"""Perceptual hashes of 64 bits (dHash): how far two are apart, and by what an index finds those near one.

Hashes that differ in at most seven bits have, of their four parts of 16 bits, one that differs in at most one bit. So
an index over the parts finds them by 17 values for each (multi-index hashing: Norouzi, Punjani and Fleet, 2012).
"""

from __future__ import annotations

SIZE = 8
"""Bytes of a hash."""
PART = 2
"""Bytes of one of its parts."""
MAX_DISTANCE = 2 * SIZE // PART - 1
"""Up to here nothing is missed: parts that differ in two bits or more make a distance of eight."""
_NEAR = [0, *(1 << bit for bit in range(8 * PART))]


def distance(one: bytes, other: bytes) -> int:
    """How many bits two hashes differ in."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def parts(likeness: bytes) -> list[bytes]:
    """The parts that an index holds."""
    return [likeness[start : start + PART] for start in range(0, SIZE, PART)]


def probes(likeness: bytes) -> list[list[bytes]]:
    """For each part the values to look up: itself, and those that differ in one bit."""
    return [[(int.from_bytes(part, "big") ^ bits).to_bytes(PART, "big") for bits in _NEAR] for part in parts(likeness)]
