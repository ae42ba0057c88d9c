"""Base class of the handlers below /api: it requires a key or a session and enforces the rate limit."""

from __future__ import annotations

from typing import Any

import orjson

from handlers import callers
from handlers.callers import Asker
from handlers.http.cross_origin import CrossOrigin
from iuserver.errors import Fault
from iuserver.policy import check_rate, quota_of
from iuserver.records import Allowance, Surface


class ApiHandler(CrossOrigin):
    """A handler below /api: every call needs a key or a session, and is counted."""

    surface: Surface = "api"
    private = True
    _allowance: Allowance | None = None

    async def admit(self) -> None:
        """Identify the caller and count the call. Raises Fault: missing_key, invalid_key, rate_limited, forbidden."""
        asker = await self.asker()
        if asker.caller is None:
            callers.count_anonymous(self, self.surface)
        self.caller = asker.known()
        self.count_call()

    async def asker(self) -> Asker:
        """Who sent the request. Raises Fault: storage_unavailable, forbidden."""
        return await callers.asker_of(self)

    def count_call(self) -> None:
        """Count a call of the caller's. Raises Fault("rate_limited")."""
        self._allowance = callers.count_call(self, self.caller, self.surface)
        check_rate(self._allowance)

    def json_object(self) -> dict[str, Any]:
        """The body, a JSON object. Raises Fault("bad_body")."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise Fault("bad_body", "The body must be a JSON object")
        return body

    def send_json(self, body: dict[str, Any], status: int = 200) -> None:
        self.set_rate_limit()
        if status == 200 and self.is_known and self.surface == "api" and "X-Quota-Used" not in self._headers:
            self.set_quota(quota_of(self.caller.account, self.caller.plan, self.services.clock()))
        super().send_json(body, status)

    def set_rate_limit(self) -> None:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        allowance = self._allowance
        if allowance and allowance.limit:
            surface = callers.surface_of(self.caller, self.surface)
            self.set_header("RateLimit-Policy", f'"{surface}";q={allowance.limit};w=60')
            self.set_header("RateLimit", f'"{surface}";r={allowance.remaining};t={allowance.reset}')
