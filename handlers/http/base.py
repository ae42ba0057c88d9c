"""Base class of all handlers: runs the route's operation, and provides request ids, links, the client's address, error
responses and the access log.
"""

from __future__ import annotations

import logging
import re
import socket
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
from tornado.web import HTTPError, RequestHandler

from handlers.http import faults, forwarding
from handlers.http.addresses import masked, parsed
from handlers.http.answers import JSON, Answers
from handlers.http.connections.exchange import Exchange
from handlers.http.connections.ids import new_request_id
from handlers.http.cross_site import PORTS
from handlers.http.links import Links
from handlers.http.routing import Route
from handlers.http.services import Services
from iuserver.errors import ClientGone, Code, Fault
from iuserver.masking import without_secrets
from iuserver.records import Quota

log = logging.getLogger("iuserver")
access_log = logging.getLogger("iuserver.access")

GONE_STATUS = 499
"""What the log says of a client that left before its answer, as nginx does."""
LOGGED_PATH = 500
"""Characters of a path that are logged: enough for any of ours, and masked in less than a millisecond."""
HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Handler(RequestHandler):
    """A handler of one route: it runs the operation that the route has for the method, and answers as `answers` says.

    `private`: whether its answers are for the sender of the request alone, not for people who are sent a link.
    `caching`: an answer is its caller's alone, whatever its status, so no cache keeps it unless the handler says
    otherwise.
    """

    route: Route
    request_id: str
    private = False
    caching: str = "private, no-store"

    def initialize(self, route: Route) -> None:
        self.route = route
        self.services.active.add(self)

    @cached_property
    def services(self) -> Services:
        """What the application works with."""
        services: Services = self.application.settings["services"]
        return services

    def run(self, *path: str) -> Any:
        """Run the operation of the request's method."""
        operation = self.route.operation(self.request.method)
        assert operation, "prepare() lets no other method pass"
        return operation.run(self, *path)

    def _run(self, *path: str) -> Any:
        return self.run(*path)

    get = head = post = put = patch = delete = options = _run

    @cached_property
    def answers(self) -> Answers:
        """How this request is answered."""
        return self.choose_answers()

    def choose_answers(self) -> Answers:
        """Choose how this request is answered, by its head alone."""
        return JSON

    def set_default_headers(self) -> None:
        self.request_id = getattr(self, "request_id", "") or new_request_id()  # an error clears the headers
        self.set_header("Server", "iuserver")
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("Cache-Control", self.caching)
        self.set_header("X-Content-Type-Options", "nosniff")
        for name, value in self.answers.headers.items():
            self.set_header(name, value)
        if self.answers.over_tls and self.scheme() == "https":
            for name, value in self.answers.over_tls.items():
                self.set_header(name, value)

    def bearer_key(self) -> str | None:
        """What the Authorization header carries (RFC 6750, section 2.1)."""
        scheme, _, key = self.request.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None

    def base_url(self, *, private: bool | None = None) -> str:
        """What links in answers begin with: the setting, or what the client (or a trusted proxy) called us.

        `private`: whether nobody else sees it; by default, as the handler's answers are.
        """
        if self.services.http.public_url:
            return self.services.http.public_url
        scheme = self.scheme()
        host = self._host(self.private if private is None else private)
        if scheme not in ("http", "https") or not HOST.fullmatch(host):
            raise Fault("bad_body", "The request's host name is not valid")
        return f"{scheme}://{host}"

    def links(self) -> Links:
        """The addresses of images in answers."""
        pages = self.base_url()
        return Links(pages, self.services.http.files_url or pages)

    def is_files_host(self) -> bool:
        """Whether the request came by the name of the second origin, where nothing but pictures is."""
        files = urlsplit(self.services.http.files_url)
        if not files.netloc:
            return False
        usual = f":{PORTS[files.scheme]}"  # some proxies write it into Host, browsers never do
        forwarded = forwarding.host(self.request.headers) if self._trusts(self._peer()) else ""
        own, *told = (name.lower().removesuffix(usual) for name in (files.netloc, self.request.host, forwarded))
        return own in told

    def scheme(self) -> str:
        """What the client speaks with us, or with the proxy before us: "https" or "http"."""
        if self.services.http.public_url:
            return self.services.http.public_url.partition(":")[0]
        told = forwarding.scheme(self.request.headers) if self._trusts(self._peer()) else ""
        return told or self.request.protocol

    def path_to(self, path: str) -> str:
        """A path of ours, below the one that the settings say a proxy has put us at."""
        return urlsplit(self.services.http.public_url).path + path

    def go_to(self, path: str) -> None:
        """Send the browser on to a page of ours, whatever the method was."""
        self.redirect(self.path_to(path), status=303)

    def _host(self, private: bool) -> str:
        """What we are called, of the names that the settings allow where they name any.

        A client may send X-Forwarded-Host itself, and some proxies pass it on: where no name is known to be ours, it
        counts in private answers only.
        """
        hosts, own = self.services.http.hosts, self.request.host
        forwarded = forwarding.host(self.request.headers) if self._trusts(self._peer()) else ""
        if hosts:
            return next((name for name in (forwarded, own) if name.lower() in hosts), hosts[0])
        return (forwarded if private else "") or own

    def client_address(self) -> str:
        """The address of the client, or of the first proxy on the way to it that we do not trust; "" where there is
        none. A proxy that names no client counts as the client."""
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
        return self.services.http.trusts(address)

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
        self.answers.refuse(self, fault)

    def describe_fault(self, fault: Fault) -> None:
        """Count a refusal, and set its status and headers."""
        self.services.metrics.refusal(fault.code)
        self.set_status(faults.STATUS[fault.code][0])
        for name, value in faults.headers(fault).items():
            self.set_header(name, value)
        if fault.code == "method_not_allowed":
            self.set_header("Allow", ", ".join(self.allowed_methods()))
        self.set_header("Cache-Control", self.caching)

    def set_quota(self, quota: Quota) -> None:
        """The three headers that tell of the month."""
        for name, value in faults.quota_headers(quota).items():
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

    def allows(self, method: str | None) -> bool:
        """Whether a method is allowed here."""
        return self.route.operation(method) is not None

    def allowed_methods(self) -> tuple[str, ...]:
        """The methods that are allowed here."""
        return self.route.methods

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
        handler.services.metrics.request(handler.route.name, handler.get_status())
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
