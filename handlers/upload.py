"""POST /api/upload: a multipart body, streamed as it arrives into an upload session."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable

from handlers import replies
from handlers.api import ApiHandler
from handlers.base import Services
from handlers.body import UploadBody
from iuserver.errors import Fault
from iuserver.forms import idempotency_key
from iuserver.policy import check_request_size
from iuserver.records import Stored
from iuserver.uploads import UploadSession

PACE_SECONDS = 10
BODY_SECONDS = 60
BODY_RATE = 16 * 1024
"""Bytes a second, on the average of a whole body, below which it is cut off after its first minute."""


class UploadHandler(ApiHandler):
    """The session checks and counts; what it refuses is answered while the client may still be sending."""

    body_seconds = None

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self._session: UploadSession | None = None
        self._parts: UploadBody | None = None
        self._base_url = ""
        self._received = 0
        self._began = asyncio.get_running_loop().time()
        self._pace: asyncio.TimerHandle | None = None

    async def admit(self) -> None:
        await super().admit()
        repeat_key = idempotency_key(self.request.headers.get("Idempotency-Key"))
        self._session = await self.services.uploads.begin(self.caller, self._declared_size(), "api", repeat_key)
        self._base_url = self.base_url()
        self._parts = UploadBody(self.request.headers.get("Content-Type", ""), self._session.feed)
        self._watch_pace(0)

    def _watch_pace(self, before: int) -> None:
        """Refuse a body of which too little has come since this looked the last time, or that takes too long in all."""
        loop = asyncio.get_running_loop()
        slow = self._received - before < self.services.min_rate * PACE_SECONDS
        if self._pace and (slow or loop.time() > self._due(self._began)):
            self._cutting_off = loop.create_task(self.refuse(Fault("timeout", "The body came too slowly")))
        else:
            self._pace = loop.call_later(PACE_SECONDS, self._watch_pace, self._received)

    def _due(self, began: float) -> float:
        """When a body that began then must have come: a minute, and more for what it says it has, or has had so far."""
        return began + BODY_SECONDS + (self._declared_size() or self._received) / BODY_RATE

    def _declared_size(self) -> int | None:
        length = self.request.headers.get("Content-Length", "")
        return int(length[:18]) if length.isascii() and length.isdigit() else None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self.refused or self._parts is None or self._session is None:
            self.discard(chunk)
            return None
        self._received += len(chunk)
        try:
            check_request_size(self._received, self.caller.plan)
            self._parts.feed(chunk)
            return self._session.pause()
        except Fault as fault:
            return self.refuse(fault)
        except Exception:  # Tornado would drop the connection over it: a bug is answered too
            self.log_exception(*sys.exc_info())
            return self.refuse(Fault("internal", "Internal server error"))

    async def post(self) -> None:
        self._stop_watching()
        assert self._parts
        assert self._session
        stored = await self._session.finish(*self._parts.close())
        for name, value in replies.quota_headers(stored.quota).items():
            self.set_header(name, value)
        if stored.replayed:
            self.set_header("Idempotent-Replay", "true")
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

    def _stop_watching(self) -> None:
        if self._pace:
            self._pace.cancel()

    def release(self) -> None:
        super().release()
        self._stop_watching()
        if self._session:
            self._session.close()
