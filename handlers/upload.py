"""POST /api/upload: a multipart body, streamed as it arrives into an upload session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from tornado.web import stream_request_body

from handlers import replies
from handlers.base import ApiHandler, Services
from handlers.body import UploadBody
from iuserver.errors import Fault
from iuserver.uploads import Stored, UploadSession

NO_LIMIT = 1 << 62


@stream_request_body
class UploadHandler(ApiHandler):
    """The session checks and counts; this handler only sees to it that a refusal reaches a client that is sending."""

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self._session: UploadSession | None = None
        self._body: UploadBody | None = None
        self._base_url = ""
        self._refused = False
        self._received = 0
        self._bug: Exception | None = None

    async def prepare(self) -> None:
        if self.request.method != "POST":
            return  # Tornado answers 405
        connection: Any = self.request.connection
        connection.set_max_body_size(NO_LIMIT)  # the session judges sizes, and answers better than Tornado would
        try:
            await self._begin()
        except Fault as fault:
            await self._refuse(fault)

    async def _begin(self) -> None:
        await self.admit()
        self._session = await self.services.uploads.begin(self.caller, self._declared_size(), "api")
        self._base_url = self.base_url()
        self._body = UploadBody(self.request.headers.get("Content-Type", ""), self._session.feed)

    def _declared_size(self) -> int | None:
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._received += len(chunk)
        if self._refused or self._bug:
            self._discard()
            return None
        assert self._body
        try:
            self._body.feed(chunk)
        except Fault as fault:
            return self._refuse(fault)
        except Exception as bug:  # raised by post(): Tornado drops the connection over one raised here
            self._bug = bug
        return None

    async def post(self) -> None:
        if self._bug:
            raise self._bug
        if self._refused:
            self.finish()
            return
        assert self._body
        assert self._session
        stored = await self._session.finish(*self._body.close())
        for name, value in replies.quota_headers(stored.quota).items():
            self.set_header(name, value)
        self._send(stored)

    def _send(self, stored: Stored) -> None:
        token = self.services.library.delete_token(stored.image)
        answer = replies.uploaded(stored.image, stored.quota, self._base_url, token)
        if self.request.headers.get("Accept", "").startswith("text/plain"):
            self.set_rate_limit()
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(answer["direct_url"] + "\n")
        else:
            self.send_json(answer)

    async def _refuse(self, fault: Fault) -> None:
        """Answer at once, and read on for a while: a client that finds its connection reset never sees its answer.

        One that waits for "100 Continue" has not begun to send: it gets the answer and nothing else.
        """
        self._refused = True
        if self._session:
            self._session.close()
        self.log_exception(Fault, fault, None)
        self.send_fault(fault)
        asyncio.get_running_loop().call_later(self.services.drain_seconds, self._give_up)
        if self.request.headers.get("Expect", "").lower() == "100-continue" and not self._received:
            self.set_header("Connection", "close")
            await self.finish()
        else:
            await self.flush()

    def _discard(self) -> None:
        if not hasattr(self, "caller") and self._received > self.services.drain_bytes:
            self._give_up()

    def _give_up(self) -> None:
        if not self._finished:
            connection: Any = self.request.connection
            connection.close()

    def on_finish(self) -> None:
        super().on_finish()
        self._close()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._close()

    def _close(self) -> None:
        if self._session:
            self._session.close()
