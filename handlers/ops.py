"""Small answers about the caller and the server: GET /api/quota and GET /healthz."""

from __future__ import annotations

from handlers import replies
from handlers.api import ApiHandler
from handlers.receiving import Receiving
from iuserver.policy import quota_of


class QuotaHandler(ApiHandler):
    """What the caller has used, and may still use."""

    async def get(self) -> None:
        caller, now = self.caller, self.services.clock()
        quota = quota_of(caller.account, caller.plan, now)
        for name, value in replies.quota_headers(quota).items():
            self.set_header(name, value)
        self.send_json(replies.account(caller, quota, now))


class HealthHandler(Receiving):
    """Alive: the loop turns, and nothing else is claimed."""

    def get(self) -> None:
        self.send_json({"ok": True})

    head = get
