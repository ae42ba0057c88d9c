"""404 for every path that has no route: a page for browsers that look for one, else JSON."""

from __future__ import annotations

from handlers import callers
from handlers.http.answers import JSON, Answers
from handlers.http.not_found import NotFound
from handlers.web.signed_in import FRAMED, SignedIn


class NotFoundPage(SignedIn, NotFound):
    """The handler of all that no other one takes. Who is signed in sees the page in the usual frame."""

    def choose_answers(self) -> Answers:
        is_page = self.allowed_origin() is None and "text/html" in self.request.headers.get("Accept", "")
        return FRAMED if is_page else JSON

    async def admit(self) -> None:
        """Raises Fault("not_found")."""
        is_look = self.answers is FRAMED and self.request.method in callers.SAFE
        if is_look and (caller := await callers.signed_in(self)):
            await self.frame(caller)
        await NotFound.admit(self)
