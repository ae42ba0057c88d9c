"""What every web site has: static files, robots.txt, favicon.ico."""

from __future__ import annotations

from handlers.http.receiving import Receiving
from handlers.http.static_files import FILES
from iuserver.errors import Fault

YEAR = 365 * 86400
DAY = 86400


class StaticHandler(Receiving):
    """A static file, at its own address or, for a few, at a well-known one."""

    def get(self, name: str | None = None) -> None:
        file = FILES.get(name or self.request.path[1:])
        if file is None:
            raise Fault("not_found", "There is nothing here")
        current = self.get_query_argument("v", None) == file.version
        self.set_header("Cache-Control", f"public, max-age={YEAR}, immutable" if current else f"public, max-age={DAY}")
        self.set_header("Etag", f'"{file.version}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.set_header("Content-Type", file.mime)
        self.finish(file.data)

    head = get
