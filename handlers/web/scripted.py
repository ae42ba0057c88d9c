"""Base class of the signed-in pages whose scripts call the API."""

from __future__ import annotations

from handlers.http.answers import Answers
from handlers.web import page
from handlers.web.signed_in import HEADERS, FramedAnswers, SignedIn

POLICY = f"{page.POLICY}; connect-src 'self'"
SCRIPTED = FramedAnswers({**HEADERS, "Content-Security-Policy": POLICY})


class Scripted(SignedIn):
    """A page whose scripts may call this server."""

    def choose_answers(self) -> Answers:
        return SCRIPTED

    def allow_pictures(self) -> str:
        """Let the page show pictures of the second origin, if there is one; returns what their addresses begin with,
        "" where it is the pages' own."""
        if origin := self.services.http.files_url:
            policy = POLICY.replace("img-src 'self'", f"img-src 'self' {origin}")
            self.set_header("Content-Security-Policy", policy)
        return origin
