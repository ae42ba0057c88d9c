"""GET /docs: the reference of this server's API as a page."""

from __future__ import annotations

from handlers.web.page import Page


class DocsHandler(Page):
    """The reference."""

    def show(self) -> None:
        """Show it."""
        self.finish("soon")
