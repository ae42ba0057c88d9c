"""What every handler gets from the application: the use cases and the HTTP options."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from handlers.http.addresses import parsed
from iuserver.accounts import Accounts
from iuserver.admin import Admin
from iuserver.editing import Editing
from iuserver.history import History
from iuserver.library import Library
from iuserver.metrics import Metrics
from iuserver.moderation import Moderation
from iuserver.ports import LocalFiles, Presigns
from iuserver.sign_in import SignIn
from iuserver.sign_up import SignUp
from iuserver.thumbnails import Thumbnails
from iuserver.tickets import Tickets
from iuserver.uploads import Uploads
from iuserver.viewing import Viewing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ActiveRequests:
    """The requests that are being answered: a server that stops waits until there are none."""

    def __init__(self) -> None:
        self.begun = 0
        self._requests: set[object] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, request: object) -> None:
        self.begun += 1
        self._requests.add(request)
        self._none.clear()

    def discard(self, request: object) -> None:
        """Note that a request has been answered or given up; safe to repeat."""
        self._requests.discard(request)
        if not self._requests:
            self._none.set()

    async def ended(self, seconds: float) -> None:
        """Wait until none is left, or at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._requests:
                    await self._none.wait()


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What the settings say about HTTP: names, proxies, limits on bodies, caching."""

    public_url: str
    hosts: tuple[str, ...]
    mcp_origins: tuple[str, ...]
    abuse_contact: str
    trusted_proxies: tuple[Network, ...]
    drain_bytes: int
    drain_seconds: float
    min_rate: int
    max_age: int
    presign_seconds: int
    metrics_token: str
    files_url: str
    upgrade_contact: str

    def trusts(self, address: str) -> bool:
        """Whether what a proxy with this address says of its clients counts."""
        known = parsed(address)
        return known is not None and any(known in network for network in self.trusted_proxies)


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, `http` for what is HTTP's own, and what the server tells about itself.

    `picture_limits` has what a picture may have at most, by the names of the settings.
    """

    accounts: Accounts
    uploads: Uploads
    library: Library
    editing: Editing
    tickets: Tickets
    viewing: Viewing
    thumbnails: Thumbnails
    moderation: Moderation
    metrics: Metrics
    http: HttpOptions
    clock: Callable[[], float]
    ready: Callable[[], Awaitable[dict[str, bool]]]
    picture_limits: Mapping[str, int]
    sign_in: SignIn
    sign_up: SignUp
    admin: Admin
    history: History
    presigns: Presigns | None = None
    files: LocalFiles | None = None
    active: ActiveRequests = field(default_factory=ActiveRequests)
