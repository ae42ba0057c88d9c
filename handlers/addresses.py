"""Addresses of clients: as what they count, and as what they may be written down."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=4096)
def parsed(address: str | None) -> Address | None:
    """The address that a text is, if it is one."""
    try:
        return ipaddress.ip_address(address or "")
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def masked(address: str | None) -> str:
    """What may stand in a log: the /24 (IPv4) or /48 (IPv6) network."""
    return _network(parsed(address), 24, 48)


def client_network(address: str | None) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 one, all of which is one household's."""
    return _network(parsed(address), 32, 64)


def _network(address: Address | None, bits: int, bits6: int) -> str:
    if address is None:
        return "-"
    length = bits if address.version == 4 else bits6
    return str(ipaddress.ip_network((address, length), strict=False).network_address)
