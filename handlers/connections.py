"""Connections, bounded: one more than the server may have is told so and closed, before anything of it is read."""

from __future__ import annotations

import contextlib
from asyncio import Future
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

IDLE_SECONDS = 75
"""For so long a connection may wait for a request, or take to send its headers."""
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: iuserver\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: 62\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"error":"Too many connections, retry","code":"overloaded"}   '
)


class BoundedServer(HTTPServer):
    """Tornado's server with at most `max_connections` (0 = any number)."""

    max_connections = 0
    connections = 0

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if self.max_connections and self.connections >= self.max_connections:
            stream.write(BUSY).add_done_callback(lambda written: _close(stream, written))
            return
        self.connections += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self.connections -= 1
        super().on_close(server_conn)


def _close(stream: IOStream, written: Future[None]) -> None:
    with contextlib.suppress(StreamClosedError):  # the client has left already
        written.result()
    stream.close()
