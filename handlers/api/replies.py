"""Serializers: records to the JSON objects of the API document."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from handlers.http.links import Links
from iuserver.errors import Fault
from iuserver.forms import cursor_behind
from iuserver.policy import month_end
from iuserver.records import Caller, Folder, Image, ImagePage, ListQuery, Quota, Session

_MARKDOWN = re.compile(r"([\\\[\]`*<>&])")


def quota(of: Quota) -> dict[str, Any]:
    """A caller's month."""
    return {
        "used": of.used,
        "limit": None if of.unlimited else of.limit,
        "remaining": of.remaining,
        "plan": of.plan,
        "unlimited": of.unlimited,
    }


def account(caller: Caller, of: Quota, now: float) -> dict[str, Any]:
    """The answer of GET /api/quota: the month, when it ends, and the storage in bytes."""
    storage = {"used": caller.account.stored_bytes, "limit": caller.plan.storage_bytes or None}
    return {**quota(of), "resets_at": month_end(now), "storage": storage}


def folder(of: Folder, count: int) -> dict[str, Any]:
    """A folder, with the number of its images."""
    return {"slug": of.slug, "name": of.name, "count": count, "created_at": of.created_at}


def session(of: Session, current: Session | None) -> dict[str, Any]:
    """A browser that is signed in; whether it is the one that asks."""
    return {
        "id": of.id,
        "browser": of.browser,
        "network": of.network,
        "created_at": of.created_at,
        "seen_at": of.seen_at,
        "current": current is not None and of.id == current.id,
    }


def uploaded(image: Image, of: Quota, links: Links, delete_token: str) -> dict[str, Any]:
    """The answer to an upload, as the API document shows it."""
    described = _described(image, links, delete_token)
    return {"ok": True, **described, "embed": embed(image, links), "quota": quota(of)}


def listed(image: Image, links: Links, delete_token: str) -> dict[str, Any]:
    """One of the caller's images in a list. A tombstone has no size, and its name is gone."""
    return {
        **_described(image, links, delete_token),
        "created_at": image.created_at,
        "viewed_at": image.viewed_at,
        "views": None if image.max_views is None else image.views,
    }


def ticket(id_: str, until: int, token: str, links: Links) -> dict[str, Any]:
    """An upload ticket, and the ways to use it."""
    url = f"{links.pages}/u/{token}"
    return {
        "ok": True,
        "ticket": id_,
        "upload_url": url,
        "expires_at": until,
        "curl": f'curl -F "file=@photo.jpg" {url}',
    }


def page(of: ImagePage, query: ListQuery, links: Links, delete_token: Callable[[Image], str]) -> dict[str, Any]:
    """A page of the caller's images, how many there are, and the cursor of the next page."""
    return {
        "images": [listed(image, links, delete_token(image)) for image in of.images],
        "total": of.total,
        "limit": query.limit,
        "offset": query.offset,
        "next": cursor_behind(of.images[-1], query.sort) if of.more and of.images else None,
    }


def bulk(action: str, outcomes: dict[str, Fault | None]) -> dict[str, Any]:
    """What became of each of many images."""
    results = [
        {"slug": slug, "ok": False, "error": fault.message, "code": fault.code} if fault else {"slug": slug, "ok": True}
        for slug, fault in outcomes.items()
    ]
    done = sum(fault is None for fault in outcomes.values())
    return {"ok": True, "action": action, "done": done, "results": results}


def detailed(image: Image, links: Links, delete_token: str) -> dict[str, Any]:
    """One of the caller's images by itself."""
    return {"ok": True, **listed(image, links, delete_token), "embed": embed(image, links)}


def embed(image: Image, links: Links) -> dict[str, str]:
    """Snippets to paste; gated images get links to their page instead of the bytes."""
    if image.gated:
        return _link(image.filename, links.page(image))
    return _picture(image.filename, links.file(image))


def _described(image: Image, links: Links, delete_token: str) -> dict[str, Any]:
    return {
        "slug": image.slug,
        "ext": image.ext,
        "filename": image.filename,
        "mime": image.mime,
        "size": image.size,
        "width": image.width,
        "height": image.height,
        "hdr": bool(image.hdr),  # SQLite has numbers
        "expiration": image.expiration,
        "expires_at": image.expires_at,
        "view_limit": image.view_limit,
        "password_protected": image.password_hash is not None,
        "folder": image.folder,
        "share_url": links.page(image),
        "direct_url": links.file(image),
        "upload_source": image.upload_source,
        "delete_url": f"{links.pages}/d/{image.slug}/{delete_token}",
        "removed": removed(image),
    }


def removed(image: Image) -> dict[str, Any] | None:
    """What the upload had in it and the image has not; None where that is not known."""
    if image.removed_bytes is None:
        return None
    return {"bytes": image.removed_bytes, "kinds": (image.removed_kinds or "").split()}


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
