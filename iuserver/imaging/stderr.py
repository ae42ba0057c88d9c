"""Captures a worker's standard error through a pipe, so that no worker holds a descriptor of the log.

Its text becomes log lines without control characters. A worker may write as much as it likes: the pipe is read in large
chunks with pauses, and only the beginning of each minute's text is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from typing import cast

log = logging.getLogger("iuserver.imaging")

LINE = 500
"""Bytes of a line; the rest of a longer one is left out."""
LOGGED = 16 * 1024
"""Bytes that are logged of what a worker writes in a minute: several tracebacks."""
MINUTE = 60.0
PAUSE = 0.02
"""Seconds between two reads, each of at most what a pipe holds (64 KiB)."""
END_SECONDS = 1.0


class Stderr(asyncio.Protocol):
    """The server's end of one worker's standard error. `clock` gives seconds."""

    transport: asyncio.ReadTransport

    def __init__(self, pid: int, clock: Callable[[], float]) -> None:
        self._pid = pid
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._since = clock()
        self._room = LOGGED
        self._dropped = 0
        self._line = b""
        self._ended: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def opened(cls, pid: int, reading: int) -> Stderr:
        """Read from a descriptor, which is closed when the other end is."""
        loop = asyncio.get_running_loop()
        _, stderr = await loop.connect_read_pipe(lambda: cls(pid, loop.time), os.fdopen(reading, "rb", 0))
        return stderr

    async def close(self) -> None:
        """Log what is left of a worker that has ended."""
        self._resume()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), END_SECONDS)
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.pause_reading()
        self._loop.call_later(PAUSE, self._resume)
        if self._clock() - self._since > MINUTE:
            self._begin_minute()
        taken = data[: self._room]
        self._room -= len(taken)
        self._dropped += len(data) - len(taken)
        *lines, rest = (self._line + taken).split(b"\n")
        for line in lines:
            self._log(line)
        self._line = rest[: LINE + 1]

    def connection_lost(self, error: Exception | None) -> None:
        self._begin_minute()
        if not self._ended.done():
            self._ended.set_result(None)

    def _begin_minute(self) -> None:
        if self._line:
            self._log(self._line)
        if self._dropped:
            log.warning("worker %d wrote %d bytes more, which are left out", self._pid, self._dropped)
        self._since, self._room, self._dropped, self._line = self._clock(), LOGGED, 0, b""

    def _log(self, line: bytes) -> None:
        text = repr(line[:LINE])[2:-1] + ("…" if len(line) > LINE else "")
        log.warning("worker %d wrote: %s", self._pid, text)

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
