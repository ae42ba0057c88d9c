"""The links to an image that people paste elsewhere."""

from __future__ import annotations

from handlers.api import replies
from handlers.http.links import Links
from iuserver.records import Image

KINDS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WebP", "avif": "AVIF"}


def formats_of(image: Image, links: Links, page: str) -> list[tuple[str, str, str]]:
    """What can be copied: an id, a label (`page` for the share page's), the text. Of gated images only what leads to
    the page."""
    snippets = replies.embed(image, links)
    direct = [] if image.gated else [("direct", "Direct link", links.file(image))]
    return [
        ("page", page, links.page(image)),
        *direct,
        ("html", "HTML", snippets["html"]),
        ("markdown", "Markdown", snippets["markdown"]),
        ("bbcode", "BBCode", snippets["bbcode"]),
    ]
