"""POST /api/upload: a multipart body, streamed as it arrives into an upload session."""

from __future__ import annotations

from collections.abc import Awaitable

from handlers import replies
from handlers.api import ApiHandler
from handlers.base import Services
from handlers.body import UploadBody
from iuserver.forms import idempotency_key
from iuserver.policy import check_request_size
from iuserver.records import Stored
from iuserver.uploads import UploadSession


class UploadHandler(ApiHandler):
    """The session checks and counts; what it refuses is answered while the client may still be sending."""

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self._session: UploadSession | None = None
        self._parts: UploadBody | None = None
        self._base_url = ""

    async def admit(self) -> None:
        await super().admit()
        repeat_key = idempotency_key(self.request.headers.get("Idempotency-Key"))
        self._session = await self.services.uploads.begin(self.caller, self.declared_size(), "api", repeat_key)
        self._base_url = self.base_url()
        self._parts = UploadBody(self.request.headers.get("Content-Type", ""), self._session.feed)
        self.watch_pace()

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        if self._parts is None:
            return super().take(chunk)
        check_request_size(self.received, self.caller.plan)
        self._parts.feed(chunk)
        return None

    async def post(self) -> None:
        self.stop_watching()
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

    def release(self) -> None:
        super().release()
        if self._session:
            self._session.close()
