"""JSON-RPC 2.0 for both eras of MCP: validates requests, builds results and errors. No I/O.

*Legacy* revisions have a handshake; in the *modern* one, 2026-07-28, each request states its version. A failed tool
call is a JSON-RPC error in the former (always with HTTP status 200: a 4xx ends a Python client's whole session), and a
result with `isError` in the latter. Source: modelcontextprotocol.io, "Transports" and "Lifecycle" of each revision.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from handlers.http import faults
from iuserver.errors import Code, Fault

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
ASSUMED_VERSION = "2025-03-26"
"""The revision of a legacy client that sends no header: the header came with the next one."""

META = "io.modelcontextprotocol/"
VERSION_HEADER = "MCP-Protocol-Version"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
_MODERN_STATUS = {METHOD_NOT_FOUND: 404, INTERNAL: 200}

HTTP_STATUS_FAULTS = frozenset({"missing_key", "invalid_key", "forbidden"})
"""Faults that are answered with their own HTTP status in both eras."""
RETRYABLE = frozenset({"rate_limited", "overloaded", "read_only", "in_progress", "timeout", "storage_unavailable"})

ADVICE: dict[Code, str] = {
    "missing_key": "Send the header Authorization: Bearer and the account's key.",
    "invalid_key": "The account's owner can make a new one.",
    "quota_exceeded": "Tell the user; a larger plan has more.",
    "storage_quota_exceeded": "Delete images that the user no longer needs, or use a larger plan.",
    "too_large": "Make it smaller, with fewer pixels or a lower quality, or use a larger plan.",
    "unsupported_type": "Convert it to PNG, JPEG, WebP, GIF or AVIF.",
    "broken_image": "It was cut short or changed on its way: get its bytes again.",
    "too_many_pixels": "Resize it.",
    "too_many_frames": "Shorten the animation.",
    "too_many_scans": "Save it as a baseline JPEG.",
    "slug_taken": "Choose another one, or leave custom_slug out.",
    "idempotency_conflict": "Choose another client_ref.",
    "ticket_used": "Make another one with create_upload_ticket.",
}
"""What an agent can do about a fault."""

Id = int | float | str
Json = dict[str, Any]

_TOKEN = re.compile(
    rb'"id"\s*+:\s*+(?P<id>-?\d++|"(?:[^"\\]++|\\.)*+")(?=\s*+[,}])'
    rb'|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|(?P<open>[{\[])|(?P<close>[}\]])',
    re.DOTALL,
)
"""An id, and what it may stand among. A string without an end is taken whole: to look for others inside of it would
take time that grows with the square of its length."""
_ENCODED_HEADER = re.compile(r"=\?base64\?(.*)\?=")


class Refusal(Exception):
    """A message that is not what MCP says it must be: an error of JSON-RPC, and the HTTP status it goes with."""

    def __init__(self, code: int, message: str, status: int = 400, data: Json | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.data = code, message, status, data


@dataclass(frozen=True, slots=True)
class Request:
    """A request that wants an answer; `version` is the revision that its sender goes by, as far as it says."""

    id: Id
    method: str
    params: Any
    modern: bool
    version: str

    def refusal(self, code: int, message: str) -> Refusal:
        """An error that this request is answered with, under the HTTP status of its era."""
        return Refusal(code, message, _MODERN_STATUS.get(code, 400) if self.modern else 200)


def read(body: bytes, headers: Mapping[str, str]) -> Request | None:
    """The request in a body; None for a notification or a posted response, which are not answered. Raises Refusal."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(PARSE_ERROR, "Parse error: the body is not JSON") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Refusal(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 object; batches are not served")
    if "method" not in message and ("result" in message or "error" in message):
        return None
    if not isinstance(message.get("method"), str):
        raise Refusal(INVALID_REQUEST, "The request has no method")
    if "id" not in message:
        return None
    if not isinstance(message["id"], Id) or isinstance(message["id"], bool):
        raise Refusal(INVALID_REQUEST, "The id must be a text or a number")
    params = message.get("params")
    params = {} if params is None else params
    says_version = META + "protocolVersion" in _meta(params)
    return _request(message["id"], message["method"], params, headers, says_version)


def peek(beginning: bytes, headers: Mapping[str, str]) -> Request | None:
    """The id and era of a request that has not arrived completely; None if its id has not arrived."""
    depth = 0
    for token in _TOKEN.finditer(beginning):
        if token["id"] and depth == 1:
            says_version = f'"{META}protocolVersion"'.encode() in beginning
            try:
                return _request(orjson.loads(token["id"]), "tools/call", {}, headers, says_version)
            except orjson.JSONDecodeError:  # 007, or a number beyond any
                return None
        depth += bool(token["open"]) - bool(token["close"])
    return None


def _request(id_: Id, method: str, params: Any, headers: Mapping[str, str], says_version: bool) -> Request:
    """Decide the era: never by Mcp-Method, which is sent on the legacy wire too."""
    named = headers.get(VERSION_HEADER)
    return Request(
        id_, method, params, says_version or (named or ASSUMED_VERSION) not in LEGACY, named or ASSUMED_VERSION
    )


def _meta(params: Any) -> Json:
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def check(request: Request, headers: Mapping[str, str]) -> None:
    """Check what a modern request must say of itself, and the shape of any one's params. Raises Refusal."""
    if request.modern:
        _check_envelope(request)
        _check_headers(request, headers)
        requested = request.params["_meta"][META + "protocolVersion"]
        if requested not in MODERN:
            data = {"supported": list(MODERN), "requested": requested}
            raise Refusal(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)
    if not isinstance(request.params, dict):
        raise request.refusal(INVALID_PARAMS, "params must be an object")


def _check_envelope(request: Request) -> None:
    meta = _meta(request.params)
    wanted = {"protocolVersion": str, "clientCapabilities": dict}
    missing = [META + name for name, kind in wanted.items() if not isinstance(meta.get(META + name), kind)]
    if missing:
        raise Refusal(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}")


def _check_headers(request: Request, headers: Mapping[str, str]) -> None:
    expected = {VERSION_HEADER: request.params["_meta"][META + "protocolVersion"], "Mcp-Method": request.method}
    if request.method == "tools/call":
        expected["Mcp-Name"] = request.params.get("name")
    for name, value in expected.items():
        if _decoded(headers.get(name)) != value:
            raise Refusal(HEADER_MISMATCH, f"The header {name} does not match the body")


def _decoded(value: str | None) -> str | None:
    """A header's value, which may be wrapped in base64 where it is no plain ASCII."""
    encoded = _ENCODED_HEADER.fullmatch(value or "")
    if not encoded:
        return value
    try:
        return base64.b64decode(encoded[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def answer(request: Request, result: Json, server: Json) -> Json:
    """A result, with what the modern era adds to each."""
    if request.modern:
        result = {"resultType": "complete", "_meta": {META + "serverInfo": server}, **result}
    return {"jsonrpc": "2.0", "id": request.id, "result": result}


def failure(id_: Id | None, code: int, message: str, data: Json | None = None) -> Json:
    """An error."""
    error: Json = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def refused(request: Request | None, fault: Fault, server: Json) -> tuple[int, Json]:
    """The HTTP status and the body that a fault is answered with; `request` is None where it is not known."""
    http_status, code = faults.STATUS[fault.code]
    message = _with_advice(fault)
    data = {"http_status": http_status, "reason": fault.code, "retryable": fault.code in RETRYABLE}
    if fault.retry_after is not None:
        data["retry_after"] = fault.retry_after
    if fault.quota:
        data["quota"] = faults.body(fault)["quota"]
    if fault.code in HTTP_STATUS_FAULTS:
        return http_status, failure(request.id if request else None, code, message, data)
    if request is None or not request.modern:
        return 200, failure(request.id if request else None, code, message, data)
    if request.method == "tools/call" and fault.code != "internal":
        return 200, answer(request, _tool_error(message, data), server)
    return 200, failure(request.id, INTERNAL, message, data)


def _with_advice(fault: Fault) -> str:
    """A fault's sentence, with what to do about it; a model sees no more of it than this."""
    wait = f"Try again in {fault.retry_after} seconds." if fault.retry_after and fault.code in RETRYABLE else ""
    return " ".join(filter(None, [f"{fault.message}.", ADVICE.get(fault.code), wait]))


def _tool_error(message: str, data: Json) -> Json:
    return {
        "isError": True,
        "content": [{"type": "text", "text": message}],
        "structuredContent": {"error": {"message": message, **data}},
    }
