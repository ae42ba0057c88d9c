"""/dashboard: where the signed-in begin."""

from __future__ import annotations

from handlers.web.signed_in import SignedIn


class DashboardHandler(SignedIn):
    """The first page."""

    def show(self) -> None:
        """Point to what there is."""
        self.render("dashboard.html")
