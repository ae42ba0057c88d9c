"""What reverse proxies report about a request: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).

Each proxy appends to the list, and its first entries may be the client's own, so lists are read from the end. If any
X-Forwarded-* header is present, Forwarded is ignored: a proxy that writes the former passes the latter on unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping

MOST_HOPS = 32
"""Hops that are read, from the end of the list; earlier ones are ignored."""
X_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")


def hops(headers: Mapping[str, str]) -> list[str]:
    """The addresses that proxies recorded, the client's first."""
    return _last_of(headers.get("X-Forwarded-For", "")) or _forwarded(headers, "for")


def scheme(headers: Mapping[str, str]) -> str:
    """The scheme that the client used with the first proxy; "" if unknown. A client that forges it only misleads
    itself."""
    written = headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
    return (written or next(iter(_forwarded(headers, "proto")), "")).lower()


def host(headers: Mapping[str, str]) -> str:
    """The host name that the nearest proxy was called by; "" if unknown."""
    written = headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
    return written or next(reversed(_forwarded(headers, "host")), "")


def _forwarded(headers: Mapping[str, str], name: str) -> list[str]:
    """The values of a parameter in Forwarded. None of those of interest may have a comma or a semicolon in quotes."""
    if any(other in headers for other in X_FORWARDED):
        return []
    return [value for element in _last_of(headers.get("Forwarded", "")) if (value := _parameter(element, name))]


def _last_of(text: str) -> list[str]:
    return [item for part in text.rsplit(",", MOST_HOPS)[-MOST_HOPS:] if (item := part.strip())]


def _parameter(element: str, name: str) -> str:
    for pair in element.split(";"):
        key, _, value = pair.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return ""
