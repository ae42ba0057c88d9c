"""What the pages of an admin have in common."""

from __future__ import annotations

from typing import Any

from handlers.formatting import day_texts, size_text, time_texts
from handlers.web.signed_in import SignedIn
from iuserver.errors import Fault

TABS = (
    ("/admin", "Status"),
    ("/admin/accounts", "Accounts"),
    ("/admin/images", "Images"),
    ("/admin/blocklist", "Blocklist"),
    ("/admin/invites", "Invites"),
    ("/admin/audit", "Audit log"),
)


class Tab(SignedIn):
    """A page for admins."""

    async def admit(self) -> None:
        """Raises Fault("forbidden") for others."""
        await super().admit()
        if not self.caller.admin:
            raise Fault("forbidden", "This page is for admins")

    def get_template_namespace(self) -> dict[str, Any]:
        shared = {"tabs": TABS, "here": self.request.path, "day": day_texts, "time": time_texts, "size": size_text}
        return {**super().get_template_namespace(), **shared}

    def cursor(self) -> str | None:
        """Behind which row a page begins."""
        return self.get_query_argument("after", "") or None
