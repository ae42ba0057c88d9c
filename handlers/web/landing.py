"""/: what this server is, for whoever comes by; the signed-in go on to their dashboard."""

from __future__ import annotations

from handlers import callers
from handlers.api.openapi import service_links
from handlers.web.signed_in import Front


class LandingHandler(Front):
    """The front door."""

    async def show(self) -> None:
        """Say what this is, or go on."""
        if await callers.signed_in(self):
            self.go_to("/dashboard")
        else:
            self.set_header("Link", service_links(self))
            self.render("landing.html", is_open=self.services.sign_up.mode == "open")
