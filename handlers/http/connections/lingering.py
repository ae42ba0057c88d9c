"""Lingering close of refused connections: the client can read its response before the socket is closed.

What a client still sends is discarded, or it would see a reset instead of the response (RFC 9112, section 9.6); a
client that reads while it sends has left before that begins. What a client has handed to its kernel arrives even after
it has left, and discarding all of it at once would take most of the time: a limiter spreads it over ticks, and
connections that take too long are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from iuserver.admission.fairness import TickLimiter

DISCARDS_PER_TICK = 2
"""Chunks of refused bodies that are discarded per tick."""
LINGER_PAUSE = 0.5
LINGER_SECONDS = 1.5
"""Seconds that a refused client has to read its answer and leave, and seconds for which it may then go on sending."""
LINGER_BYTES = 8 << 20
MOST_LINGERING = 2048
"""Refused connections that are still open; for one more, the one that has had its answer the longest is closed."""


class Lingering:
    """All refused connections of a server."""

    def __init__(self) -> None:
        self._refused: dict[_Refused, None] = {}
        self._discards = TickLimiter(DISCARDS_PER_TICK)

    def __len__(self) -> int:
        return len(self._refused)

    def refuse(self, connection: socket.socket, answer: bytes) -> None:
        """Send a connection its response, and close it once the client has had time to read it."""
        if len(self._refused) >= MOST_LINGERING:
            next(iter(self._refused)).close()
        with contextlib.suppress(OSError):  # the client has left; for anybody else the kernel has room for so little
            connection.send(answer)
            connection.shutdown(socket.SHUT_WR)
        self._refused[_Refused(connection, self)] = None

    def close(self) -> None:
        """Close all of them."""
        for refused in list(self._refused):
            refused.close()

    def discard(self, refused: _Refused) -> None:
        """One has been closed."""
        del self._refused[refused]

    @property
    def rounds(self) -> TickLimiter:
        return self._discards


class _Refused:
    """A refused connection that has been sent its response."""

    def __init__(self, connection: socket.socket, lingering: Lingering) -> None:
        self._connection = connection
        self._lingering = lingering
        self._left = LINGER_BYTES
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LINGER_PAUSE, self._begin)

    def _begin(self) -> None:
        self._timer = self._loop.call_later(LINGER_SECONDS, self.close)
        self._lingering.rounds.call(self._discard)

    def _discard(self) -> None:
        if self._closed:
            return
        try:
            taken = self._connection.recv_into(_nowhere, len(_nowhere), socket.MSG_TRUNC)
        except BlockingIOError:
            self._loop.add_reader(self._connection, self._go_on)
            return
        except OSError:  # the client has left
            taken = 0
        self._left -= taken
        if taken and self._left > 0:
            self._lingering.rounds.call(self._discard)
        else:
            self.close()

    def _go_on(self) -> None:
        self._loop.remove_reader(self._connection)
        self._lingering.rounds.call(self._discard)

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._lingering.discard(self)


_nowhere = bytearray(256 * 1024)
"""Where discarded bytes would go; of TCP's the kernel makes no copy (tcp(7), MSG_TRUNC)."""
