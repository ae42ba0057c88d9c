"""Perceptual hashes: what an index finds is what a look at every one would find; and what makes a hash."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from iuserver.imaging import dhash
from iuserver.likeness import MAX_DISTANCE, PART, SIZE, distance, parts, probes

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
def test_an_index_finds_all_that_are_near(entries: list[bytes], likeness: bytes, bits: set[int], most: int) -> None:
    entries = [*entries, flipped(likeness, bits)]
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


def greys(seed: int, contrast: float = 100.0) -> list[list[float]]:
    chance = random.Random(seed)
    return [[chance.random() * contrast for _ in range(dhash.COLUMNS)] for _ in range(dhash.ROWS)]


def test_a_hash_says_what_grows_darker_and_not_by_how_much() -> None:
    picture = greys(1)
    brighter = [[value * 0.7 + 60 for value in row] for row in picture]
    noisy = [[value + 0.1 * (-1) ** column for column, value in enumerate(row)] for row in picture]
    likeness = dhash.hash_of(picture)
    assert likeness is not None
    assert len(likeness) == SIZE
    for other in (brighter, noisy):
        hashed = dhash.hash_of(other)
        assert hashed is not None
        assert distance(hashed, likeness) <= 3
    assert dhash.hash_of(greys(2)) != likeness


def test_where_little_happens_there_is_no_hash() -> None:
    blank = [[255.0] * dhash.COLUMNS for _ in range(dhash.ROWS)]
    one_line = [list(row) for row in blank]
    one_line[3] = greys(3)[0]
    for flat in (blank, one_line, greys(4, contrast=0.9)):
        assert dhash.hash_of(flat) is None


def test_each_part_is_spread_over_the_picture() -> None:
    per_part = 8 * PART
    for start in range(0, BITS, per_part):
        places = dhash.ORDER[start : start + per_part]
        assert {row for row, _ in places} == set(range(dhash.ROWS))
        assert {column for _, column in places} == set(range(dhash.COLUMNS - 1))
    assert len(set(dhash.ORDER)) == BITS
