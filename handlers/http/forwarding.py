"""What proxies tell of a request that they pass on: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).

Each proxy adds its word behind those of others, and the first of them may be the client's own, so lists are read from
their end. Where there is any X-Forwarded-* header, Forwarded is not looked at: a proxy that writes the one passes the
other on as the client has sent it.
"""

from __future__ import annotations

from collections.abc import Mapping

MOST_HOPS = 32
"""Proxies at most between a client and us; what stands before the words of so many is not looked at."""
X_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")


def hops(headers: Mapping[str, str]) -> list[str]:
    """Who passed the request on to whom, the client first, as proxies have written it."""
    return _last_of(headers.get("X-Forwarded-For", "")) or _forwarded(headers, "for")


def scheme(headers: Mapping[str, str]) -> str:
    """What the first proxy was asked by; "" where none tells. A client that sends another deceives nobody but
    itself."""
    told = headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
    return (told or next(iter(_forwarded(headers, "proto")), "")).lower()


def host(headers: Mapping[str, str]) -> str:
    """The name that the proxy nearest to us was called by; "" where it does not tell."""
    told = headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
    return told or next(reversed(_forwarded(headers, "host")), "")


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
