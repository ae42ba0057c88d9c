"""How a request's body is received: a small one is kept, and a refused one drained while it is still arriving.

Where little is still to come, it is read first, and the connection goes on. Else a refusal goes out at once, with its
exact length, and announces that the connection ends; then the body is read and thrown away, for a bounded time and, of
a stranger's, a bounded length; only then the request is finished. Raising in prepare() would reset the connection of a
client that is sending, and behind a proxy turn the answer into a 502.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable

from tornado.httputil import HTTPInputError, parse_body_arguments
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from handlers.http.base import Handler, Services
from iuserver.errors import Fault
from iuserver.records import Caller

NO_LIMIT = 1 << 62
PACE_SECONDS = 10
BODY_SECONDS = 60
BODY_RATE = 16 * 1024
"""Bytes a second, on the average of a whole body, below which it is cut off after its first minute."""
SMALL_BODY = 64 * 1024
"""What a request may have as its body; an upload has limits of its own. What is refused with no more to come is read
before it is answered."""
ENDING = ("overloaded", "timeout")
"""Refusals that end the connection: what comes next on it could not be refused unheard, or would come too slowly."""


@stream_request_body
class Receiving(Handler):
    """A handler that looks at a request before its body comes: `admit` says whether it may go on.

    Every body has a deadline, whatever the method and whether a handler has a use for it. One that may be larger than
    `largest` bytes has been measured by its handler, against the caller's plan.
    """

    largest = SMALL_BODY
    caller: Caller

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self.refused = False
        self.body = bytearray()
        self.received = 0
        self._began = asyncio.get_running_loop().time()
        self.released = False
        self._pace: asyncio.TimerHandle | None = None
        self._discarded = 0
        self._timer: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        try:
            if self.request.method not in self.allowed_methods():
                raise Fault("method_not_allowed", "This method is not allowed here")
            if self.request.method != "OPTIONS":  # a preflight comes without a key
                await self.admit()
                self._check_encoding()
        except Fault as fault:
            await self.refuse(fault)
        else:
            if self.exchange.request.has_body:
                self.watch_pace()
                self.exchange.set_read_callback(self.stop_watching)

    async def admit(self) -> None:
        """What must hold before the body is read. Raises Fault."""

    def _check_encoding(self) -> None:
        """Raises Fault("unsupported_type") for a body that is to be decompressed (RFC 9110, section 15.5.16)."""
        if self.is_encoded() and ("Transfer-Encoding" in self.request.headers or self.declared_size()):
            self.set_header("Accept-Encoding", "identity")
            raise Fault("unsupported_type", "The body has a Content-Encoding, as gzip is one: send it uncompressed")

    def is_encoded(self) -> bool:
        """Whether the body was compressed, or encoded otherwise, on its way."""
        return self.request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.received += len(chunk)
        return self._taken(chunk) or self._backpressure()

    def _backpressure(self) -> Awaitable[None] | None:
        """What to wait for before more is read: who sends fast, or many, would keep the loop to themselves."""
        return self.services.uploads.acquire_read(self.caller.account.id if self._is_known else "")

    @property
    def _is_known(self) -> bool:
        return hasattr(self, "caller")

    def _taken(self, chunk: bytes) -> Awaitable[None] | None:
        if self.refused:
            self.discard(chunk)
            return None
        try:
            return self.take(chunk)
        except Fault as fault:
            return self.refuse(fault)
        except Exception:  # the connection would end over it: a bug is answered too
            self.log_exception(*sys.exc_info())
            return self.refuse(Fault("internal", "Internal server error"))

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a portion of the body. Raises Fault."""
        self.body += chunk
        if len(self.body) > self.largest:
            raise Fault("too_large", f"The body of this request may have {self.largest} bytes")
        return None

    def watch_pace(self, before: int | None = None) -> None:
        """From now on refuse a body of which too little has come since this looked the last time, or that takes too
        long in all."""
        loop = asyncio.get_running_loop()
        slow = before is not None and self.received - before < self.services.min_rate * PACE_SECONDS
        if slow or loop.time() > self._due():
            self._cutting_off = loop.create_task(self.refuse(Fault("timeout", "The body came too slowly")))
        else:
            self._pace = loop.call_later(PACE_SECONDS, self.watch_pace, self.received)

    def _due(self) -> float:
        """When the body must have come: within a minute, and more for what it says it has, or has had so far."""
        return self._began + BODY_SECONDS + min(self.declared_size() or self.received, self.largest) / BODY_RATE

    def stop_watching(self) -> None:
        """The body is here, or must wait; safe to repeat."""
        if self._pace:
            self._pace.cancel()
            self._pace = None

    def declared_size(self) -> int | None:
        """How long the client says that the body is, if it does."""
        length = self.request.headers.get("Content-Length", "")
        return int(length[:18]) if length.isascii() and length.isdigit() else None

    def form_field(self, name: str) -> str:
        """A field of a form that was sent as the body; "" where there is none. Raises Fault("bad_body")."""
        fields: dict[str, list[bytes]] = {}
        try:
            parse_body_arguments(self.request.headers.get("Content-Type", ""), bytes(self.body), fields, {})
        except HTTPInputError as error:
            raise Fault("bad_body", "The form is not valid") from error
        return fields.get(name, [b""])[-1].decode("utf-8", "replace")

    async def refuse(self, fault: Fault) -> None:
        """Answer, and drain what is coming.

        A client that waits for "100 Continue" has not begun to send: it gets the answer and nothing else.
        """
        self.refused = True
        setattr(self, str(self.request.method).lower(), self._answered)  # in place of the method, when all is drained
        self.release()
        self.log_exception(Fault, fault, None)
        self.send_fault(fault)
        if fault.code in ENDING:
            self.set_header("Connection", "close")
        waits = self.exchange.request.expects_continue and not self.received
        if not waits:
            self._timer = asyncio.get_running_loop().call_later(self.services.drain_seconds, self._give_up)
            if fault.code not in ENDING and self._is_nearly_read():
                return
        with contextlib.suppress(StreamClosedError):  # the client has left without waiting for its answer
            await (self.finish() if waits else self.flush())

    def discard(self, chunk: bytes) -> None:
        """Throw a portion of a refused body away; a stranger may not go on for ever."""
        self._discarded += len(chunk)
        if not self._is_known and self._discarded > self.services.drain_bytes:
            self._give_up()

    def _is_nearly_read(self) -> bool:
        """Whether what is still to come of the body is known to be little."""
        chunked = "Transfer-Encoding" in self.request.headers
        return not chunked and (self.declared_size() or 0) - self.received <= SMALL_BODY

    def _answered(self, *path: str) -> None:
        """The body is here, and the answer out already, or ready to go."""
        self.finish()

    def _give_up(self) -> None:
        """End the connection of a body that does not come to its end; an answer that waited for it goes out first."""
        if self.refused and not self._headers_written:
            self.finish()
        else:
            self.exchange.close()

    def release(self) -> None:
        """Let go of what the request held; safe to repeat. Handlers add their own."""
        self.released = True
        self.stop_watching()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def on_finish(self) -> None:
        super().on_finish()
        self.release()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.release()
