"""Authentication: maps a request's credentials to a caller, and counts calls against rate limits."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from handlers.http import session_cookie
from handlers.http.addresses import client_network
from handlers.http.base import Handler
from handlers.http.cross_site import is_cross_site
from iuserver.errors import Fault
from iuserver.policy import check_rate
from iuserver.records import Allowance, Caller, Surface

SAFE = ("GET", "HEAD")
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


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
    """Identify the sender by the key in the Authorization header, else by its session cookie.

    Raises Fault: storage_unavailable; forbidden, as `check_own_page`.
    """
    if key := handler.bearer_key():
        return await _asker(handler.services.accounts.identify(key))
    return Asker(await signed_in(handler))


async def signed_in(handler: Handler) -> Caller | None:
    """Whose session cookie came along, if it is good. Raises Fault: storage_unavailable, forbidden."""
    token = session_cookie.token_in(handler)
    if token is None:
        return None
    check_own_page(handler, by_cookie=True)
    return await handler.services.sign_in.caller(token)


def check_own_page(handler: Handler, *, by_cookie: bool) -> None:
    """Raises Fault("forbidden") for what would change something and may come from a page of another site.

    Scripts, which send nothing of where they come from, pass unless a cookie identifies them (`by_cookie`).
    """
    if handler.request.method in SAFE:
        return
    own_url = handler.base_url(private=True)  # compared, and shown to nobody
    if is_cross_site(handler.request.headers, own_url, by_cookie=by_cookie):
        raise Fault("forbidden", "This can be done on our own pages only, not from another site")


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


def surface_of(caller: Caller, surface: Surface) -> Surface:
    """The surface whose rate limit a call counts against: what pages of ours send has one of its own."""
    return "web" if caller.via == "session" else surface


def count_call(handler: Handler, caller: Caller, surface: Surface) -> Allowance:
    """Count a call against the caller's rate limit; `policy.check_rate` raises if it is exceeded."""
    return handler.services.accounts.count_call(caller, surface_of(caller, surface))


def count_anonymous(handler: Handler, surface: Surface) -> None:
    """Count a call without a valid key, by its network. Raises Fault("rate_limited")."""
    network = client_network(handler.client_address())
    check_rate(handler.services.accounts.count_anonymous(network, surface))
