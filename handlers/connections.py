"""Connections: bounded, and read from without copies.

One connection more than the server may have is told so and closed. While uploads are refused faster than the loop can
afford, those that come on a new connection are told the same by the look of their first bytes. What is refused here has
not been parsed, and so costs next to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from tornado import netutil
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

from handlers.base import new_request_id

ACCEPTED_A_ROUND = 4
"""Connections that are accepted with each round of the event loop. The others wait in the kernel, where they cost
nothing: were all accepted at once, a round would take so long that no upload under way came to its end."""
netutil._DEFAULT_BACKLOG = ACCEPTED_A_ROUND  # what Tornado accepts by in one go; it has no setting for it
HEAD_CHUNK = 64 * 1024
"""Bytes that are read at a time until a body has begun: a request's headers, and what has come with them."""
IDLE_SECONDS = 75
"""For so long a connection may wait for a request, or take to send its headers."""
LINGER_SECONDS = 2
"""For so long what a refused client is still sending is read, so that it sees its answer and not a reset."""
LINGER_BYTES = 8 << 20
MOST_LINGERING = 512
"""Refused connections that are still read from; one more is closed without an answer."""
UPLOADS = (b"POST /api/upload ", b"POST /api/upload?")
BUSY = b'{"error":"Upload queue overloaded, retry shortly","code":"overloaded"}'
HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: iuserver\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Access-Control-Allow-Origin: *\r\nX-Request-Id: %s\r\nContent-Length: %d\r\nRetry-After: %d\r\n"
    b"Connection: close\r\n\r\n"
)


class BodyStream(IOStream):
    """A stream that hands a body over as the kernel delivers it.

    Tornado reads into a fresh buffer of zeros, appends that to its own and cuts the answer out of it: three passes over
    bytes that nobody else is waiting for.
    """

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[bytes]:
        if partial and not (self._read_buffer_size or self.reading() or self.closed()):
            with contextlib.suppress(OSError):  # nothing there yet, or an error that Tornado will meet, too
                if data := self.socket.recv(num_bytes):
                    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                    received.set_result(data)
                    return received
            self.read_chunk_size = max(HEAD_CHUNK, num_bytes)  # so much at a time when it comes
        return super().read_bytes(num_bytes, partial)


class BoundedServer(HTTPServer):
    """Tornado's server with at most `max_connections` (0 = any number).

    `shed` gives the seconds after which an upload that comes now should come again, or None where it may be heard.
    """

    max_connections = 0
    connections = 0
    refused = 0
    shed: Callable[[], int | None]

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._lingering: set[asyncio.Task[None]] = set()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        retry_after = self._refusal(stream)
        if retry_after is not None:
            self._refuse(stream, retry_after)
            return
        self.connections += 1
        super().handle_stream(BodyStream(stream.socket, read_chunk_size=HEAD_CHUNK), address)

    def _refuse(self, stream: IOStream, retry_after: int) -> None:
        self.refused += 1
        if len(self._lingering) >= MOST_LINGERING:
            stream.close()
            return
        task = asyncio.get_running_loop().create_task(_answer(stream, retry_after))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    def on_close(self, server_conn: object) -> None:
        self.connections -= 1
        super().on_close(server_conn)

    def _refusal(self, stream: IOStream) -> int | None:
        """The seconds of Retry-After for a connection that is not to be heard."""
        if self.max_connections and self.connections >= self.max_connections:
            return 5
        retry_after = self.shed()
        return None if retry_after is None or not _is_upload(stream) else retry_after


def _is_upload(stream: IOStream) -> bool:
    """Whether a client has begun to send an upload; who has sent nothing yet is heard."""
    with contextlib.suppress(OSError):
        return stream.socket.recv(32, socket.MSG_PEEK).startswith(UPLOADS)
    return False


async def _answer(stream: IOStream, retry_after: int) -> None:
    """Answer, then read what is still coming for a while."""
    with contextlib.suppress(StreamClosedError, OSError, TimeoutError):  # the client has left, or goes on for ever
        async with asyncio.timeout(LINGER_SECONDS):
            await stream.write(HEAD % (new_request_id().encode(), len(BUSY), retry_after) + BUSY)
            stream.socket.shutdown(socket.SHUT_WR)
            left = LINGER_BYTES
            while left > 0:
                left -= len(await stream.read_bytes(stream.read_chunk_size, partial=True))
    stream.close()
