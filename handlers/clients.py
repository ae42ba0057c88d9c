"""Maps a request to a client: the networks and the name of the browser that a sign-in comes from."""

from __future__ import annotations

from handlers.browsers import browser_name
from handlers.http.addresses import client_network, shown_network
from handlers.http.base import Handler
from iuserver.records import Client


def client_of(handler: Handler) -> Client:
    """Where a request comes from, for limits, sessions and the audit log."""
    address, user_agent = handler.client_address(), handler.request.headers.get("User-Agent", "")
    return Client(client_network(address), shown_network(address), browser_name(user_agent))
