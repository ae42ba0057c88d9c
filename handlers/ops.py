"""Endpoints for operators: GET /healthz, /readyz and /metrics."""

from __future__ import annotations

import hmac

from handlers.http.receiving import Receiving
from iuserver.errors import Fault, nothing_here


class HealthHandler(Receiving):
    """Liveness: the event loop runs. Nothing else is checked."""

    def show(self) -> None:
        """Say so."""
        self.send_json({"ok": True})


class ReadyHandler(Receiving):
    """Ready for uploads: whether the backends answer, the queue has room, and workers can be had."""

    async def show(self) -> None:
        """Say which parts are ready; 503 where one is not."""
        parts = await self.services.ready()
        self.send_json({"ok": all(parts.values()), **parts}, 200 if all(parts.values()) else 503)


class MetricsHandler(Receiving):
    """What Prometheus reads, on a listener of its own."""

    def show(self) -> None:
        """The metrics as text."""
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.services.metrics.text())


class GuardedMetricsHandler(MetricsHandler):
    """The same beside everything else, for who has the token; where there is none, there is nothing here."""

    async def admit(self) -> None:
        token, key = self.services.http.metrics_token, self.bearer_key()
        if not token:
            raise nothing_here()
        if key is None or not hmac.compare_digest(key.encode(), token.encode()):
            raise Fault("invalid_key", "Invalid token")
