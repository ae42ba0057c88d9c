"""/admin/accounts and /admin/accounts/ID: plan, disable, enable, sign-in link, remove."""

from __future__ import annotations

from typing import Any

from handlers.clients import client_of
from handlers.formatting import ago_text, limit_text, size_text
from handlers.web.admin.tab import Tab
from handlers.web.signed_in import what_was_wrong
from iuserver.admin import AccountUsage
from iuserver.errors import Fault


class AdminAccountsHandler(Tab):
    """/admin/accounts."""

    async def list(self) -> None:
        """A page of the accounts, those with the searched text in their address."""
        text = self.get_query_argument("q", "")[:200]
        accounts, after = await self.services.admin.accounts(self.caller, text, self.cursor())
        self.render(
            "admin_accounts.html", text=text, accounts=[self.described(usage) for usage in accounts], after=after
        )

    def described(self, usage: AccountUsage) -> dict[str, Any]:
        """An account with its numbers in words."""
        account, plan = usage.account, self.services.accounts.plans[usage.account.plan]
        month = f"{usage.used:,}" if not plan.uploads_per_month else f"{usage.used:,} of {plan.uploads_per_month:,}"
        room = f" of {limit_text(plan.storage_bytes)}" if plan.storage_mb else ""
        seen = "never" if usage.seen_at is None else ago_text(usage.seen_at, self.services.clock())
        return {"account": account, "month": month, "storage": f"{size_text(account.stored_bytes)}{room}", "seen": seen}


class AdminAccountHandler(AdminAccountsHandler):
    """/admin/accounts/ID, and the forms on it."""

    async def show(self, id: str) -> None:
        """One account."""
        await self._show(id)

    async def change(self, id: str, action: str) -> None:
        """Plan, disable, enable, link or remove, as the address says."""
        admin, client, link = self.services.admin, client_of(self), ""
        try:
            match action:
                case "plan":
                    await admin.put_on_plan(self.caller, id, self.form_field("plan"), client)
                case "disable":
                    await admin.disable(self.caller, id, client)
                case "enable":
                    await admin.enable(self.caller, id, client)
                case "link":
                    link = (await admin.make_link(self.caller, id, client)).token
                case "remove":
                    await self._remove(id)
                    self.go_to("/admin/accounts")
                    return
        except Fault as fault:
            await self._show(id, problem=what_was_wrong(self, fault))
            return
        if link:
            await self._show(id, link=f"{self.base_url()}/login/{link}")
        else:
            self.go_to(f"/admin/accounts/{id}")

    async def _remove(self, id: str) -> None:
        """Raises Fault("bad_field") where the address was not typed as it is."""
        usage = await self.services.admin.account(self.caller, id)
        if self.form_field("email") != usage.account.email:
            raise Fault("bad_field", "This is not the address of the account")
        await self.services.admin.remove(self.caller, id, client_of(self))

    async def _show(self, id: str, problem: str = "", link: str = "") -> None:
        usage = await self.services.admin.account(self.caller, id)
        plans = list(self.services.accounts.plans)
        is_own = id == self.caller.account.id
        self.render(
            "admin_account.html", **self.described(usage), plans=plans, is_own=is_own, problem=problem, link=link
        )
