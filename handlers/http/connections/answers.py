"""Serializes response heads, and builds responses that need no handler.

A handler's headers are sent unchanged; the connection adds how the body is delimited and whether it stays open (RFC
9112, sections 6.3 and 9.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from tornado.httputil import HTTPHeaders, ResponseStartLine

from handlers.http import faults
from handlers.http.connections.ids import new_request_id
from handlers.http.cors import EXPOSED
from iuserver.errors import Fault

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def head(start_line: ResponseStartLine, headers: HTTPHeaders) -> bytes:
    """The status line and headers. Raises ValueError where a header would end its line."""
    lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.get_all()]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header has a line break in it")
    return text.encode("latin-1") + b"\r\n\r\n"


def chunk(data: bytes) -> Sequence[bytes]:
    """A part of a chunked body, without a copy of it; an empty one would be the last."""
    return (b"%x\r\n" % len(data), data, b"\r\n") if data else ()


def has_body(method: str, status: int) -> bool:
    """Whether an answer has one, were it empty (RFC 9112, section 6.3)."""
    return method != "HEAD" and status not in (204, 304)


def refusal(fault: Fault) -> bytes:
    """The whole response to a request that reaches no handler; the connection closes after it."""
    status = faults.STATUS[fault.code][0]
    body = orjson.dumps(faults.body(fault))
    headers = HTTPHeaders(
        {
            "Server": "iuserver",
            "Content-Type": "application/json; charset=utf-8",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": EXPOSED,
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": new_request_id(),
            "Content-Length": str(len(body)),
        }
    )
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    headers["Connection"] = "close"
    return head(ResponseStartLine("HTTP/1.1", status, HTTPStatus(status).phrase), headers) + body
