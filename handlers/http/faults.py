"""Error responses: HTTP status and JSON-RPC code of each fault, its JSON body and headers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from iuserver.errors import Code, Fault
from iuserver.records import Quota

# The one table: what a fault's code is on the wire, as HTTP status and as JSON-RPC code (API document, "Errors";
# CONTRACT section 4 for 405, 409 and the reasons that share a status).
STATUS: dict[Code, tuple[int, int]] = {
    "missing_key": (401, -32001),
    "invalid_key": (401, -32001),
    "rate_limited": (429, -32002),
    "quota_exceeded": (429, -32029),
    "overloaded": (503, -32003),
    "headers_too_large": (431, -32602),
    "too_large": (413, -32602),
    "unsupported_type": (415, -32602),
    "broken_image": (400, -32602),
    "too_many_pixels": (400, -32602),
    "too_many_frames": (400, -32602),
    "too_many_scans": (400, -32602),
    "bad_field": (400, -32602),
    "bad_body": (400, -32602),
    "storage_quota_exceeded": (403, -32603),
    "folder_limit": (403, -32603),
    "plan_required": (403, -32603),
    "read_only": (503, -32003),
    "blocked": (403, -32603),
    "password_required": (401, -32001),
    "wrong_password": (401, -32001),
    "forbidden": (403, -32603),
    "not_found": (404, -32004),
    "method_not_allowed": (405, -32601),
    "not_implemented": (501, -32601),
    "slug_taken": (409, -32602),
    "name_taken": (409, -32602),
    "idempotency_conflict": (409, -32602),
    "in_progress": (409, -32602),
    "ticket_used": (409, -32602),
    "timeout": (408, -32000),
    "storage_unavailable": (502, -32004),
    "internal": (500, -32000),
}

MEANING: dict[Code, str] = {
    "missing_key": "no key was sent",
    "invalid_key": "no enabled account has this key (any more)",
    "rate_limited": "too many calls of an account, calls without a right key from an address, or "
    "wrong passwords, in a minute",
    "quota_exceeded": "the month's uploads are used up",
    "headers_too_large": "a request's first line and headers have more than 16 KiB in all; the connection ends",
    "overloaded": "the upload queue is full, no slot became free in time, or no worker can be started; "
    "too many thumbnails are being made",
    "too_large": "the file is over the plan's size, or the body of another request over 64 KiB (`bulk`: 128 KiB)",
    "unsupported_type": "the bytes are no picture of a supported format, or the body has a `Content-Encoding`",
    "broken_image": "the picture is truncated or contradicts itself",
    "too_many_pixels": "its sides, its pixels, or those of all frames together",
    "too_many_frames": "its animation is too long",
    "too_many_scans": "its progressive scans are too many",
    "bad_field": "a field has a value that it cannot have",
    "bad_body": "the body is no valid form or JSON, has no file or two, or the request is no valid HTTP",
    "blocked": "the operator has put this picture, or one that looks like it, on the blocklist",
    "password_required": "the picture has a password, and none was sent",
    "wrong_password": "it is another",
    "forbidden": "a browser prefetched a picture with a limited number of views, or somebody asked for its thumbnail; "
    "a page of another site, or nobody knows which, sent a form or a request with a cookie; signing up needs an "
    "invite; an admin's page",
    "storage_quota_exceeded": "the account's storage is full",
    "folder_limit": "the account has as many folders as it may have",
    "plan_required": "the plan does not allow what a field asks for",
    "read_only": "the server only shows what it has at the moment",
    "not_found": "there is nothing here, or not for you",
    "method_not_allowed": "see the header `Allow`",
    "not_implemented": "a method that no route has, such as TRACE or PROPFIND; the connection ends",
    "slug_taken": "the short link exists",
    "name_taken": "the name exists",
    "idempotency_conflict": "the `Idempotency-Key` was used for another upload, or for an image that is gone",
    "in_progress": "another upload with this `Idempotency-Key` runs; a repeat gets its answer. Or an upload into a "
    "folder that is to be deleted runs",
    "ticket_used": "the upload ticket has been used",
    "timeout": "the body came too slowly",
    "storage_unavailable": "the catalog or the image store is away or full",
    "internal": "a bug; the log has more under the request's id",
}
"""When a code is answered, in Markdown."""

UPGRADE_URL = "/dashboard/profile#upgrade"

CHALLENGES: dict[Code, str] = {
    "missing_key": "Bearer",
    "invalid_key": "Bearer",
    "password_required": "X-Image-Password",
    "wrong_password": "X-Image-Password",
}
"""What a 401 says in WWW-Authenticate (RFC 9110, section 11.6.1)."""


def body(fault: Fault) -> dict[str, Any]:
    """The body of a refusal."""
    refusal: dict[str, Any] = {"error": fault.message, "code": fault.code}
    if fault.quota:
        refusal["quota"] = {
            "used": fault.quota.used,
            "limit": fault.quota.limit,
            "remaining": fault.quota.remaining,
            "plan": fault.quota.plan,
            "upgrade_url": UPGRADE_URL,
        }
    return refusal


def problem(fault: Fault, docs_url: str) -> dict[str, Any]:
    """The same as problem details (RFC 9457); "" as the address of the docs makes them a type of no name."""
    members = body(fault)
    return {
        "type": f"{docs_url}#{fault.code}" if docs_url else "about:blank",
        "title": MEANING[fault.code] if docs_url else HTTPStatus(STATUS[fault.code][0]).phrase,
        "status": STATUS[fault.code][0],
        "detail": members.pop("error"),
        **members,
    }


def headers(fault: Fault) -> dict[str, str]:
    """The headers of a refusal; a 405 has Allow as well, which its route knows."""
    found: dict[str, str] = {}
    if fault.code in CHALLENGES:
        found["WWW-Authenticate"] = CHALLENGES[fault.code]
    if fault.retry_after is not None:
        found["Retry-After"] = str(fault.retry_after)
    return found | (quota_headers(fault.quota) if fault.quota else {})


def quota_headers(of: Quota) -> dict[str, str]:
    """The three X-Quota-* headers."""
    return {
        "X-Quota-Used": str(of.used),
        "X-Quota-Limit": "unlimited" if of.unlimited else str(of.limit),
        "X-Quota-Remaining": "unlimited" if of.unlimited else str(of.remaining),
    }
