"""/u/TICKET: uploads one picture for the account that issued the ticket; no key is needed."""

from __future__ import annotations

from typing import Any

from handlers import callers
from handlers.api.upload import UploadHandler
from handlers.formatting import time_texts
from handlers.http.answers import Answers
from handlers.http.body import RawBody, UploadBody
from handlers.web import page
from iuserver.errors import Fault
from iuserver.records import Caller, Surface
from iuserver.tickets import Ticket, no_such_ticket
from iuserver.uploads import UploadSession

NAMELESS = "image"


HEADERS = {**page.HEADERS, "Content-Security-Policy": f"{page.POLICY}; connect-src 'self'"}
PAGES = page.HtmlAnswers(HEADERS, page.OVER_TLS)
JSON = Answers(HEADERS, page.OVER_TLS)


class TicketHandler(UploadHandler):
    """Takes a picture from a drop page, a form or a bare body; the ticket holds the upload's fields.

    Clients that accept HTML get pages, others the JSON of the API.
    """

    surface: Surface = "mcp"
    private = False
    caching = "no-store"
    _ticket: Ticket

    def choose_answers(self) -> Answers:
        return PAGES if "text/html" in self.request.headers.get("Accept", "") else JSON

    def get_template_namespace(self) -> dict[str, Any]:
        return {**super().get_template_namespace(), **page.namespace(self)}

    async def admit(self) -> None:
        """Find the ticket; an upload with it counts as a call of its account."""
        self._ticket, self.caller = await self._opened()
        if self.request.method in ("POST", "PUT"):
            self.count_call()
            self.receive(await self.services.tickets.begin(self._ticket, self.caller, self.declared_size()))

    async def _opened(self) -> tuple[Ticket, Caller]:
        """The ticket, and whose it is. Raises Fault: not_found, rate_limited."""
        try:
            ticket = self.services.tickets.open(self.path_args[0])
            asker = await callers.holder_of(self, ticket.key_hash)
            if asker.caller:
                return ticket, asker.caller
        except Fault as fault:
            if fault.code != "not_found":
                raise
        callers.count_anonymous(self, self.surface)
        raise no_such_ticket()

    def body_of(self, session: UploadSession) -> UploadBody | RawBody:
        if self.request.headers.get("Content-Type", "").lower().startswith("multipart/"):
            return super().body_of(session)
        return RawBody("".join(self.path_args[1:]) or NAMELESS, session.feed)

    def form_of(self, fields: dict[str, str], filename: str) -> tuple[dict[str, str], str]:
        return self._ticket.fields, self._ticket.fields.get("filename") or filename

    async def show(self, *path: str) -> None:
        """The page of a ticket that is still good."""
        await self.services.tickets.check_unused(self._ticket, self.caller)
        self._show(None)

    def send_stored(self, answer: dict[str, Any]) -> None:
        if self.answers is PAGES:
            self._show(answer)
        else:
            super().send_stored(answer)

    def _show(self, answer: dict[str, Any] | None) -> None:
        self.render("ticket.html", answer=answer, until=time_texts(self._ticket.until))
