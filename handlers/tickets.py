"""/u/TICKET: one picture, sent by whoever has the link, for the account that made it."""

from __future__ import annotations

from typing import Any

from handlers.body import RawBody, UploadBody
from handlers.upload import UploadHandler
from iuserver.errors import Fault
from iuserver.records import Door
from iuserver.tickets import Ticket
from iuserver.uploads import UploadSession

NAMELESS = "image"


class TicketHandler(UploadHandler):
    """A page to drop a picture on, a form, or the bare bytes; what becomes of the picture stands in the ticket."""

    door: Door = "mcp"
    _ticket: Ticket

    async def admit(self) -> None:
        """Find the ticket; an upload with it counts as a call of its account."""
        try:
            self._ticket = self.services.tickets.open(self.path_args[0])
            self.caller = await self.services.accounts.caller_of(self._ticket.key_hash)
        except Fault as fault:
            if fault.code not in ("not_found", "invalid_key"):
                raise
            self.count_stranger()
            raise Fault("not_found", "There is no such upload link, or its time is over") from None
        if self.request.method in ("POST", "PUT"):
            self.count_call()
            self.receive(await self.services.tickets.begin(self._ticket, self.caller, self.declared_size()))

    def body_of(self, session: UploadSession) -> UploadBody | RawBody:
        if self.request.headers.get("Content-Type", "").lower().startswith("multipart/"):
            return super().body_of(session)
        return RawBody("".join(self.path_args[1:]) or NAMELESS, session.feed)

    def form_of(self, fields: dict[str, str], filename: str) -> tuple[dict[str, str], str]:
        return self._ticket.fields, self._ticket.fields.get("filename") or filename

    async def get(self, *path: str) -> None:
        await self.services.tickets.check_unused(self._ticket, self.caller)
        self._show(None)

    put = UploadHandler.post

    def send_stored(self, answer: dict[str, Any]) -> None:
        if "text/html" in self.request.headers.get("Accept", ""):
            self._show(answer)
        else:
            super().send_stored(answer)

    def _show(self, answer: dict[str, Any] | None) -> None:
        self.set_header("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Robots-Tag", "noindex")
        self.render("ticket.html", answer=answer)
