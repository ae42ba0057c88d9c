"""One request and its response: what Tornado's handlers use as `request.connection`.

A response that begins before its request has ended says `Connection: close`, as does every last one: a client is never
left with a connection that it believes to be open (RFC 9112, sections 9.3 and 9.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPOutputError, RequestStartLine, ResponseStartLine

from handlers.http.connections import answers
from handlers.http.connections.requests import Request

if TYPE_CHECKING:
    from handlers.http.connections.connection import Connection


class Exchange(HTTPConnection):
    """The response side of a request."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.context = connection.context
        self.begun = False
        self.finished = False
        self.keeps = False
        self._connection = connection
        self.request = request
        self._read: Callable[[], None] | None = None
        self._closed: Callable[[], None] | None = None
        self._chunked = False
        self._left: int | None = None

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set a callback for a client that goes before its response has ended."""
        self._closed = callback

    def set_read_callback(self, callback: Callable[[], None]) -> None:
        """Set a callback for the end of the request's body."""
        self._read = callback

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        """Send the head, and what there is of the body.

        Raises ValueError for a length that is none, and for a header that would end its line.
        """
        assert isinstance(start_line, ResponseStartLine)
        self._frame(start_line.code, headers)
        self._say_what_becomes_of_the_connection(headers)
        head = answers.head(start_line, headers)
        self.begun = True
        return self._send(head, *self._framed(chunk or b""))

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Send more of the body; the future is done when there is room for more."""
        return self._send(*self._framed(chunk))

    def finish(self) -> None:
        """End the response. Raises HTTPOutputError if it is shorter than its Content-Length."""
        if self._left and self._is_current:
            self._connection.abort()
            raise HTTPOutputError(f"The answer is {self._left} bytes shorter than its Content-Length")
        if self._chunked:
            self._send(answers.LAST_CHUNK)
        self._closed = None
        self.finished = True
        if self._is_current:
            self._connection.answered(self)

    def is_client_here(self) -> bool:
        """Whether an answer can still reach the client."""
        return self._is_current and self._connection.is_client_here()

    def close(self) -> None:
        """Close the connection, dropping unsent data."""
        if self._is_current:
            self._connection.abort()

    @property
    def _is_current(self) -> bool:
        """Whether the connection still waits for this answer."""
        return self._connection.exchange is self and self._connection.is_open

    def _send(self, *parts: bytes) -> asyncio.Future[None]:
        return self._connection.write(parts) if self._is_current else self._connection.closed_future()

    def notify_read(self) -> None:
        """All of the request has been read."""
        callback, self._read = self._read, None
        if callback:
            callback()

    def notify_gone(self) -> None:
        """The client has gone."""
        callback, self._closed = self._closed, None
        if callback:
            callback()

    def _frame(self, status: int, headers: HTTPHeaders) -> None:
        """How the end of the body is known (RFC 9112, section 6.3)."""
        if not answers.has_body(self.request.start_line.method, status):
            self._left = 0
        elif "Content-Length" in headers:
            self._left = _length(headers["Content-Length"])
        elif self.request.start_line.version == "HTTP/1.1":
            headers["Transfer-Encoding"] = "chunked"
            self._chunked = True

    def _say_what_becomes_of_the_connection(self, headers: HTTPHeaders) -> None:
        delimited = self._chunked or self._left is not None
        announced = headers.get("Connection", "").lower() == "close"
        self.keeps = self.request.keep_alive and delimited and not announced and self._connection.may_stay()
        if not self.keeps:
            headers["Connection"] = "close"
        elif self.request.start_line.version == "HTTP/1.0":
            headers["Connection"] = "keep-alive"

    def _framed(self, chunk: bytes) -> Sequence[bytes]:
        """Encode a part of the body for the wire."""
        if self._left is not None:
            self._left -= len(chunk)
            if self._left < 0:
                self.close()
                raise HTTPOutputError("The answer is longer than its Content-Length")
        return answers.chunk(chunk) if self._chunked else (chunk,)


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no Content-Length")
    return int(text)
