"""Messages between the pool and a worker over a socket pair: two lengths, a head in JSON, a body of bytes."""

from __future__ import annotations

import struct
from typing import Any

import orjson

LENGTHS = struct.Struct(">II")


def message(head: dict[str, Any], body: bytes = b"") -> tuple[bytes, bytes]:
    """A message as two buffers to be sent one after the other, so that a large body is not copied."""
    encoded = orjson.dumps(head)
    return LENGTHS.pack(len(encoded), len(body)) + encoded, body


class Reader:
    """Puts messages together from whatever portions the socket delivers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[dict[str, Any], bytes] | None:
        """Take more bytes; the message (head, body) once it is whole. Messages never overlap: one job at a time."""
        self._buffer += data
        if len(self._buffer) < LENGTHS.size:
            return None
        head_length, body_length = LENGTHS.unpack_from(self._buffer)
        middle = LENGTHS.size + head_length
        if len(self._buffer) < middle + body_length:
            return None
        head = orjson.loads(memoryview(self._buffer)[LENGTHS.size : middle])
        body = bytes(memoryview(self._buffer)[middle : middle + body_length])
        self._buffer.clear()
        return head, body
