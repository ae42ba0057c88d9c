"""/u/TICKET: one picture, sent by whoever has the link, for the account that made it."""

from __future__ import annotations

from typing import Any

from handlers.api.upload import UploadHandler
from handlers.formatting import time_texts
from handlers.http.body import RawBody, UploadBody
from handlers.web.page import POLICY, Page
from iuserver.errors import Fault
from iuserver.records import Surface
from iuserver.tickets import Ticket
from iuserver.uploads import UploadSession

NAMELESS = "image"


class TicketHandler(Page, UploadHandler):
    """A page to drop a picture on, a form, or the bare bytes; what becomes of the picture stands in the ticket.

    Whoever asks for HTML gets pages, others the JSON of the API.
    """

    surface: Surface = "mcp"
    private = False
    _ticket: Ticket

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", f"{POLICY}; connect-src 'self'")

    async def admit(self) -> None:
        """Find the ticket; an upload with it counts as a call of its account."""
        try:
            self._ticket = self.services.tickets.open(self.path_args[0])
            self.caller = await self.services.accounts.caller_of(self._ticket.key_hash)
        except Fault as fault:
            if fault.code not in ("not_found", "invalid_key"):
                raise
            self.count_anonymous()
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
        if self._wants_page():
            self._show(answer)
        else:
            super().send_stored(answer)

    def send_fault(self, fault: Fault) -> None:
        (Page if self._wants_page() else UploadHandler).send_fault(self, fault)

    def _wants_page(self) -> bool:
        return "text/html" in self.request.headers.get("Accept", "")

    def _show(self, answer: dict[str, Any] | None) -> None:
        self.render("ticket.html", answer=answer, until=time_texts(self._ticket.until))
