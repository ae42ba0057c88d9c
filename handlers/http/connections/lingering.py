"""Refused connections that are still open: the client is to read its answer before its socket is closed.

What a client is still sending is thrown away, or it would see a reset in place of the answer (RFC 9112, section 9.6);
one that reads while it sends has left before that begins. What a client has handed to its kernel comes even when it has
left, so to throw all away at once would take more time than all else: connections take turns at it, and where that
takes too long they are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from iuserver.places import TickLimiter

DISCARDS_PER_TICK = 2
"""Portions of refused bodies that are thrown away with each round of the event loop."""
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
        self._rounds = TickLimiter(DISCARDS_PER_TICK)

    def __len__(self) -> int:
        return len(self._refused)

    def refuse(self, connection: socket.socket, answer: bytes) -> None:
        """Give a connection its answer, and close it when the client has had time to read that."""
        if len(self._refused) >= MOST_LINGERING:
            next(iter(self._refused)).close()
        with contextlib.suppress(OSError):  # the client has left; for anybody else the kernel has room for so little
            connection.send(answer)
            connection.shutdown(socket.SHUT_WR)
        self._refused[_Refused(connection, self)] = None

    def close(self) -> None:
        """Let all of them go."""
        for refused in list(self._refused):
            refused.close()

    def discard(self, refused: _Refused) -> None:
        """One has been closed."""
        del self._refused[refused]

    @property
    def rounds(self) -> TickLimiter:
        return self._rounds


class _Refused:
    """A connection that has had its answer."""

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
        """Let the client go."""
        self._closed = True
        self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._lingering.discard(self)


_nowhere = bytearray(256 * 1024)
"""Where discarded bytes would go; of TCP's the kernel makes no copy (tcp(7), MSG_TRUNC)."""
