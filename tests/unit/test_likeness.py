"""Perceptual hashes: what an index finds is what a look at every one would find; and what makes a hash."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from iuserver.likeness import (
    COLUMNS,
    COMPARED,
    LISTED,
    MAX_DISTANCE,
    ORDER,
    PART,
    ROWS,
    SIZE,
    distance,
    hash_of,
    parts,
    probes,
    turns,
)

HASHES = st.binary(min_size=SIZE, max_size=SIZE)
BITS = 8 * SIZE


def flipped(likeness: bytes, bits: set[int]) -> bytes:
    number = int.from_bytes(likeness, "big")
    for bit in bits:
        number ^= 1 << bit
    return number.to_bytes(SIZE, "big")


def index_of(entries: list[bytes]) -> dict[tuple[int, bytes], set[bytes]]:
    index: dict[tuple[int, bytes], set[bytes]] = defaultdict(set)
    for entry in entries:
        for number, part in enumerate(parts(entry)):
            index[number, part].add(entry)
    return index


def found(index: dict[tuple[int, bytes], set[bytes]], likeness: bytes) -> set[bytes]:
    keys = [(number, value) for number, near in enumerate(probes(likeness)) for value in near]
    return set().union(*(index.get(key, set()) for key in keys))


@given(st.lists(HASHES, max_size=40), HASHES, st.sets(st.integers(0, BITS - 1), max_size=12), st.integers(0, 7))
def test_an_index_finds_all_that_are_near(entries: list[bytes], likeness: bytes, changed: set[int], most: int) -> None:
    entries = [*entries, flipped(likeness, changed)]
    near = {entry for entry in entries if distance(entry, likeness) <= most}
    assert {entry for entry in found(index_of(entries), likeness) if distance(entry, likeness) <= most} == near


def test_beyond_the_largest_distance_an_index_may_miss_one() -> None:
    two_in_each_part = {bit for start in range(0, BITS, 8 * PART) for bit in (start, start + 1)}
    other = flipped(bytes(SIZE), two_in_each_part)
    assert distance(other, bytes(SIZE)) == MAX_DISTANCE + 1
    assert found(index_of([other]), bytes(SIZE)) == set()


@given(HASHES, st.sets(st.integers(0, BITS - 1)))
def test_the_distance_is_the_number_of_bits_that_differ(likeness: bytes, bits: set[int]) -> None:
    assert distance(likeness, flipped(likeness, bits)) == len(bits)


def bits(seed: int, chance: float = 0.5) -> list[list[bool]]:
    numbers = random.Random(seed)
    return [[numbers.random() < chance for _ in range(COLUMNS - 1)] for _ in range(ROWS)]


def test_each_bit_of_a_picture_is_one_of_its_hash() -> None:
    picture = bits(1)
    for row in range(ROWS):
        for column in range(COLUMNS - 1):
            other = [list(line) for line in picture]
            other[row][column] = not other[row][column]
            assert distance(hash_of(picture), hash_of(other)) == 1


def test_a_picture_in_which_little_happens_turns_too_seldom() -> None:
    flat = bits(1, chance=0)
    one_line = [bits(2)[0], *flat[1:]]
    stripes = [[column % 2 == 0 for column in range(COLUMNS - 1)]] * ROWS
    beams = [[row % 2 == 0] * (COLUMNS - 1) for row in range(ROWS)]
    logo = [[2 < row < 5 and 2 < column < 6 for column in range(COLUMNS - 1)] for row in range(ROWS)]
    for dull in (flat, bits(1, chance=1), one_line, stripes, beams, logo):
        assert turns(hash_of(dull)) < COMPARED
    assert all(turns(hash_of(bits(seed))) >= LISTED for seed in range(50))


def test_each_part_is_spread_over_the_picture() -> None:
    per_part = 8 * PART
    for start in range(0, BITS, per_part):
        places = ORDER[start : start + per_part]
        assert {row for row, _ in places} == set(range(ROWS))
        assert {column for _, column in places} == set(range(COLUMNS - 1))
    assert len(set(ORDER)) == BITS
