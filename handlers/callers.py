"""Authentication: maps a request's credentials to a caller, and counts calls against rate limits."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from handlers.http.addresses import client_network
from handlers.http.base import Handler
from iuserver.errors import Fault
from iuserver.policy import check_rate
from iuserver.records import Allowance, Caller, Surface


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a request: a caller, or nobody known; `fault` says why credentials that were sent are not valid."""

    caller: Caller | None = None
    fault: Fault | None = None

    @property
    def has_wrong_key(self) -> bool:
        """Whether an invalid key was sent."""
        return self.fault is not None and self.fault.code == "invalid_key"

    def known(self) -> Caller:
        """The caller. Raises Fault: missing_key, invalid_key."""
        if self.caller is None:
            raise self.fault or Fault("missing_key", "Missing API key")
        return self.caller


async def asker_of(handler: Handler) -> Asker:
    """Identify the sender by the key in the Authorization header. Raises Fault("storage_unavailable")."""
    if not (key := handler.bearer_key()):
        return Asker()
    return await _asker(handler.services.accounts.identify(key))


async def holder_of(handler: Handler, key_hash: bytes) -> Asker:
    """Identify the holder of a link that was issued with a key: it acts for the key's account."""
    return await _asker(handler.services.accounts.caller_of(key_hash, via="ticket"))


async def _asker(identified: Awaitable[Caller]) -> Asker:
    try:
        return Asker(await identified)
    except Fault as fault:
        if fault.code != "invalid_key":
            raise
        return Asker(fault=fault)


def count_call(handler: Handler, caller: Caller, surface: Surface) -> Allowance:
    """Count a call against the caller's rate limit; `policy.check_rate` raises if it is exceeded."""
    return handler.services.accounts.count_call(caller, surface)


def count_anonymous(handler: Handler, surface: Surface) -> None:
    """Count a call without a valid key, by its network. Raises Fault("rate_limited")."""
    network = client_network(handler.client_address())
    check_rate(handler.services.accounts.count_anonymous(network, surface))
