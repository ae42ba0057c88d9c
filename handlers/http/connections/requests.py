"""Parses a request's head: request line, headers, and the kind of body that follows.

llhttp (httptools) parses the field lines and refuses bare LF, folded lines, spaces before colons, and a Content-Length
that is repeated or not a number (RFC 9112, sections 2.2, 5.1, 5.2, 6.3). The following is refused here:
- request lines with other methods, versions or spacing than we serve (section 3);
- HTTP/1.1 without a Host header, or with two (section 3.2);
- any transfer coding but `chunked` alone, and any at all in HTTP/1.0 (section 6.1).
Some proxy reads each of these differently, which enables request smuggling (section 11.2).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPHeaders, RequestStartLine

from iuserver.errors import Fault

HEAD_BYTES = 16 * 1024
"""Limit of a head, request line included."""
MOST_FIELDS = 100
LONGEST_NAME = 128
"""Bytes of a field name: Tornado caches names, so their length is limited."""
METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
HEAD_END = re.compile(rb"\n\r?\n")
"""Where a head ends; with a bare LF it is refused, not waited for."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/(1\.[01])\r\n")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class Request(NamedTuple):
    """A parsed head. `length` is the body's; None: it is chunked."""

    start_line: RequestStartLine
    headers: HTTPHeaders
    length: int | None
    keep_alive: bool
    expects_continue: bool

    @property
    def has_body(self) -> bool:
        """Whether the client sends one, or is about to (RFC 9112, section 6)."""
        return self.length != 0


def parse(head: bytes) -> Request:
    """Read a head, up to its empty line and with it. Raises Fault: bad_body, not_implemented, headers_too_large."""
    match = _REQUEST_LINE.match(head)
    if not match:
        raise Fault("bad_body", "The request line is not valid HTTP/1.1")
    method, target, version = match.groups()
    if method not in METHODS:
        raise Fault("not_implemented", "This method is not implemented")
    if not target.isascii():  # as some clients send a file's name
        target = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], target)
        head = method + b" " + target + head[match.end(2) :]
    headers = _Fields(head).headers
    start_line = RequestStartLine(method.decode(), target.decode(), f"HTTP/{version.decode()}")
    return _checked(start_line, headers)


def _checked(start_line: RequestStartLine, headers: HTTPHeaders) -> Request:
    _check_host(start_line, headers)
    if start_line.path[0] not in "/*":
        start_line = _origin_form(start_line, headers)
    options = _options(headers)
    modern = start_line.version == "HTTP/1.1"
    return Request(
        start_line,
        headers,
        _length(start_line, headers),
        keep_alive="close" not in options if modern else "keep-alive" in options,
        expects_continue=modern and headers.get("Expect", "").lower() == "100-continue",
    )


class _Fields:
    """llhttp's view of a head's field lines."""

    def __init__(self, head: bytes) -> None:
        self.headers = HTTPHeaders()
        self._number = 0
        try:
            HttpRequestParser(self).feed_data(head)
        except HttpParserUpgrade:
            pass  # to another protocol, as h2c: a server may ignore it (RFC 9110, section 7.8)
        except HttpParserError as error:
            if isinstance(error.__context__, Fault):
                raise error.__context__ from None
            raise Fault("bad_body", f"The request is not valid HTTP/1.1: {error}") from error

    def on_header(self, name: bytes, value: bytes) -> None:
        self._number += 1
        if self._number > MOST_FIELDS or len(name) > LONGEST_NAME:
            raise Fault("headers_too_large", f"A request may have {MOST_FIELDS} header fields, with short names")
        field, text = name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")
        if field in self.headers:
            self.headers.add(field, text)
        else:
            self.headers[field] = text


def _check_host(start_line: RequestStartLine, headers: HTTPHeaders) -> None:
    number = len(headers.get_list("Host"))
    if number > 1 or (not number and start_line.version == "HTTP/1.1"):
        raise Fault("bad_body", "A request has one Host header")


def _origin_form(start_line: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    """Resolve a target in absolute form; its authority replaces Host (RFC 9112, section 3.2.2)."""
    match = _ABSOLUTE.fullmatch(start_line.path)
    if not match:
        return start_line  # nothing of ours
    headers["Host"] = match[1]
    path = match[2] if match[2].startswith("/") else f"/{match[2]}"
    return start_line._replace(path=path)


def _options(headers: HTTPHeaders) -> list[str]:
    """The connection options (RFC 9110, section 7.6.1)."""
    text = headers.get("Connection")
    return [option.strip() for option in text.lower().split(",")] if text else []


def _length(start_line: RequestStartLine, headers: HTTPHeaders) -> int | None:
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        return int(headers.get("Content-Length", "0"))
    if start_line.version != "HTTP/1.1" or coding.lower() != "chunked":
        raise Fault("bad_body", "The only transfer coding is chunked, in HTTP/1.1")
    return None
