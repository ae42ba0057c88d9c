"""Serves static files: /static/NAME, /robots.txt and /favicon.ico."""

from __future__ import annotations

from handlers.http.receiving import Receiving
from handlers.http.static_files import FILES
from iuserver.errors import nothing_here

YEAR = 365 * 86400
DAY = 86400


class StaticHandler(Receiving):
    """A static file, at its own address or, for a few, at a well-known one."""

    def show(self, name: str | None = None) -> None:
        """The file, or 304."""
        file = FILES.get(name or self.request.path[1:])
        if file is None:
            raise nothing_here()
        current = self.get_query_argument("v", None) == file.version
        self.set_header("Cache-Control", f"public, max-age={YEAR}, immutable" if current else f"public, max-age={DAY}")
        self.set_header("Etag", f'"{file.version}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.set_header("Content-Type", file.mime)
        self.finish(file.data)
