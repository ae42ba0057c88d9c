"""What handlers below /api share: a key for every call, calls counted, pages of any origin welcome."""

from __future__ import annotations

from typing import Any

from handlers.addresses import client_network
from handlers.receiving import Receiving
from iuserver.errors import Fault
from iuserver.policy import check_rate
from iuserver.records import Allowance, Door

EXPOSED = "X-Request-Id, X-Quota-Used, X-Quota-Limit, X-Quota-Remaining, RateLimit, RateLimit-Policy, Retry-After"


class ApiHandler(Receiving):
    """A handler below /api: every call needs a key and is counted; pages of any origin may call it (keys travel in a
    header, so there is nothing to forge)."""

    door: Door = "api"
    private = True
    headers_taken = "Authorization, Content-Type, Accept, Idempotency-Key"
    _allowance: Allowance | None = None

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Expose-Headers", EXPOSED)

    async def admit(self) -> None:
        """Identify the caller and count the call. Raises Fault: missing_key, invalid_key, rate_limited."""
        try:
            self.caller = await self.identify()
        except Fault as fault:
            if fault.code in ("missing_key", "invalid_key"):
                self.count_stranger()
            raise
        self.count_call()

    def count_call(self) -> None:
        """Count a call of the caller's. Raises Fault("rate_limited")."""
        self._allowance = self.services.accounts.count_call(self.caller, self.door)
        check_rate(self._allowance)

    def count_stranger(self) -> None:
        """Count a call without a right key, by where it comes from. Raises Fault("rate_limited")."""
        check_rate(self.services.accounts.count_stranger(client_network(self.client_address()), self.door))

    def options(self, *path: str) -> None:
        """A preflight (Fetch standard, section 3.2)."""
        self.set_status(204)
        self.set_header("Access-Control-Allow-Methods", ", ".join(self.allowed_methods()))
        self.set_header("Access-Control-Allow-Headers", self.headers_taken)
        self.set_header("Access-Control-Max-Age", "86400")

    def send_json(self, body: dict[str, Any], status: int = 200) -> None:
        self.set_rate_limit()
        super().send_json(body, status)

    def set_rate_limit(self) -> None:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        allowance = self._allowance
        if allowance and allowance.limit:
            self.set_header("RateLimit-Policy", f'"{self.door}";q={allowance.limit};w=60')
            self.set_header("RateLimit", f'"{self.door}";r={allowance.remaining};t={allowance.reset}')
