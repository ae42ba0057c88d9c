"""What the pages of an admin have in common."""

from __future__ import annotations

from typing import Any

from handlers.formatting import day_texts, size_text, time_texts
from handlers.http import faults
from handlers.web.signed_in import AdminPage
from iuserver.errors import Fault

TABS = (
    ("/admin", "Status"),
    ("/admin/accounts", "Accounts"),
    ("/admin/images", "Images"),
    ("/admin/blocklist", "Blocklist"),
    ("/admin/invites", "Invites"),
    ("/admin/audit", "Audit log"),
)
ASKED_AGAIN = ("bad_field", "not_found", "read_only")


class Tab(AdminPage):
    """What the pages of an admin have in common."""

    def get_template_namespace(self) -> dict[str, Any]:
        shared = {"tabs": TABS, "here": self.request.path, "day": day_texts, "time": time_texts, "size": size_text}
        return {**super().get_template_namespace(), **shared}

    def cursor(self) -> str | None:
        """Behind which row a page begins."""
        return self.get_query_argument("after", "") or None

    def tell_problem(self, fault: Fault) -> str:
        """Set the status for a form that is shown again; returns what was wrong. Raises what is nobody's mistake."""
        if fault.code not in ASKED_AGAIN:
            raise fault
        self.services.metrics.refusal(fault.code)
        self.set_status(faults.STATUS[fault.code][0])
        return f"{fault.message}."
