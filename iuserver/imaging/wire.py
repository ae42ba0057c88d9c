"""Between the pool and a worker: small messages over a socket pair, and one picture at a time in shared memory.

A message is a length and a JSON object. A picture that is not in a file goes through the slot, memory that both sides
map: a socket would copy it twice inside the kernel, which costs more than all the rest of handing over a job.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import Any

import orjson

LENGTH = struct.Struct(">I")
SLOT = 128 * 1024
"""Bytes that a picture in memory may have."""


def message(head: Any) -> bytes:
    """A message, ready to be sent."""
    encoded = orjson.dumps(head)
    return LENGTH.pack(len(encoded)) + encoded


class Reader:
    """Puts messages together from whatever portions the socket delivers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> dict[str, Any] | None:
        """Take more bytes; the message once it is whole. Messages never overlap: one job at a time."""
        self._buffer += data
        if len(self._buffer) < LENGTH.size:
            return None
        stop = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < stop:
            return None
        head: dict[str, Any] = orjson.loads(memoryview(self._buffer)[LENGTH.size : stop])
        self._buffer.clear()
        return head


def send_slot(connection: socket.socket) -> mmap.mmap:
    """Make a slot, send its descriptor over a new connection, and map it."""
    file = os.memfd_create("slot", os.MFD_CLOEXEC)
    try:
        os.ftruncate(file, SLOT)
        socket.send_fds(connection, [b"s"], [file])
        return mmap.mmap(file, SLOT)
    finally:
        os.close(file)


def receive_slot(connection: socket.socket) -> mmap.mmap:
    """Map the slot whose descriptor comes first over a connection. Raises EOFError where the other side is gone."""
    _, files, _, _ = socket.recv_fds(connection, 1, 1)
    if not files:
        raise EOFError("no slot was sent")
    try:
        return mmap.mmap(files[0], SLOT, prot=mmap.PROT_READ)
    finally:
        os.close(files[0])
