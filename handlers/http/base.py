"""What every handler shares: who is calling, from where, errors as JSON, a request id, one log line a request."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from tornado.web import HTTPError, RequestHandler

from handlers.api import replies
from handlers.http import forwarding
from handlers.http.addresses import masked, parsed
from handlers.http.connections.exchange import Exchange
from handlers.http.connections.ids import new_request_id
from iuserver.accounts import Accounts
from iuserver.errors import ClientGone, Code, Fault
from iuserver.library import Library
from iuserver.masking import without_secrets
from iuserver.metrics import Metrics
from iuserver.ports import Presigns
from iuserver.records import Caller
from iuserver.tickets import Tickets
from iuserver.uploads import Uploads
from iuserver.viewing import Viewing

log = logging.getLogger("iuserver")
access_log = logging.getLogger("iuserver.access")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

GONE_STATUS = 499
"""What the log says of a client that left before its answer, as nginx does."""
LOGGED_PATH = 500
"""Characters of a path that are logged: enough for any of ours, and masked in less than a millisecond."""
HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class ActiveRequests:
    """The requests that are being answered: a server that stops waits until there are none."""

    def __init__(self) -> None:
        self._requests: set[RequestHandler] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, request: RequestHandler) -> None:
        self._requests.add(request)
        self._none.clear()

    def discard(self, request: RequestHandler) -> None:
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
class Services:
    """What handlers work with: the use cases, and the few settings that are about HTTP alone."""

    accounts: Accounts
    uploads: Uploads
    library: Library
    tickets: Tickets
    viewing: Viewing
    clock: Callable[[], float]
    public_url: str
    hosts: tuple[str, ...]
    mcp_origins: tuple[str, ...]
    abuse_contact: str
    trusted_proxies: tuple[Network, ...]
    drain_bytes: int
    drain_seconds: float
    max_age: int
    min_rate: int
    ready: Callable[[], Awaitable[dict[str, bool]]]
    metrics: Metrics
    metrics_token: str
    presign_seconds: int = 0
    presigns: Presigns | None = None
    active: ActiveRequests = field(default_factory=ActiveRequests)

    def trusts(self, address: str) -> bool:
        """Whether what a proxy with this address says of its clients counts."""
        known = parsed(address)
        return known is not None and any(known in network for network in self.trusted_proxies)


class Handler(RequestHandler):
    """A handler that answers in JSON, errors included.

    `route` is what it is called in the metrics; `private`: whether its answers are for whoever sent the request alone,
    not for others who are sent a link. `caching`: an answer is its caller's alone, whatever its status, so no cache
    keeps it unless the handler says otherwise.
    """

    services: Services
    request_id: str
    route: str = ""
    private = False
    caching: str = "private, no-store"
    _methods: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        base = RequestHandler
        methods = sorted(m for m in cls.SUPPORTED_METHODS if getattr(cls, m.lower()) is not getattr(base, m.lower()))
        cls._methods = tuple(methods)
        cls.route = cls.__name__.removesuffix("Handler").lower()

    def initialize(self, services: Services) -> None:
        self.services = services
        services.active.add(self)

    def set_default_headers(self) -> None:
        self.request_id = getattr(self, "request_id", "") or new_request_id()  # an error clears the headers
        self.set_header("Server", "iuserver")
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("Cache-Control", self.caching)
        self.set_header("X-Content-Type-Options", "nosniff")

    async def identify(self) -> Caller:
        """The caller by the Authorization header. Raises Fault: missing_key, invalid_key."""
        return await self.services.accounts.identify(self.bearer_key())

    def bearer_key(self) -> str | None:
        """What the Authorization header carries (RFC 6750, section 2.1)."""
        scheme, _, key = self.request.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None

    def base_url(self, *, private: bool | None = None) -> str:
        """What links in answers begin with: the setting, or what the client (or a trusted proxy) called us.

        `private`: whether nobody else sees it; by default, as the handler's answers are.
        """
        if self.services.public_url:
            return self.services.public_url
        scheme = self.request.protocol
        if self._trusts(self._peer()):
            scheme = forwarding.scheme(self.request.headers) or scheme
        host = self._host(self.private if private is None else private)
        if scheme not in ("http", "https") or not HOST.fullmatch(host):
            raise Fault("bad_body", "The request's host name is not valid")
        return f"{scheme}://{host}"

    def _host(self, private: bool) -> str:
        """What we are called, of the names that the settings allow where they name any.

        A client may send X-Forwarded-Host itself, and some proxies pass it on: where no name is known to be ours, it
        counts in private answers only.
        """
        hosts, own = self.services.hosts, self.request.host
        told = forwarding.host(self.request.headers) if self._trusts(self._peer()) else ""
        if hosts:
            return next((name for name in (told, own) if name.lower() in hosts), hosts[0])
        return (told if private else "") or own

    def client_address(self) -> str:
        """The address of the client, or of the first proxy on the way to it that we do not trust; "" where there is
        none. A proxy that does not say for whom it asks stands for its clients."""
        hops, address = forwarding.hops(self.request.headers), self._peer()
        while hops and self._trusts(address) and parsed(hops[-1]):
            address = hops.pop()
        return address

    @property
    def exchange(self) -> Exchange:
        """This request and its answer, as the connection knows them."""
        return cast(Exchange, self.request.connection)

    def is_client_here(self) -> bool:
        """Whether an answer can still reach the client: asked right before something is stored, counted or charged."""
        return self.exchange.is_client_here()

    def _peer(self) -> str:
        return self.request.remote_ip or ""

    def _trusts(self, address: str) -> bool:
        if self.exchange.context.address_family == socket.AF_UNIX and address == self._peer():
            return True
        return self.services.trusts(address)

    def send_json(self, body: dict[str, Any], status: int = 200) -> None:
        """Put an answer together, with its exact length, so that it can be flushed before the request has ended."""
        data = orjson.dumps(body)
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Content-Length", len(data))
        if self.request.method != "HEAD":
            self.write(data)

    def send_fault(self, fault: Fault) -> None:
        """Put a refusal together."""
        self.describe_fault(fault)
        self.send_json(replies.error(fault), self.get_status())

    def describe_fault(self, fault: Fault) -> None:
        """Count a refusal, and set its status and headers."""
        status = replies.STATUS[fault.code][0]
        self.services.metrics.refusal(fault.code)
        self.set_status(status)
        if status == 401:
            key = fault.code in ("missing_key", "invalid_key")
            self.set_header("WWW-Authenticate", "Bearer" if key else "X-Image-Password")
        if status == 405:
            self.set_header("Allow", ", ".join(self.allowed_methods()))
        self.set_header("Cache-Control", self.caching)
        if fault.retry_after is not None:
            self.set_header("Retry-After", fault.retry_after)
        if fault.quota:
            for name, value in replies.quota_headers(fault.quota).items():
                self.set_header(name, value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tornado's hook: a Fault as itself, an error of Tornado's own as a code, anything else as a bug of ours."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClientGone):
            self.set_status(GONE_STATUS, "Client Closed Request")  # for the log
            self.finish()
            return
        fault = error if isinstance(error, Fault) else _as_fault(status_code)
        self.send_fault(fault)
        self.finish()

    def allowed_methods(self) -> tuple[str, ...]:
        """The methods that this handler answers."""
        return self._methods

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado's hook: bugs with their request id and traceback, backends that are away with their cause."""
        if isinstance(value, Fault):
            if value.code == "storage_unavailable":
                log.warning("request %s: %s (%r)", self.request_id, value.message, value.__cause__)
        elif not isinstance(value, HTTPError | ClientGone):
            log.error("request %s failed", self.request_id, exc_info=(typ, value, tb))

    def compute_etag(self) -> None:
        """No ETag made by hashing what was written: where one is worth it, the handler sets it."""

    def on_finish(self) -> None:
        self.services.active.discard(self)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.services.active.discard(self)


def _as_fault(status: int) -> Fault:
    codes: dict[int, tuple[Code, str]] = {
        404: ("not_found", "There is nothing here"),
        405: ("method_not_allowed", "This method is not allowed here"),
    }
    if 400 <= status < 500:
        return Fault(*codes.get(status, ("bad_body", "The request is not valid")))
    return Fault("internal", "Internal server error")


def log_request(handler: RequestHandler) -> None:
    """The one log line of a request: no query, no header, no secret, and the client's address only as a network."""
    request = handler.request
    if isinstance(handler, Handler):
        handler.services.metrics.request(handler.route, handler.get_status())
    address = handler.client_address() if isinstance(handler, Handler) else request.remote_ip or ""
    access_log.info(
        "request",
        extra={
            "request_id": getattr(handler, "request_id", None),
            "method": request.method,
            "path": without_secrets(request.path[:LOGGED_PATH]),
            "status": handler.get_status(),
            "ms": round(1000 * request.request_time(), 1),
            "client": masked(address),
        },
    )
