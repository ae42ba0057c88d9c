"""What Tornado's HTTP/1.1 connection leaves open: framing, Expect, Connection, targets, and who is still there.

The only file that reaches into that connection.
"""

from __future__ import annotations

import re
import select
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest

from iuserver.errors import Fault

LENGTH_DIGITS = 18
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(/[^?]*)?", re.IGNORECASE)


def check_framing(request: HTTPServerRequest) -> None:
    """Raises Fault: bad_body, too_large for a body whose end cannot be found (RFC 9112, section 6.3)."""
    headers = request.headers
    length, coding = headers.get("Content-Length"), headers.get("Transfer-Encoding")
    if coding is not None:
        _check_coding(coding, length, request.version)
    elif length is not None:
        lengths = {part.strip() for part in length.split(",")}
        one = lengths.pop()
        if lengths or not (one.isascii() and one.isdigit()):
            raise Fault("bad_body", "The Content-Length is not valid")
        if len(one) > LENGTH_DIGITS:
            raise Fault("too_large", "No body may be as long as this Content-Length says")


def _check_coding(coding: str, length: str | None, version: str) -> None:
    if coding.lower() != "chunked":
        raise Fault("bad_body", "The only Transfer-Encoding understood here is chunked")
    if length is not None:
        raise Fault("bad_body", "A request has a Content-Length or a Transfer-Encoding, not both")
    if version == "HTTP/1.0":
        raise Fault("bad_body", "HTTP/1.0 has no Transfer-Encoding")


def normalize(request: HTTPServerRequest) -> None:
    """Write a request's headers as Tornado expects them, where they mean the same to it otherwise written."""
    headers = request.headers
    if headers.get("Expect", "").lower() == "100-continue":
        if request.version == "HTTP/1.0":  # the client cannot understand a 100 (RFC 9110, section 10.1.1)
            del headers["Expect"]
        else:
            headers["Expect"] = "100-continue"
    if "," in headers.get("Connection", ""):
        _choose_option(request)


def _choose_option(request: HTTPServerRequest) -> None:
    """Keep of several connection options the one that says whether the connection stays (RFC 9112, section 9.3)."""
    options = [option.strip().lower() for option in request.headers["Connection"].split(",")]
    for option in ("close", "keep-alive"):
        if option in options:
            request.headers["Connection"] = option
            connection: Any = request.connection
            start_line = connection._request_start_line
            connection._disconnect_on_finish = not connection._can_keep_alive(start_line, request.headers)
            return


def waits_for_continue(headers: HTTPHeaders) -> bool:
    """Whether the client sends its body only when it is told to go on."""
    return headers.get("Expect") == "100-continue"


def close_after_answer(request: HTTPServerRequest) -> None:
    """End the connection with the answer that is about to be written, and announce that in it."""
    connection: Any = request.connection
    connection._disconnect_on_finish = True
    if request.version == "HTTP/1.0":
        request.headers.pop("Connection", None)  # or Tornado would promise the opposite


def is_client_here(request: HTTPServerRequest) -> bool:
    """Whether an answer can still reach the client.

    The kernel knows of a reset before anything has been read or written.
    """
    connection: Any = request.connection
    stream = connection.stream
    if stream is None or stream.closed():
        return False
    poll = select.poll()
    poll.register(stream.socket, 0)  # errors and hang-ups are always told
    return not poll.poll(0)


def resolve_target(request: HTTPServerRequest) -> None:
    """Take a whole address in place of a path apart; its host replaces the Host header (RFC 9112, section 3.2.2)."""
    if request.path.startswith("/") or not (match := _ABSOLUTE.fullmatch(request.path)):
        return
    request.host, request.path = match[1], match[2] or "/"
    request.uri = f"{request.path}?{request.query}" if request.query else request.path
