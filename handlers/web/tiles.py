"""What a tile of the gallery, and the panel beside it, say of an image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from handlers.formatting import day_texts, size_text, time_texts
from handlers.web.formats import KINDS
from iuserver.policy import DAY, SOON_DAYS
from iuserver.records import Image

LONGER_SIDE = 320
"""Pixels of a thumbnail's longer side."""
SOURCES = {"api": "by API", "mcp": "by an agent", "web": "on these pages"}
REMOVED = {
    "gps": "GPS position",
    "camera": "camera data",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "comment": "comments",
    "thumbnail": "a preview",
    "c2pa": "C2PA",
    "text": "texts",
    "trailer": "a trailer",
    "other": "other data",
}
"""What was in a picture; static/texts.js has the same."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word upon a thumbnail, and what it is about."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Tile:
    """An image in the grid. `thumbnail` is where its thumbnail is, "" where there is none any more; `width` and
    `height` are the thumbnail's."""

    slug: str
    name: str
    about: str
    marks: list[Mark]
    thumbnail: str
    width: int
    height: int


def tile_of(image: Image, files: str, now: float) -> Tile:
    """An image's tile; `files` is what the addresses of those that are not gated begin with."""
    width, height = thumbnail_size(image)
    return Tile(
        slug=image.slug,
        name="Seen and gone" if image.gone else image.filename,
        about=day_text(image.created_at, now)
        if image.gone
        else f"{size_text(image.size)} · {day_text(image.created_at, now)}",
        marks=marks_of(image, now),
        thumbnail="" if image.gone else thumbnail_path(image, files),
        width=width,
        height=height,
    )


def thumbnail_path(image: Image, files: str) -> str:
    """Where an image's thumbnail is; those of gated ones stay with the pages, whose cookies open them."""
    return f"{'' if image.gated else files}/t/{image.slug}.webp"


def thumbnail_size(image: Image) -> tuple[int, int]:
    """Width and height of an image's thumbnail."""
    scale = min(1, LONGER_SIDE / max(image.width, image.height))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def marks_of(image: Image, now: float) -> list[Mark]:
    """What there is to know of an image before somebody sends its link around."""
    if image.gone:
        return [Mark("seen", "seen by all it was for")]
    marks = [Mark("lock", "password")] if image.password_hash else []
    if image.hdr:
        marks.append(Mark("hdr", "HDR"))
    if image.expiration == "burn":
        marks.append(Mark("seen", "shows once"))
    elif image.max_views:
        marks.append(Mark("seen", f"{image.views} of {image.max_views} seen"))
    if image.expires_at is not None and image.expires_at - now < SOON_DAYS * DAY:
        marks.append(Mark("soon", f"expires {in_text(image.expires_at, now)}"))
    return marks


def in_text(at: int, now: float) -> str:
    """How far ahead a time is, as in "in 3 h"."""
    left = max(0, int(at - now))
    if left < 3600:
        return f"in {max(1, left // 60)} min"
    return f"in {left // 3600} h" if left < 2 * DAY else f"in {left // DAY} days"


def day_text(at: int, now: float) -> str:
    """The day of a time, as in "today", "26 Nov", "26 Nov 2025"."""
    day, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    days = (today.date() - day.date()).days
    if days in (0, 1):
        return ("today", "yesterday")[days]
    return f"{day.day} {day:%b}" if day.year == today.year else day_texts(at)[1]


def facts_of(image: Image, folder: str, now: float) -> dict[str, str]:
    """What the panel tells of an image, by its label; `folder` is the folder's name."""
    facts = {} if image.gone else {"Size": f"{size_text(image.size)}, {image.width} \u00d7 {image.height}"}
    facts["Type"] = KINDS[image.ext] + (", HDR" if image.hdr else "")
    facts["Uploaded"] = f"{day_texts(image.created_at)[1]}, {SOURCES[image.upload_source]}"
    if image.gone and image.viewed_at:
        facts["Seen"] = time_texts(image.viewed_at)[1]
    facts["Expires"] = _expiry(image, now)
    facts["Folder"] = folder
    if not image.gone:
        facts["Password"] = "set" if image.password_hash else "none"
        facts["Removed"] = _removed(image)
    return facts


def _expiry(image: Image, now: float) -> str:
    if image.gone:
        return "gone; this note of it goes too" + (
            "" if image.expires_at is None else f" {in_text(image.expires_at, now)}"
        )
    when = "never" if image.expires_at is None else in_text(image.expires_at, now)
    if image.max_views is None:
        return when
    viewers = "once" if image.max_views == 1 else f"by {image.max_views}, {image.views} so far"
    return f"when seen {viewers}" + ("" if image.expires_at is None else f", or {when}")


def _removed(image: Image) -> str:
    if image.removed_bytes is None:
        return "not known"
    if not image.removed_bytes:
        return "there was nothing"
    kinds = [REMOVED[kind] for kind in (image.removed_kinds or "").split()]
    return ", ".join([*kinds, size_text(image.removed_bytes)])
