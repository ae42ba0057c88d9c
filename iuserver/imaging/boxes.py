"""ISO base media files: reads boxes from untrusted bytes, and writes boxes.

Source: ISO/IEC 14496-12, section 4.2 for boxes and full boxes.

Reading past the end of a box, an unknown version, or a count over a limit means a broken file. No number in a file
makes a loop longer than the limits here, or allocates memory.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from iuserver.imaging.plan import Range, broken
from iuserver.imaging.source import Source

MAX_CHILDREN = 4096
MAX_BODY = 8 * 1024 * 1024
LONGEST_HEAD = 16

Place = Callable[[int], int]
"""Where a byte of the old file comes to lie in the new one."""


def head_of(head: bytes, room: int) -> tuple[bytes, int, int] | None:
    """A box's kind, the length of its head and of the whole box; None where no box can begin like this.

    `head` is what there is of its first 16 bytes, `room` how many bytes are left for it. Length 0 means all of them.
    """
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    length = 8
    if size == 1:
        if len(head) < LONGEST_HEAD:
            return None
        size, length = int.from_bytes(head[8:16], "big"), LONGEST_HEAD
    elif size == 0:
        size = room
    return (kind, length, size) if size >= length else None


def top_boxes(source: Source, needed: Iterable[bytes]) -> Iterator[tuple[bytes, Range]]:
    """The kind and the body of every box of a file, up to where its boxes end or a second file begins.

    What follows and is no box, or not a whole one, is trailing bytes, unless it is a box of a `needed` kind.
    """
    position = 0
    for _ in range(MAX_CHILDREN):
        room = source.size - position
        head = head_of(source.at(position, min(LONGEST_HEAD, room)), room)
        if head is None or (position and head[0] == b"ftyp"):
            return
        kind, length, size = head
        if size > room:
            if kind in needed:
                broken("it is cut short")
            return
        yield kind, (position + length, position + size)
        position += size
    broken("it has too many boxes")


class Reader:
    """The body of one box, read from its beginning to its end."""

    __slots__ = ("_data", "_position", "_stop")

    def __init__(self, data: bytes, start: int = 0, stop: int | None = None) -> None:
        self._data = data
        self._position = start
        self._stop = len(data) if stop is None else stop

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return self._stop - self._position

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self._position
        if size > self._stop - start:
            broken("a box ends too early")
        self._position = start + size
        return self._data[start : self._position]

    def uint(self, size: int) -> int:
        """The next `size` bytes as a number; 0 for no bytes."""
        return int.from_bytes(self.take(size), "big")

    def count(self, size: int, limit: int) -> int:
        """The next `size` bytes as a number of things of which there may be `limit`."""
        number = self.uint(size)
        if number > limit:
            broken("it has more entries in a list than are allowed")
        return number

    def full(self, *versions: int) -> tuple[int, int]:
        """The version and the flags that a full box begins with, the version being one of these."""
        version, flags = self.uint(1), self.uint(3)
        if version not in versions:
            broken("a box has a version that is not supported")
        return version, flags

    def again(self) -> Reader:
        """What has not been read, to be read by somebody else as well."""
        return Reader(self._data, self._position, self._stop)

    def rest(self) -> bytes:
        """All that has not been read."""
        return self.take(self.left)

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            broken("a box has a wrong length")

    def children(self) -> Iterator[tuple[bytes, Reader]]:
        """The boxes that fill what has not been read."""
        for _ in range(MAX_CHILDREN):
            if not self.left:
                return
            start, room = self._position, self.left
            head = head_of(self._data[start : start + min(LONGEST_HEAD, room)], room)
            if head is None or head[2] > room:
                broken("a box does not fit into the box that it is in")
            kind, length, size = head
            self._position = start + size
            yield kind, Reader(self._data, start + length, self._position)
        broken("a box has too many boxes in it")

    def parts(self, *kinds: bytes) -> dict[bytes, Reader]:
        """The boxes of these kinds among those that fill what has not been read; of each kind there may be one."""
        found: dict[bytes, Reader] = {}
        for kind, body in self.children():
            if kind not in kinds:
                continue
            if kind in found:
                broken("it has two boxes where there may be one")
            found[kind] = body
        return found


def part(parts: dict[bytes, Reader], kind: bytes) -> Reader:
    """The part of this kind, which there has to be."""
    if kind not in parts:
        broken("a box lacks one that it has to have")
    return parts[kind]


def box(kind: bytes, *bodies: bytes) -> bytes:
    """A box of these bytes."""
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *bodies: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A full box of these bytes."""
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def handler(kind: bytes) -> bytes:
    """A handler box without a name."""
    return full_box(b"hdlr", bytes(4), kind, bytes(12), b"\0")


def uints(size: int, *numbers: int) -> bytes:
    """The numbers, in `size` bytes each."""
    return b"".join(number.to_bytes(size, "big") for number in numbers)


class Packing:
    """Where ranges of bytes come to lie that are put together without what is between them, in their old order."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self.ranges: list[Range] = []
        self.size = 0
        self._starts: list[int] = []
        self._places: list[int] = []
        for start, stop in _apart(sorted(set(ranges))):
            self._add(start, stop)

    def _add(self, start: int, stop: int) -> None:
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1] = (self.ranges[-1][0], stop)
        else:
            self.ranges.append((start, stop))
            self._starts.append(start)
            self._places.append(self.size)
        self.size += stop - start

    def place(self, offset: int) -> int:
        """Where the first byte of one of the ranges comes to lie."""
        index = bisect_right(self._starts, offset) - 1
        return self._places[index] + offset - self._starts[index]

    def check_within(self, rooms: list[Range]) -> None:
        """Every range has to lie in one of these, which are in order."""
        starts = [start for start, _ in rooms]
        for start, stop in self.ranges:
            index = bisect_right(starts, start) - 1
            if index < 0 or stop > rooms[index][1]:
                broken("its picture data is not where it should be, or cut short")


def check_apart(ranges: Iterable[Range]) -> None:
    """No byte may be in two of these ranges, and each has to have a byte."""
    for _ in _apart(sorted(ranges)):
        pass


def _apart(ranges: list[Range]) -> Iterator[Range]:
    end = 0
    for start, stop in ranges:
        if start < end or stop <= start:
            broken("parts of its picture data are empty or overlap")
        end = stop
        yield start, stop
