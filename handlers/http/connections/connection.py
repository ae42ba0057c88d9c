"""A client's connection: reads and answers its requests one after the other (RFC 9112, section 9).

- Pipelined requests are not parsed before the previous one has been answered (section 9.3.2); reading pauses when part
  of one has arrived. It also pauses while a handler takes no more of a body, or the client reads no responses.
- Half-closed input after a request does not prevent a response. A client is *gone* when it resets the connection,
  cannot be written to, or ends inside a request (section 9.5; RFC 9293, section 3.6).
- After the last response our side is closed, and further input is discarded for a while: otherwise the client would see
  a reset before it has read the response (section 9.6).
- Waiting for a request, and for a response to be read, has a deadline; handlers set one for bodies.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import select
import socket
import struct
import termios
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tornado.httputil import HTTPInputError, HTTPMessageDelegate
from tornado.iostream import StreamClosedError

from handlers.http.connections import answers, requests
from handlers.http.connections.bodies import ChunkedBody, SizedBody
from handlers.http.connections.deadlines import Deadline
from handlers.http.connections.exchange import Exchange
from handlers.http.connections.lingering import LINGER_BYTES, LINGER_SECONDS
from iuserver.errors import Fault

if TYPE_CHECKING:
    from handlers.http.connections.server import HttpServer

log = logging.getLogger("iuserver")

TAKEN_SECONDS = 60
"""How long a client may take to read TAKEN_BYTES of a response that exceeds the kernel's buffer and ours."""
TAKEN_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """The origin of a connection, as Tornado's requests expect it; `client` is the address that limits count."""

    remote_ip: str
    address_family: socket.AddressFamily
    client: str = ""
    protocol: str = "http"

    def __str__(self) -> str:
        return self.remote_ip


class Connection(asyncio.BufferedProtocol):
    """A client's connection to a server."""

    _transport: asyncio.Transport

    def __init__(self, server: HttpServer, context: Context) -> None:
        self.context = context
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._input = b""
        self._buffer = memoryview(b"")
        self._exchange: Exchange | None = None
        self._delegate: HTTPMessageDelegate | None = None
        self._body: SizedBody | ChunkedBody | None = None
        self._awaited: asyncio.Future[None] | None = None
        self._reading = True
        self._ended = False
        self._lingering = False
        self._lost = False
        self._discarded = 0
        self._drained: asyncio.Future[None] | None = None
        self._input_due = Deadline(self._input_missed)
        self._output_due = Deadline(self._output_missed)
        self._to_be_taken = 0

    # Callbacks of the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        self._server.opened(self)
        self._input_due.set(self._server.idle_seconds)

    def get_buffer(self, sizehint: int) -> memoryview:
        self._buffer = self._server.head_buffer if self._body is None else self._server.body_buffer
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._lingering:
            self._discard(nbytes)
            return
        data = bytes(self._buffer[:nbytes])
        self._input = self._input + data if self._input else data
        self._advance()

    def eof_received(self) -> bool:
        self._ended = True
        if self._lingering:
            return False
        self._advance()
        return True

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self._await_taking()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if not self._lingering:
            self._output_due.clear()
        if drained and not drained.done():
            drained.set_result(None)
        self._advance_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._input_due.cancel()
        self._output_due.cancel()
        if self._drained and not self._drained.done():
            self._drained.set_exception(StreamClosedError())
            self._drained.exception()
        self._server.closed(self)
        if self._awaited is None or self._awaited.done():
            self._notify_gone()
        elif self._body is None:  # a handler is notified once it is prepared or has taken its chunk
            self._awaited.add_done_callback(lambda _: self._notify_gone())

    # Reading.

    def _advance(self) -> None:
        """Make progress as far as input, handler and client permit."""
        if self._lingering or not self.is_open:
            return
        try:
            if self._exchange is None:
                self._begin()
            elif self._awaited is None and self._body is not None:
                self._deliver(self._exchange, self._body)
        except Exception:  # a bug in a handler or here: the connection would hang
            log.exception("a connection failed")
            self.abort()
        self._read_or_pause()

    def _advance_soon(self) -> None:
        if self._input or self._ended:
            self._loop.call_soon(self._advance)

    def _begin(self) -> None:
        """Start the next request, once its head has arrived and the last response is sent."""
        if self._drained:
            return
        try:
            head = self._next_head()
            if head is None:
                if self._ended:
                    self._transport.close()
                return
            request = requests.parse(head)
        except Fault as fault:
            self._refuse(fault)
            return
        self._input_due.clear()
        self._start(request)

    def _next_head(self) -> bytes | None:
        """The next request's head, taken from the input. Raises Fault("headers_too_large").

        Empty lines before it are skipped (RFC 9112, section 2.2).
        """
        if self._input[:1] in (b"\r", b"\n"):
            self._input = self._input.lstrip(b"\r\n")
        end = requests.HEAD_END.search(self._input)
        if (end.end() if end else len(self._input)) > requests.HEAD_BYTES:
            raise Fault("headers_too_large", f"A request's headers may have {requests.HEAD_BYTES} bytes")
        if end is None:
            return None
        head, self._input = self._input[: end.end()], self._input[end.end() :]
        return head

    def _start(self, request: requests.Request) -> None:
        exchange = self._exchange = Exchange(self, request)
        body = self._body = ChunkedBody() if request.length is None else SizedBody(request.length)
        self._delegate = self._server.start_request(self, exchange)
        try:
            prepared = self._delegate.headers_received(request.start_line, request.headers)
        except HTTPInputError as error:
            self._delegate = None
            self._refuse(Fault("bad_body", f"The request is not valid: {error}"))
            return
        if body.complete:
            self._awaited = None if prepared is None else asyncio.ensure_future(prepared)
            self._end_request(exchange)  # nothing comes that would have to wait for the handler
        elif prepared is not None:
            self._wait(prepared, self._prepared)
        else:
            self._want_body(exchange)
            self._deliver(exchange, body)

    def _prepared(self, future: asyncio.Future[None]) -> None:
        """The handler has seen the head."""
        if self._goes_on(future):
            if self._exchange and self._body:
                self._want_body(self._exchange)
            self._advance()

    def _want_body(self, exchange: Exchange) -> None:
        if exchange.request.expects_continue and not exchange.begun and not self._input:
            self._transport.write(answers.CONTINUE)

    def _deliver(self, exchange: Exchange, body: SizedBody | ChunkedBody) -> None:
        """Pass on what has arrived of the body, until the handler asks to wait."""
        assert self._delegate
        while self._input and not body.complete:
            before = len(self._input)
            try:
                chunk, self._input = body.take(self._input)
            except Fault as fault:
                self._refuse(fault)
                return
            if chunk and not exchange.finished:
                waiting = self._delegate.data_received(chunk)
                if waiting is not None:
                    self._wait(waiting, self._taken)
                    return
            elif len(self._input) == before:
                break
        if body.complete:
            self._end_request(exchange)
        elif self._ended:
            self.abort()  # inside the request

    def _taken(self, future: asyncio.Future[None]) -> None:
        """The handler can take more."""
        if self._goes_on(future):
            self._advance()

    def _end_request(self, exchange: Exchange) -> None:
        """All of a request has been read."""
        delegate, self._body = self._delegate, None
        assert delegate
        exchange.notify_read()
        if exchange.finished:
            delegate.on_connection_close()
            self._next(exchange)
        else:
            delegate.finish()

    def _wait(self, awaitable: Awaitable[None], then: Callable[[asyncio.Future[None]], None]) -> None:
        """Go on when a handler is ready to."""
        self._awaited = asyncio.ensure_future(awaitable)
        self._awaited.add_done_callback(then)

    def _goes_on(self, future: asyncio.Future[None]) -> bool:
        """Whether there is a way on after what was waited for."""
        failed = future.cancelled() or future.exception()
        if future is not self._awaited:
            return False
        self._awaited = None
        if self._lost:
            self._notify_gone()
        elif failed:
            log.error("a handler failed at a request's body", exc_info=None if failed is True else failed)
            self.abort()
        return not (self._lost or failed)

    def _read_or_pause(self) -> None:
        wanted = self._may_read()
        if wanted != self._reading and self.is_open:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _may_read(self) -> bool:
        if self._lingering:
            return True
        if self._exchange is None:
            return len(self._input) <= requests.HEAD_BYTES and not (self._drained and self._input)
        if self._body is None:
            return not self._input  # to learn that the client has gone
        return self._awaited is None or self._body.ends_with(self._input)

    # Answering.

    @property
    def exchange(self) -> Exchange | None:
        """The request that is being read or answered."""
        return self._exchange

    @property
    def is_open(self) -> bool:
        """Whether what is written may still reach the client, as far as we have been told."""
        return not (self._lost or self._transport.is_closing())

    def write(self, parts: Sequence[bytes]) -> asyncio.Future[None]:
        """Send a part of a response at once; the future is done when there is room for more."""
        if not self.is_open:
            return self.closed_future()
        self._transport.writelines(part for part in parts if part)
        return self._drained or self._server.done

    def closed_future(self) -> asyncio.Future[None]:
        """The result of a write after the client has gone."""
        future = self._loop.create_future()
        future.set_exception(StreamClosedError())
        future.exception()  # who wrote need not look
        return future

    def is_client_here(self) -> bool:
        """Whether the connection has not been reset: the kernel knows before anything has been read or written."""
        if not self.is_open:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), 0)  # errors and hang-ups are always reported
        return not poll.poll(0)

    def may_stay(self) -> bool:
        """Whether another request can follow the present one."""
        read = self._body is None or self._body.complete
        return read and not (self._ended and not self._input) and self._server.may_stay()

    def answered(self, exchange: Exchange) -> None:
        """The answer is on its way."""
        if self._body is None:
            self._next(exchange)
        elif not self._body.complete:
            self._let_go()
            self._linger()

    def _next(self, exchange: Exchange) -> None:
        """Wait for the next request, or close."""
        self._forget()
        if exchange.keeps:
            self._input_due.set(self._server.idle_seconds)
            self._advance_soon()
            if not self._input:
                self._read_or_pause()
        else:
            self._linger()

    def _refuse(self, fault: Fault) -> None:
        """Answer a request that reaches no handler or fails half way; nothing after it is parsed."""
        self._server.count_refusal(fault.code)
        log.debug("malformed request from %s: %s", self.context, fault.message)
        begun = self._exchange is not None and self._exchange.begun
        self._let_go()
        if not begun:
            self._transport.write(answers.refusal(fault))
        self._linger()

    # The end.

    def abort(self) -> None:
        """Close at once, dropping unsent data."""
        self._transport.abort()

    def _linger(self) -> None:
        """Close our side, and wait for the client to close its own."""
        self._lingering = True
        self._input = b""
        self._input_due.set(LINGER_SECONDS)
        self._await_taking()
        if self._ended:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            self._read_or_pause()

    def _discard(self, nbytes: int) -> None:
        self._discarded += nbytes
        if self._discarded > LINGER_BYTES:
            self.abort()

    def _input_missed(self) -> None:
        """The deadline for input has passed."""
        if self._lingering and self._transport.get_write_buffer_size():
            self._input_due.set(LINGER_SECONDS)
            return
        self.abort()

    def _await_taking(self) -> None:
        """Give the client time to read what is on its way."""
        self._to_be_taken = self._unacknowledged()
        self._output_due.set(TAKEN_SECONDS)

    def _output_missed(self) -> None:
        """There is no room yet: from one buffer to the next a slow reader takes longer than the deadline."""
        if self._to_be_taken - self._unacknowledged() < TAKEN_BYTES:
            self.abort()
        else:
            self._await_taking()

    def _unacknowledged(self) -> int:
        """Bytes that the client's machine has not received, here and in the kernel's buffer (tcp(7), SIOCOUTQ)."""
        queued = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return self._transport.get_write_buffer_size() + int(struct.unpack("i", queued)[0])

    def _notify_gone(self) -> None:
        """Notify the handler that its client has gone."""
        exchange, read = self._exchange, self._body is None
        if exchange and read:
            self._forget()
            exchange.notify_gone()
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Stop a handler whose request will not be read to its end."""
        delegate = self._delegate
        self._forget()
        if delegate:
            delegate.on_connection_close()

    def _forget(self) -> None:
        self._exchange = self._delegate = self._body = self._awaited = None
