"""Whatever has no route: 404 in JSON, whatever the method and the body."""

from __future__ import annotations

from handlers.http.cross_origin import CrossOrigin
from iuserver.errors import Fault

OPEN = ("/api/", "/f/")
"""Where a mistyped address is told to pages of other origins, too."""


class NotFound(CrossOrigin):
    """The handler of all that no other one takes."""

    def allowed_origin(self) -> str | None:
        return "*" if f"{self.request.path}/".startswith(OPEN) else None

    def allowed_methods(self) -> tuple[str, ...]:
        return self.SUPPORTED_METHODS

    async def admit(self) -> None:
        raise Fault("not_found", "There is nothing here")

    def options(self, *path: str) -> None:
        if self.allowed_origin() is None or "Access-Control-Request-Method" not in self.request.headers:
            raise Fault("not_found", "There is nothing here")
        super().options()
