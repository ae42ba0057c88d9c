"""The session cookie: its name, how it is read, set and cleared (RFC 6265)."""

from __future__ import annotations

from handlers.http.base import Handler

OVER_TLS = "__Host-session"
"""Browsers take it from this very host alone, over TLS (RFC 6265bis, section 4.1.3.2)."""
PLAIN = "session"


def token_in(handler: Handler) -> str | None:
    """The session's token; None where there is none, or several: one may be another host's (section 8.6)."""
    found = set(_values(handler.request.headers.get("Cookie", ""), _name(handler)))
    return found.pop() if len(found) == 1 else None


def set_token(handler: Handler, token: str, max_age: int) -> None:
    """Let the browser send a session's token with its requests to us."""
    _set(handler, token, max_age)


def clear(handler: Handler) -> None:
    """Let the browser forget the session."""
    _set(handler, "", 0)


def _set(handler: Handler, token: str, max_age: int) -> None:
    secure = handler.scheme() == "https"
    handler.set_cookie(_name(handler), token, path="/", max_age=max_age, httponly=True, secure=secure, samesite="Lax")


def _name(handler: Handler) -> str:
    return OVER_TLS if handler.scheme() == "https" else PLAIN


def _values(header: str, name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name and value]
