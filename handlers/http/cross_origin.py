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

    def options(self, *path: str) -> Any:
        """A preflight."""
        self.set_status(204)
        asked = self.request.headers.get("Access-Control-Request-Headers")
        self.set_header("Access-Control-Allow-Methods", METHODS)
        self.set_header("Access-Control-Allow-Headers", headers_allowed(asked))
        self.set_header("Access-Control-Max-Age", MAX_AGE)
