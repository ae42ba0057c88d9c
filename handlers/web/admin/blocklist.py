"""/admin/blocklist: what nobody may upload."""

from __future__ import annotations

from handlers.clients import client_of
from handlers.web.admin.tab import Tab
from handlers.web.signed_in import what_was_wrong
from iuserver.errors import Fault


class BlocklistHandler(Tab):
    """/admin/blocklist."""

    async def list(self) -> None:
        """The blocklist."""
        await self._show()

    async def block(self) -> None:
        """Block what has a hash."""
        sha256, purge = self.form_field("sha256").strip().lower(), self.form_field("purge") == "1"
        try:
            await self.services.admin.block_hash(self.caller, sha256, purge, client_of(self))
        except Fault as fault:
            await self._show(what_was_wrong(self, fault))
            return
        self.go_to("/admin/blocklist")

    async def unblock(self, id: str) -> None:
        """Take a picture off the list."""
        await self.services.admin.unblock(self.caller, id, client_of(self))
        self.go_to("/admin/blocklist")

    async def _show(self, problem: str = "") -> None:
        self.render("admin_blocklist.html", blocks=await self.services.admin.blocks(self.caller), problem=problem)
