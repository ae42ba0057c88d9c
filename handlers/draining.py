"""Refusing a request while its body is still arriving, so that the client sees its answer and not a reset.

The answer goes out at once, with its exact length; then the body is read and thrown away, for a bounded time and, of a
stranger's, a bounded length; only then the request is finished. Raising in prepare() would reset the connection of a
client that is sending, and behind a proxy turn the answer into a 502.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from handlers.base import Handler, Services
from iuserver.errors import Fault

NO_LIMIT = 1 << 62


class Draining(Handler):
    """A mixin for handlers with a streamed body (`stream_request_body`); whatever they do not answer is refused."""

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self.refused = False
        self._discarded = 0
        self._timer: asyncio.TimerHandle | None = None

    def accept_any_size(self) -> None:
        """Take the judgement of Content-Length from Tornado, which would append a 400 to an answer of ours."""
        connection: Any = self.request.connection
        connection.set_max_body_size(NO_LIMIT)

    async def refuse(self, fault: Fault) -> None:
        """Answer now, and drain what is coming.

        A client that waits for "100 Continue" has not begun to send: it gets the answer and nothing else.
        """
        self.accept_any_size()
        self.refused = True
        self.release()
        self.log_exception(Fault, fault, None)
        self.send_fault(fault)
        self._timer = asyncio.get_running_loop().call_later(self.services.drain_seconds, self._give_up)
        with contextlib.suppress(StreamClosedError):  # the client has left without waiting for its answer
            if self.request.headers.get("Expect", "").lower() == "100-continue" and not self._discarded:
                self.set_header("Connection", "close")
                await self.finish()
            else:
                await self.flush()

    async def drain_unless_allowed(self) -> None:
        """Refuse the method of a request, unless the handler answers it."""
        if self.request.method not in self.allowed_methods():
            self.set_header("Allow", ", ".join(self.allowed_methods()))
            await self.refuse(Fault("method_not_allowed", "This method is not allowed here"))

    def discard(self, chunk: bytes) -> None:
        """Throw a portion of a refused body away; a stranger may not go on for ever."""
        self._discarded += len(chunk)
        if not hasattr(self, "caller") and self._discarded > self.services.drain_bytes:
            self._give_up()

    def allowed_methods(self) -> list[str]:
        return [m for m in super().allowed_methods() if getattr(type(self), m.lower()) is not Draining._answered]

    def _answered(self, *path: str) -> None:
        """The body is here, and the answer is out already."""
        self.finish()

    get = head = post = delete = patch = put = options = cast(Any, _answered)

    def _give_up(self) -> None:
        connection: Any = self.request.connection
        connection.close()

    def release(self) -> None:
        """Let go of what the request held; safe to repeat. Handlers add their own."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def on_finish(self) -> None:
        super().on_finish()
        self.release()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.release()


@stream_request_body
class NotFound(Draining):
    """Whatever has no route, whatever its method and body."""

    async def prepare(self) -> None:
        await self.refuse(Fault("not_found", "There is nothing here"))

    def data_received(self, chunk: bytes) -> None:
        self.discard(chunk)
