"""Small answers about the caller and the server: GET /api/quota, /healthz, /readyz and /metrics."""

from __future__ import annotations

import hmac

from handlers.api import replies
from handlers.api.handler import ApiHandler
from handlers.http.receiving import Receiving
from iuserver.errors import Fault
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


class ReadyHandler(Receiving):
    """Ready for uploads: whether the backends answer, the queue has room, and workers can be had."""

    async def get(self) -> None:
        parts = await self.services.ready()
        self.send_json({"ok": all(parts.values()), **parts}, 200 if all(parts.values()) else 503)

    head = get


class MetricsHandler(Receiving):
    """What Prometheus reads, on a listener of its own."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.services.metrics.text())


class GuardedMetricsHandler(MetricsHandler):
    """The same beside everything else, for who has the token; where there is none, there is nothing here."""

    async def admit(self) -> None:
        token, key = self.services.metrics_token, self.bearer_key()
        if not token:
            raise Fault("not_found", "There is nothing here")
        if key is None or not hmac.compare_digest(key.encode(), token.encode()):
            raise Fault("invalid_key", "Invalid token")
