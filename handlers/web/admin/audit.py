"""/admin/audit: who did what."""

from __future__ import annotations

from handlers.web.admin.sentences import sentence
from handlers.web.admin.tab import Tab


class AuditHandler(Tab):
    """/admin/audit."""

    async def list(self) -> None:
        """Who did what."""
        rows, after = await self.services.admin.audit(self.caller, self.cursor())
        self.render("admin_audit.html", rows=[(row, sentence(row)) for row in rows], after=after)
