"""/api/quota: the caller's uploads this month and storage, with their limits."""

from __future__ import annotations

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver.policy import quota_of


class QuotaHandler(ApiHandler):
    """What the caller has used, and may still use."""

    async def show(self) -> None:
        """The month and the storage."""
        caller, now = self.caller, self.services.clock()
        quota = quota_of(caller.account, caller.plan, now)
        self.set_quota(quota)
        self.send_json(replies.account(caller, quota, now))
