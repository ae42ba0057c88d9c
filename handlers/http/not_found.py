"""404 in JSON for every path that has no route, whatever the method and body."""

from __future__ import annotations

from handlers.http.cross_origin import CrossOrigin
from iuserver.errors import nothing_here

OPEN = ("/api/", "/f/", "/t/")
"""Where a 404 can be read by pages of other origins too."""


class NotFound(CrossOrigin):
    """The handler of all that no other one takes."""

    def allowed_origin(self) -> str | None:
        return "*" if f"{self.request.path}/".startswith(OPEN) else None

    def nothing(self, *path: str) -> None:
        """There is nothing to do: `admit` has refused."""

    async def admit(self) -> None:
        raise nothing_here()

    def answer_preflight(self) -> None:
        if self.allowed_origin() is None or "Access-Control-Request-Method" not in self.request.headers:
            raise nothing_here()
        super().answer_preflight()
