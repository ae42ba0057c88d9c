"""Handlers whose answers pages of other origins may read (cors.py has the rules)."""

from __future__ import annotations

from typing import Any

from handlers.http.cors import EXPOSED, MAX_AGE, METHODS, headers_allowed
from handlers.http.receiving import Receiving


class CrossOrigin(Receiving):
    """A handler whose answers pages of other origins may read, refusals included."""

    def allowed_origin(self) -> str | None:
        """The origin whose pages may read the answer; "*" is any, None no other than our own."""
        return "*"

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.share()

    def share(self) -> None:
        """Let other origins read the answer."""
        if origin := self.allowed_origin():
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", EXPOSED)

    def allows(self, method: str | None) -> bool:
        return method == "OPTIONS" or super().allows(method)

    def allowed_methods(self) -> tuple[str, ...]:
        return tuple(sorted({*super().allowed_methods(), "OPTIONS"}))

    def run(self, *path: str) -> Any:
        """Answer a preflight, or run the operation."""
        preflight = self.request.method == "OPTIONS" and not self.refused
        return self.answer_preflight() if preflight else super().run(*path)

    def answer_preflight(self) -> None:
        """Say what pages of other origins may send."""
        self.set_status(204)
        asked = self.request.headers.get("Access-Control-Request-Headers")
        self.set_header("Access-Control-Allow-Methods", METHODS)
        self.set_header("Access-Control-Allow-Headers", headers_allowed(asked))
        self.set_header("Access-Control-Max-Age", MAX_AGE)
