"""Answers: records and faults as the JSON of the API document."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from iuserver.errors import Code, Fault
from iuserver.forms import ListForm
from iuserver.policy import month_end
from iuserver.records import Caller, Folder, Image, Quota

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
_MARKDOWN = re.compile(r"([\\\[\]`*<>&])")


def error(fault: Fault) -> dict[str, Any]:
    """The body of a refusal."""
    body: dict[str, Any] = {"error": fault.message, "code": fault.code}
    if fault.quota:
        body["quota"] = {
            "used": fault.quota.used,
            "limit": fault.quota.limit,
            "remaining": fault.quota.remaining,
            "plan": fault.quota.plan,
            "upgrade_url": UPGRADE_URL,
        }
    return body


def quota(of: Quota) -> dict[str, Any]:
    """A caller's month."""
    return {
        "used": of.used,
        "limit": None if of.unlimited else of.limit,
        "remaining": of.remaining,
        "plan": of.plan,
        "unlimited": of.unlimited,
    }


def quota_headers(of: Quota) -> dict[str, str]:
    """The three X-Quota-* headers."""
    return {
        "X-Quota-Used": str(of.used),
        "X-Quota-Limit": "unlimited" if of.unlimited else str(of.limit),
        "X-Quota-Remaining": "unlimited" if of.unlimited else str(of.remaining),
    }


def account(caller: Caller, of: Quota, now: float) -> dict[str, Any]:
    """What GET /api/quota tells: the month, when it ends, and the storage in bytes."""
    storage = {"used": caller.account.stored_bytes, "limit": caller.plan.storage_bytes or None}
    return {**quota(of), "resets_at": month_end(now), "storage": storage}


def folder(of: Folder, count: int) -> dict[str, Any]:
    """A folder, with the number of its images."""
    return {"slug": of.slug, "name": of.name, "count": count, "created_at": of.created_at}


def uploaded(image: Image, of: Quota, base_url: str, delete_token: str) -> dict[str, Any]:
    """The answer to an upload, as the API document shows it."""
    described = _described(image, base_url, delete_token)
    return {"ok": True, **described, "embed": embed(image, base_url), "quota": quota(of)}


def listed(image: Image, base_url: str, delete_token: str) -> dict[str, Any]:
    """One of the caller's images in a list. A tombstone has no size, and its name is gone."""
    return {
        **_described(image, base_url, delete_token),
        "created_at": image.created_at,
        "viewed_at": image.viewed_at,
        "views": None if image.max_views is None else image.views,
    }


def ticket(id_: str, until: int, word: str, base_url: str) -> dict[str, Any]:
    """An upload ticket, and the ways to use it."""
    url = f"{base_url}/u/{word}"
    return {
        "ok": True,
        "ticket": id_,
        "upload_url": url,
        "expires_at": until,
        "curl": f'curl -F "file=@photo.jpg" {url}',
    }


def page(
    images: list[Image], total: int, query: ListForm, base_url: str, delete_token: Callable[[Image], str]
) -> dict[str, Any]:
    """A page of the caller's images, and how many there are."""
    return {
        "images": [listed(image, base_url, delete_token(image)) for image in images],
        "total": total,
        "limit": query.limit,
        "offset": query.offset,
    }


def detailed(image: Image, base_url: str, delete_token: str) -> dict[str, Any]:
    """One of the caller's images by itself."""
    return {"ok": True, **listed(image, base_url, delete_token), "embed": embed(image, base_url)}


def embed(image: Image, base_url: str) -> dict[str, str]:
    """Snippets to paste, with links to the page in place of the bytes where those are gated."""
    if image.gated:
        return _link(image.filename, f"{base_url}/i/{image.slug}")
    return _picture(image.filename, f"{base_url}/f/{image.slug}.{image.ext}")


def _described(image: Image, base_url: str, delete_token: str) -> dict[str, Any]:
    return {
        "slug": image.slug,
        "ext": image.ext,
        "filename": image.filename,
        "mime": image.mime,
        "size": image.size,
        "width": image.width,
        "height": image.height,
        "expiration": image.expiration,
        "expires_at": image.expires_at,
        "view_limit": image.view_limit,
        "password_protected": image.password_hash is not None,
        "folder": image.folder,
        "share_url": f"{base_url}/i/{image.slug}",
        "direct_url": f"{base_url}/f/{image.slug}.{image.ext}",
        "upload_source": image.upload_source,
        "delete_url": f"{base_url}/d/{image.slug}/{delete_token}",
    }


def _picture(name: str, url: str) -> dict[str, str]:
    return {
        "html": f'<img src="{html.escape(url)}" alt="{html.escape(name)}" />',
        "bbcode": f"[img]{url}[/img]",
        "markdown": f"![{_markdown(name)}]({url})",
    }


def _link(name: str, url: str) -> dict[str, str]:
    """Snippets for an image that viewers must ask for: an <img> would show nothing, or use up its only view."""
    return {
        "html": f'<a href="{html.escape(url)}">{html.escape(name)}</a>',
        "bbcode": f"[url={url}]{name.translate({ord('['): '(', ord(']'): ')'})}[/url]",
        "markdown": f"[{_markdown(name)}]({url})",
    }


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
