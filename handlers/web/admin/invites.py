"""/admin/invites: links that make one account each."""

from __future__ import annotations

from handlers.clients import client_of
from handlers.web.admin.tab import Tab
from handlers.web.signed_in import what_was_wrong
from iuserver.errors import Fault


class InvitesHandler(Tab):
    """/admin/invites."""

    async def list(self) -> None:
        """The invites that are open."""
        await self._show()

    async def make(self) -> None:
        """Make one, and show its link, this once."""
        plan, note = self.form_field("plan"), self.form_field("note")
        try:
            made = await self.services.admin.make_invite(self.caller, plan, note, client_of(self))
        except Fault as fault:
            await self._show(problem=what_was_wrong(self, fault))
            return
        await self._show(link=f"{self.base_url()}/signup/{made.token}")

    async def revoke(self, id: str) -> None:
        """Make one void."""
        await self.services.admin.revoke_invite(self.caller, id, client_of(self))
        self.go_to("/admin/invites")

    async def _show(self, problem: str = "", link: str = "") -> None:
        self.render(
            "admin_invites.html",
            invites=await self.services.admin.invites(self.caller),
            plans=list(self.services.accounts.plans),
            mode=self.services.sign_up.mode,
            problem=problem,
            link=link,
        )
