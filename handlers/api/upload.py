"""POST /api/upload: streams a multipart body into an upload session as it arrives."""

from __future__ import annotations

from typing import Any

from handlers.api import replies
from handlers.api.handler import ApiHandler
from handlers.http.body import RawBody, UploadBody
from handlers.http.links import Links
from handlers.http.receiving import NO_LIMIT, Receiving
from handlers.http.routing import Route
from iuserver.forms import idempotency_key
from iuserver.policy import check_request_size
from iuserver.uploads import UploadSession


class Uploading(Receiving):
    """A handler whose body is an upload. The session checks and counts; what it refuses is answered while the client
    may still be sending."""

    def initialize(self, route: Route) -> None:
        super().initialize(route)
        self._session: UploadSession | None = None
        self._parts: UploadBody | RawBody | None = None
        self._links: Links | None = None

    def receive(self, session: UploadSession) -> None:
        """Take the body into a session, which this request owns from now on. Raises Fault("bad_body")."""
        self._session = session
        self._links = self.links()
        self._parts = self.body_of(session)
        self.largest = NO_LIMIT

    def body_of(self, session: UploadSession) -> UploadBody | RawBody:
        """What takes the body. Raises Fault("bad_body")."""
        return UploadBody(self.request.headers.get("Content-Type", ""), session.feed)

    def form_of(self, fields: dict[str, str], filename: str) -> tuple[dict[str, str], str]:
        """The upload's fields and the file's name, from what the body said."""
        return fields, filename

    def take(self, chunk: bytes) -> None:
        if self._parts:
            check_request_size(self.received, self.caller.plan)
            self._parts.feed(chunk)
        elif self.is_known:
            super().take(chunk)  # who looks at a ticket has no use for one
        else:
            self.discard(chunk)  # nor has a preflight

    async def upload(self, *path: str) -> None:
        """Store what has come, and answer with its links."""
        assert self._parts
        assert self._session
        assert self._links
        fields, filename = self.form_of(*self._parts.close())
        stored = await self._session.finish(fields, filename, self.is_client_here)
        self.set_quota(stored.quota)
        if stored.replayed:
            self.set_header("Idempotent-Replay", "true")
        token = self.services.library.delete_token(stored.image)
        self.send_stored(replies.uploaded(stored.image, stored.quota, self._links, token))

    def send_stored(self, answer: dict[str, Any]) -> None:
        """Put the answer to a stored picture together."""
        raise NotImplementedError

    def release(self) -> None:
        super().release()
        if self._session:
            self._session.close()


class UploadHandler(Uploading, ApiHandler):
    """An upload by the API."""

    async def admit(self) -> None:
        await super().admit()
        repeat_key = idempotency_key(self.request.headers.get("Idempotency-Key"))
        self.receive(await self.services.uploads.begin(self.caller, self.declared_size(), "api", repeat_key))

    def send_stored(self, answer: dict[str, Any]) -> None:
        """Put the answer to a stored picture together."""
        if self.request.headers.get("Accept", "").startswith("text/plain"):
            self.set_rate_limit()
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(answer["direct_url"] + "\n")
        else:
            self.send_json(answer)
