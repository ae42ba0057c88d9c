"""Masks secrets in log text, recognized by their shape. Pure."""

from __future__ import annotations

import re

_SLASH = r"(?:[/\\]|%2f|%5c)"
_LINE = r"(?:_|%5f)"
_OPAQUE = r"[\w~.%=+-]{16,}"

_SHAPES = re.compile(
    "|".join(
        (
            # What follows these is a secret: upload tickets, deletion links, sign-in links, invitations. The
            # target of a request is a path or, to a proxy, a whole URL (RFC 9112, section 3.2).
            rf"(?:^|(?<=[\s\"'`(\[<=,;]))((?:[a-z][a-z0-9+.-]{{0,20}}:{_SLASH}{{1,2}}[^/\\\s\"'`<>]*)?"
            rf"{_SLASH}+(?:u|%75|%55|d|%64|%44|login|signup){_SLASH}+)[^\s\"'`<>]*",
            # The same below a path of a proxy's; short words are folders there, as in a traceback's file names.
            rf"({_SLASH}(?:u|login|signup){_SLASH}+){_OPAQUE}",
            rf"({_SLASH}d{_SLASH}+[\w%-]{{1,200}}{_SLASH}+){_OPAQUE}",
            rf"(?<![a-z0-9])(tk{_LINE})[\w%-]+",
            rf"(iu{_LINE}live{_LINE})[\w%-]+",
            # What names its value: grants, unlock cookies, passwords, keys, sessions.
            r"((?:grant|unlock_[\w-]{1,100}|password|authorization|cookie)[\"']?\s{0,3}(?:[=:]|%3d|%3a)\s{0,3}[\"']?)"
            r"(?!bearer|basic)[^\s\"'`&;,)<>]+",
            rf"(session[\"']?\s{{0,3}}(?:=|%3d)\s{{0,3}}[\"']?){_OPAQUE}",
            r"(\$argon2)[^\s\"'`&;)<>]+",
            r"\b((?:bearer|basic)\s{1,3})[^\s\"'`,;)]+",
            r"(://)[^/\s\"'`<>]*(?=@)",
        )
    ),
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text with keys, passwords, tickets, grants and other credentials replaced by dots."""
    return _SHAPES.sub(lambda found: f"{found[found.lastindex or 0]}...", text)
