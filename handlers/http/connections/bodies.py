"""Body decoders: they find where a request's body ends (RFC 9112, sections 6 and 7.1).

`take` splits received bytes into the body's own and the rest. httptools does not report where in its input a body ends,
and what follows is the next request, which must not be parsed yet; so chunked bodies have a decoder of our own:

    chunk       = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    last-chunk  = 1*("0") [ chunk-ext ] CRLF trailer-section CRLF

Extensions are ignored (section 7.1.1). Trailers are validated and dropped: merged into the headers, they could change
what was decided by the head (section 7.1.2). Every line ends with CRLF.
"""

from __future__ import annotations

import re

from iuserver.errors import Fault

LONGEST_LINE = 1024
"""Limit in bytes of a chunk-size line with its extensions, and of a trailer."""
MOST_TRAILERS = 32
CHUNKS_AT_A_TIME = 256
"""Chunks that are decoded before other connections run: half a millisecond."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class SizedBody:
    """A body whose length is known."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return not self._left

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """The body's bytes in `data`, and the rest."""
        taken, rest = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
        self._left -= len(taken)
        return taken, rest

    def ends_with(self, data: bytes) -> bool:
        """Whether `data` is all that is missing."""
        return len(data) == self._left


class ChunkedBody:
    """A body in chunks."""

    def __init__(self) -> None:
        self.complete = False
        self._left = 0
        self._in_data = False
        self._trailers: int | None = None

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """The body's bytes in `data`, and the rest: too little to go on with, or not looked at yet.

        Raises Fault("bad_body").
        """
        parts: list[bytes] = []
        position = 0
        for _ in range(CHUNKS_AT_A_TIME):
            before = position
            position = self._data(data, position, parts) if self._in_data else self._line(data, position)
            if position == before or self.complete:
                break
        return b"".join(parts), data[position:]

    def ends_with(self, data: bytes) -> bool:
        """Unknown until it is decoded."""
        return False

    def _data(self, data: bytes, position: int, parts: list[bytes]) -> int:
        """Take what there is of a chunk's data, and the CRLF behind it; where to go on."""
        part = data[position : position + self._left]
        self._left -= len(part)
        position += len(part)
        if part:
            parts.append(part)
        end = data[position : position + 2]
        if self._left:
            return position
        if not b"\r\n".startswith(end):
            raise Fault("bad_body", "A chunk is longer than it says")
        if len(end) < 2:
            return position
        self._in_data = False
        return position + 2

    def _line(self, data: bytes, position: int) -> int:
        """Take one line, if it is there; where to go on."""
        end = data.find(b"\n", position, position + LONGEST_LINE) + 1
        if not end:
            if len(data) - position >= LONGEST_LINE:
                raise Fault("bad_body", "A line of the chunked body is too long")
            return position
        line = data[position:end]
        if self._trailers is None:
            self._begin_chunk(line)
        else:
            self._take_trailer(line)
        return end

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if not match:
            raise Fault("bad_body", "A chunk's size is not valid")
        self._left = int(match[1], 16)
        self._in_data = bool(self._left)
        if not self._left:
            self._trailers = 0

    def _take_trailer(self, line: bytes) -> None:
        assert self._trailers is not None
        self._trailers += 1
        if line == b"\r\n":
            self.complete = True
        elif not _TRAILER.fullmatch(line) or self._trailers > MOST_TRAILERS:
            raise Fault("bad_body", "A trailer of the chunked body is not valid")
