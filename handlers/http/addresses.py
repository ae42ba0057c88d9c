"""Client IP addresses: parsing, the network that limits count (/32, /64), and the one that is logged."""

from __future__ import annotations

import ipaddress
import re

from handlers.http.caches import remembered

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 100
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::.*)?|([0-9.]+):[^:]*")


@remembered(4096)
def parsed(text: str) -> Address | None:
    """The address that a text is, if it is one: in brackets (RFC 3986), with a port (RFC 7239, section 6) or a zone
    (RFC 4007, section 11), too. What IPv6 sockets call an IPv4 address (RFC 4291, section 2.5.5.2) is that."""
    if len(text) > LONGEST:
        return None
    match = _WITH_PORT.fullmatch(text)
    bare = match[1] or match[2] or "" if match else text
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@remembered(4096)
def masked(address: str) -> str:
    """The network that is logged: /24 (IPv4) or /48 (IPv6)."""
    return _network(parsed(address), 24, 48)


def shown_network(address: str) -> str:
    """The same network with its length, as people write it: "203.0.113.0/24"."""
    found = parsed(address)
    return "-" if found is None else f"{masked(address)}/{24 if found.version == 4 else 48}"


def client_network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 one, all of which is one household's."""
    return _network(parsed(address), 32, 64)


def _network(address: Address | None, bits: int, bits6: int) -> str:
    if address is None:
        return "-"
    length = bits if address.version == 4 else bits6
    return str(ipaddress.ip_network((address, length), strict=False).network_address)
