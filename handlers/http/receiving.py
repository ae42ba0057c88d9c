"""Base class of handlers with a body: admission before the body, backpressure, deadlines, and draining after a refusal.

If little of a refused body is left, it is read first and the connection stays open. Otherwise the response goes out at
once, with its exact length and `Connection: close`. The rest is read and dropped within a time limit and, for anonymous
clients, a size limit; only then is the request finished. Raising in prepare() would reset the connection of a client
that is still sending, and a proxy would report a 502 in place of the response.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable
from typing import Any

from tornado.httputil import HTTPInputError, parse_body_arguments
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from handlers.http.base import Handler
from handlers.http.routing import Route
from iuserver.errors import Fault, nothing_here
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
"""Refusals that close the connection: its next request could not be shed unparsed, or would come too slowly."""


@stream_request_body
class Receiving(Handler):
    """A handler that admits a request by its head (`admit`), before its body arrives.

    Every body has a deadline, whatever the method and whether the handler uses it. `largest` is its limit in bytes; a
    handler that raises it checks the size against the caller's plan itself.
    """

    largest = SMALL_BODY

    def initialize(self, route: Route) -> None:
        super().initialize(route)
        self._caller: Caller | None = None
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
            if self.services.http.files_url and not self.route.has_files and self.is_files_host():
                raise nothing_here()
            if not self.allows(self.request.method):
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

    @property
    def is_known(self) -> bool:
        """Whether the caller is known."""
        return self._caller is not None

    @property
    def caller(self) -> Caller:
        """The caller, if known."""
        assert self._caller, "admit() has found out who asks"
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller

    def run(self, *path: str) -> Any:
        """Run the operation, or end a request that was refused: its body is here, its answer out or ready to go."""
        if not self.refused:
            return super().run(*path)
        self.finish()  # not awaited: the client may have left
        return None

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
        """What to await before the next chunk is read; without it, fast senders would keep the loop to themselves."""
        return self.services.uploads.acquire_read(self._caller.account.id if self._caller else "")

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
        """Take a chunk of the body. Raises Fault."""
        self.body += chunk
        if len(self.body) > self.largest:
            raise Fault("too_large", f"The body of this request may have {self.largest} bytes")
        return None

    def watch_pace(self, before: int | None = None) -> None:
        """From now on refuse a body of which too little has come since this looked the last time, or that takes too
        long in all."""
        loop = asyncio.get_running_loop()
        slow = before is not None and self.received - before < self.services.http.min_rate * PACE_SECONDS
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
        """Send a refusal, and drain the rest of the body.

        A client that waits for 100 Continue has not begun to send: there is nothing to drain. Of two refusals in one
        iteration of the event loop, such as a deadline's beside a chunk's, the first stands.
        """
        if self.refused:
            return
        self.refused = True
        self.release()
        self.log_exception(Fault, fault, None)
        self.send_fault(fault)
        if fault.code in ENDING:
            self.set_header("Connection", "close")
        waits = self.exchange.request.expects_continue and not self.received
        if not waits:
            self._timer = asyncio.get_running_loop().call_later(self.services.http.drain_seconds, self._give_up)
            if fault.code not in ENDING and self._is_nearly_read():
                return
        with contextlib.suppress(StreamClosedError):  # the client has left without waiting for its answer
            await (self.finish() if waits else self.flush())

    def discard(self, chunk: bytes) -> None:
        """Discard a chunk of a refused body; an anonymous client may only send a limited number of bytes."""
        self._discarded += len(chunk)
        if not self.is_known and self._discarded > self.services.http.drain_bytes:
            self._give_up()

    def _is_nearly_read(self) -> bool:
        """Whether the rest of the body is known to be small."""
        chunked = "Transfer-Encoding" in self.request.headers
        return not chunked and (self.declared_size() or 0) - self.received <= SMALL_BODY

    def _give_up(self) -> None:
        """Close the connection of a body that does not end; a response that waited for it is sent first."""
        if self.refused and not self._headers_written:
            self.finish()
        else:
            self.exchange.close()

    def release(self) -> None:
        """Release what the request held; safe to repeat. Handlers add their own."""
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
