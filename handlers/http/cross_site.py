"""CSRF protection: recognizes requests that a page of another site makes a browser send."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
LONGEST = 300
"""Characters of an Origin that are looked at: a host name may have 253."""


def is_cross_site(headers: Mapping[str, str], own_url: str, *, by_cookie: bool) -> bool:
    """Whether a request that changes something may come from a page that is not ours, by its headers alone.

    Browsers say so in Sec-Fetch-Site (W3C, Fetch Metadata), or, on plain http and of old, in Origin (RFC 6454), which
    is compared with that of `own_url`. Scripts send neither, and are believed unless a cookie identifies them.
    """
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    if origin is not None:
        claimed = _origin(origin) if len(origin) <= LONGEST else None
        return claimed is None or claimed != _origin(own_url)
    return by_cookie


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL; None for what has none, such as the "null" of a page that hides where it is."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
