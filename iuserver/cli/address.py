"""Parses IMAGEUPLOAD_URL, the server address that the client commands use."""

from __future__ import annotations

import re

DEFAULT = "http://127.0.0.1:8080"
PROBLEM = "IMAGEUPLOAD_URL must be an address that begins with http:// or https://"
"""What is said of one that cannot be used. It is not shown: there may be a password in it."""

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^/?#\s@:\[\]]+)"
_ADDRESS = re.compile(rf"(https?://)(?:[^/?#\s]*@)?({_HOST}(?::(\d{{1,5}}))?(?:/\S*)?)", re.ASCII)


def server_address(variable: str | None) -> str | None:
    """The address in a variable's value, without a slash at its end; None where it is none.

    It is without the user name and the password in front of its host: the account's key is sent in their
    place, and messages about the address must not show them.
    """
    found = _ADDRESS.fullmatch(variable or DEFAULT)
    if found is None or int(found[3] or 0) > 65535:
        return None
    return (found[1] + found[2]).rstrip("/")
