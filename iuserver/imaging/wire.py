"""The protocol between pool and workers: small messages over a socket pair, one picture at a time in shared memory.

A message is a length and a JSON object. A picture that is not in a file goes through shared memory: a socket would copy
it twice inside the kernel, which costs more than the rest of handing over a job. The memory is sealed,
memfd_create(2): a worker can neither write to it nor shrink it, which would kill the server by SIGBUS.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Literal

import orjson

LENGTH = struct.Struct(">I")
SHARED_BUFFER_BYTES = 128 * 1024
"""Bytes that a picture in memory may have."""
Kind = Literal["clean", "thumbnail", "likeness"]
"""What is to be done with a picture."""


@dataclass(frozen=True)
class Deadline:
    """How many times the pool's deadline a job may take in all, and of the processor."""

    all: int
    processor: int


DEADLINES: dict[Kind, Deadline] = {"clean": Deadline(1, 1), "thumbnail": Deadline(10, 2), "likeness": Deadline(1, 1)}
"""A thumbnail is made when uploads leave time for it."""
LARGEST = 64 * 1024
"""Bytes of a message. The largest one has a traceback."""
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SEAL_FUTURE_WRITE = 0x10
"""F_SEAL_FUTURE_WRITE of linux/fcntl.h, since Linux 5.1: what is mapped for writing stays so, and nothing else is."""


def message(head: Any) -> bytes:
    """A message, ready to be sent."""
    encoded = orjson.dumps(head)
    return LENGTH.pack(len(encoded)) + encoded


class Reader:
    """Reassembles messages from the chunks that the socket delivers; it never holds more than LARGEST bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> dict[str, Any] | None:
        """Take more bytes; the message once it is whole. Messages never overlap: one job at a time.

        Raises ValueError for what is no message, or too long, or has something behind it.
        """
        self._buffer += data
        if len(self._buffer) < LENGTH.size:
            return None
        length = LENGTH.unpack_from(self._buffer)[0]
        stop = LENGTH.size + length
        if length > LARGEST or len(self._buffer) > stop:
            raise ValueError(f"{len(self._buffer)} bytes of a message of {length}")
        if len(self._buffer) < stop:
            return None
        head = orjson.loads(memoryview(self._buffer)[LENGTH.size :])
        self._buffer.clear()
        if not isinstance(head, dict):
            raise ValueError("a message that is no object")
        return head


def send_buffer(connection: socket.socket) -> mmap.mmap:
    """Make a buffer, map it, and send a descriptor for reading over a new connection."""
    with contextlib.ExitStack() as files:
        file = os.memfd_create("buffer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        files.callback(os.close, file)
        os.ftruncate(file, SHARED_BUFFER_BYTES)
        buffer = mmap.mmap(file, SHARED_BUFFER_BYTES)
        _seal(file)
        reading = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
        files.callback(os.close, reading)
        socket.send_fds(connection, [b"s"], [reading])
        return buffer


def _seal(file: int) -> None:
    """Fix the size of shared memory, and let nobody write to it who does not by now."""
    try:
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS | SEAL_FUTURE_WRITE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it is older than Linux 5.1
            raise
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)


def receive_buffer(connection: socket.socket) -> mmap.mmap:
    """Map the buffer whose descriptor comes first over a connection. Raises EOFError where the other side is gone."""
    _, files, _, _ = socket.recv_fds(connection, 1, 1)
    if not files:
        raise EOFError("no buffer was sent")
    try:
        return mmap.mmap(files[0], SHARED_BUFFER_BYTES, prot=mmap.PROT_READ)
    finally:
        os.close(files[0])
