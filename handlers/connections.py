"""Connections: bounded, and read from without copies.

One connection more than the server may have is told so and closed, and so is who sends a head that is too large. While
uploads are refused faster than the loop can afford, those that come on a new connection are told the same by the look
of their first bytes. What is refused here has not been parsed, and so costs next to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from handlers.addresses import client_network
from handlers.base import new_request_id
from handlers.cross_origin import EXPOSED
from iuserver.errors import Code
from iuserver.places import Rounds

SERVED_A_ROUND = 4
"""New connections that are read from with each round of the event loop: were it all, a round would take so long that no
upload under way came to its end."""
HEAD_CHUNK = 64 * 1024
"""Bytes that are read at a time until a body has begun: a request's headers, and what has come with them."""
HEAD_BYTES = 16 * 1024
"""What a request may have before its body: its first line and its headers."""
TAKEN_SECONDS = 60
"""For so long a client may take nothing of what is sent: an answer, or a portion of a picture."""
IDLE_SECONDS = 75
"""For so long a connection may wait for a request, or take to send its headers."""
DISCARDED_A_ROUND = 2
"""Portions of refused bodies that are thrown away with each round of the event loop."""
LINGER_PAUSE = 0.5
LINGER_SECONDS = 1.5
"""Seconds that a refused client has to read its answer and leave, and seconds for which it may then go on sending."""
LINGER_BYTES = 8 << 20
MOST_LINGERING = 2048
"""Refused connections that are still open; for one more, the one that has had its answer the longest is closed."""
UPLOADS = (b"POST /api/upload ", b"POST /api/upload?")
BUSY = b'{"error":"Upload queue overloaded, retry shortly","code":"overloaded"}'
TOO_LARGE = b'{"error":"First line and headers may have %d bytes in all","code":"headers_too_large"}' % HEAD_BYTES
HEAD = (
    b"HTTP/1.1 %s\r\nServer: iuserver\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: " + EXPOSED.encode() + b"\r\n"
    b"Cache-Control: private, no-store\r\nX-Content-Type-Options: nosniff\r\n"
    b"X-Request-Id: %s\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n"
)


class BodyStream(IOStream):
    """A stream that hands a body over as the kernel delivers it.

    Tornado reads into a fresh buffer of zeros, appends that to its own and cuts the answer out of it: three passes over
    bytes that nobody else is waiting for. It closes without a word where a request's head is too large; here
    `refuse_head` gets the connection first. And it waits for ever until a client takes its answers.
    """

    refuse_head: Callable[[socket.socket], None]
    _in_head = False

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read a request's head. What was pipelined behind the end of the connection is not begun."""
        if self.closed():
            raise StreamClosedError
        self._in_head = True  # heads are all that Tornado reads in this way
        return super().read_until_regex(regex, max_bytes)

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        self._in_head = False
        return super().read_until(delimiter, max_bytes)

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        written = super().write(data)
        if not written.done():  # the kernel has all of it at once, mostly
            timer = asyncio.get_running_loop().call_later(TAKEN_SECONDS, self.close)
            written.add_done_callback(lambda _: timer.cancel())
        return written

    def close(self, exc_info: Any = False) -> None:
        if self._in_head and isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self.refuse_head(self.socket.dup())
        super().close(exc_info)

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
    """Tornado's server with at most `max_connections` (0 = any number), and `per_address` of them from one address (an
    IPv6 /64 is one) that is not `is_trusted`.

    While `is_pressed`, uploads on new connections are not heard, and a connection ends with its answer, so that what is
    next comes on a new one. `refuse` notes an upload that is not heard, and gives the seconds after which it should
    come again. `count_refusal` gets the code of a refusal.
    """

    max_connections = 0
    per_address = 0
    connections = 0
    refused = 0
    is_trusted: Callable[[str], bool]
    is_pressed: Callable[[], bool]
    refuse: Callable[[], int]
    count_refusal: Callable[[Code], None]

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._lingering: dict[_Refused, None] = {}
        self._held: Counter[str] = Counter()
        self._turns = Rounds(SERVED_A_ROUND)
        self._discards = Rounds(DISCARDED_A_ROUND)

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        client = self._client(address)
        retry_after = self._refusal(stream, client)
        if retry_after is not None:
            self.refused += 1
            self._refuse(stream.socket, b"503 Service Unavailable", BUSY, b"Retry-After: %d\r\n" % retry_after)
            return
        self._count(client, 1)
        self._turns.call(lambda: self._serve(stream.socket, address))

    def _serve(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        stream = BodyStream(connection, read_chunk_size=HEAD_CHUNK)
        stream.refuse_head = self._refuse_head
        super().handle_stream(stream, address)

    def _refuse_head(self, connection: socket.socket) -> None:
        self.count_refusal("headers_too_large")
        self._refuse(connection, b"431 Request Header Fields Too Large", TOO_LARGE)

    def _refuse(self, connection: socket.socket, status: bytes, body: bytes, headers: bytes = b"") -> None:
        """Answer, and let the client go when it has had time to read that."""
        if len(self._lingering) >= MOST_LINGERING:
            next(iter(self._lingering)).close()
        with contextlib.suppress(OSError):  # the client has left; for anybody else the kernel has room for so little
            connection.send(HEAD % (status, new_request_id().encode(), len(body), headers) + body)
            connection.shutdown(socket.SHUT_WR)
        self._lingering[_Refused(connection, self._discards, self._lingering.pop)] = None

    async def close_all_connections(self) -> None:
        """Tornado's, and the refused ones."""
        for refused in list(self._lingering):
            refused.close()
        await super().close_all_connections()

    def on_close(self, server_conn: Any) -> None:
        self._count(self._client(server_conn.context.address), -1)
        super().on_close(server_conn)

    def _client(self, address: tuple[Any, ...] | str) -> str:
        """Who a connection counts for; "" for a proxy, which has those of many, as for whoever is on this machine."""
        return "" if not address or self.is_trusted(address[0]) else client_network(address[0])

    def _count(self, client: str, number: int) -> None:
        self.connections += number
        self._held[client] += number
        if not self._held[client]:
            del self._held[client]

    def _refusal(self, stream: IOStream, client: str) -> int | None:
        """The seconds of Retry-After for a connection that is not to be heard."""
        if self.max_connections and self.connections >= self.max_connections:
            return 5
        if client and self.per_address and self._held[client] >= self.per_address:
            return 5
        pressed = self.conn_params.no_keep_alive = self.is_pressed()
        return self.refuse() if pressed and _is_upload(stream) else None


def _is_upload(stream: IOStream) -> bool:
    """Whether a client has begun to send an upload; who has sent nothing yet is heard."""
    with contextlib.suppress(OSError):
        return stream.socket.recv(32, socket.MSG_PEEK).startswith(UPLOADS)
    return False


class _Refused:
    """A connection that has had its answer. What its client is still sending is thrown away, or it would see a reset in
    place of the answer; one that reads while it sends has left before that begins.

    What a client has handed to its kernel comes even when it has left, so to throw all away at once would take more
    time than all else: connections take `turns` at it, and where that takes too long they are closed.
    """

    def __init__(self, connection: socket.socket, turns: Rounds, ended: Callable[[_Refused], None]) -> None:
        self._connection = connection
        self._turns = turns
        self._ended = ended
        self._left = LINGER_BYTES
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LINGER_PAUSE, self._begin)

    def _begin(self) -> None:
        self._timer = self._loop.call_later(LINGER_SECONDS, self.close)
        self._turns.call(self._discard)

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
            self._turns.call(self._discard)
        else:
            self.close()

    def _go_on(self) -> None:
        self._loop.remove_reader(self._connection)
        self._turns.call(self._discard)

    def close(self) -> None:
        """Let the client go."""
        self._closed = True
        self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._ended(self)


_nowhere = bytearray(256 * 1024)
"""Where discarded bytes would go; of TCP's the kernel makes no copy (tcp(7), MSG_TRUNC)."""
