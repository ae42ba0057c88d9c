"""Error responses: HTTP status and JSON-RPC code of each fault, its JSON body and headers."""

from __future__ import annotations

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
