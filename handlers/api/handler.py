"""What handlers below /api share: a key for every call, and calls counted."""

from __future__ import annotations

from typing import Any

from handlers.http.addresses import client_network
from handlers.http.cross_origin import CrossOrigin
from iuserver.errors import Fault
from iuserver.policy import check_rate
from iuserver.records import Allowance, Surface


class ApiHandler(CrossOrigin):
    """A handler below /api: every call needs a key and is counted."""

    surface: Surface = "api"
    private = True
    _allowance: Allowance | None = None

    async def admit(self) -> None:
        """Identify the caller and count the call. Raises Fault: missing_key, invalid_key, rate_limited."""
        try:
            self.caller = await self.identify()
        except Fault as fault:
            if fault.code in ("missing_key", "invalid_key"):
                self.count_anonymous()
            raise
        self.count_call()

    def count_call(self) -> None:
        """Count a call of the caller's. Raises Fault("rate_limited")."""
        self._allowance = self.services.accounts.count_call(self.caller, self.surface)
        check_rate(self._allowance)

    def count_anonymous(self) -> None:
        """Count a call without a right key, by where it comes from. Raises Fault("rate_limited")."""
        check_rate(self.services.accounts.count_anonymous(client_network(self.client_address()), self.surface))

    def send_json(self, body: dict[str, Any], status: int = 200) -> None:
        self.set_rate_limit()
        super().send_json(body, status)

    def set_rate_limit(self) -> None:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10."""
        allowance = self._allowance
        if allowance and allowance.limit:
            self.set_header("RateLimit-Policy", f'"{self.surface}";q={allowance.limit};w=60')
            self.set_header("RateLimit", f'"{self.surface}";r={allowance.remaining};t={allowance.reset}')
