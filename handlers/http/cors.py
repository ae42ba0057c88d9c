"""CORS headers: what pages of other origins may read and send (Fetch standard, section 3.2).

Credentials are never allowed: keys and passwords travel in headers that the page sets itself, so a page reads no more
than its author could fetch. A preflight allows any method, so that scripts can read a 404 or 405 too.
"""

from __future__ import annotations

import re

EXPOSED = (
    "X-Request-Id, X-Quota-Used, X-Quota-Limit, X-Quota-Remaining, RateLimit, RateLimit-Policy, Retry-After, "
    "Idempotent-Replay, Link, WWW-Authenticate, ETag, Accept-Ranges, Content-Range, Content-Disposition"
)
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
USUAL_HEADERS = (
    "Authorization, Content-Type, Accept, Idempotency-Key, X-Image-Password, Range, MCP-Protocol-Version, Mcp-Method, "
    "Mcp-Name, Mcp-Session-Id, Last-Event-ID"
)
"""What a preflight is answered that does not say which headers are to come."""
MAX_AGE = "86400"
"""Seconds for which a browser may remember a preflight."""
MAX_ASKED = 2048
"""Characters that are read of a list of headers."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")


def headers_allowed(asked: str | None) -> str:
    """The header names in an Access-Control-Request-Headers that are valid (RFC 9110, section 5.6.2)."""
    asked = asked or ""
    if len(asked) > MAX_ASKED:
        asked = asked[:MAX_ASKED].rpartition(",")[0]  # without what is left of the name that was cut
    names = [name.strip(" \t") for name in asked.split(",")]
    return ", ".join(name for name in names if _TOKEN.fullmatch(name)) or USUAL_HEADERS
