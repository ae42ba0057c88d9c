"""ICC profiles: recognizes one, and finds its end.

Source: ICC.1:2022, section 7.2 for the header (its own size at 0, the signature `acsp` at 36), 7.3 for the tag table.

Browsers ignore a profile that declares a larger size than it has, and never read beyond the size that it declares.
"""

from __future__ import annotations

import struct

SIGNATURE = b"acsp"
HEADER = 132
"""Bytes of the header and of the count of tags, which follows it."""
TAG = 12


def length(head: bytes, room: int) -> int | None:
    """How many bytes long the profile is that begins with `head`, or None where no profile begins like this.

    `head` is what there is of its first 132 bytes, `room` how many bytes there are for it.
    """
    if len(head) < HEADER or head[36:40] != SIGNATURE:
        return None
    (size,), (tags,) = struct.unpack_from(">I", head), struct.unpack_from(">I", head, HEADER - 4)
    return size if HEADER + TAG * tags <= size <= room else None


def profile(data: bytes) -> bytes | None:
    """The profile that these bytes begin with, cut to the size that it tells, or None where they are no profile."""
    size = length(data[:HEADER], len(data))
    return None if size is None else data[:size]
