"""Maps a request for an image to a visitor (who) and a view intent (how), and sets unlock cookies."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from handlers.callers import asker_of
from handlers.http.addresses import client_network
from handlers.http.base import Handler
from handlers.http.header_values import header_text
from handlers.web.robots import is_robot
from iuserver.policy import UNLOCK_SECONDS
from iuserver.records import Image, ViewIntent, Visitor

PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""Headers that mark a prefetch: Sec-Purpose is the Fetch standard's, the others are its predecessors."""


Address = Literal["page", "file", "thumbnail"]
"""Which of an image's addresses is asked for."""


async def visitor_of(handler: Handler, slug: str, address: Address) -> Visitor:
    """Who makes a request for one of an image's addresses. Only the bytes can be fetched by a grant."""
    headers, network = handler.request.headers, client_network(handler.client_address())
    return Visitor(
        is_here=handler.is_client_here,
        caller=(await asker_of(handler)).caller,  # an invalid key is ignored: public images are shown all the same
        client="\0".join((network, headers.get("User-Agent", ""), headers.get("Accept-Language", ""))),
        network=network,
        unlock=handler.get_cookie(_cookie(address, slug)),
        grant=handler.get_query_argument("grant", None) if address == "file" else None,
    )


def intent_of(handler: Handler, page: bool = False) -> ViewIntent:
    """How a request looks at an image: at its page, or at its bytes."""
    headers = handler.request.headers
    return ViewIntent(
        head=handler.request.method == "HEAD",
        navigation=_is_navigation(handler),
        robot=is_robot(headers.get("User-Agent", "")),
        prefetch=any(headers.get(name, "").lower().startswith(("prefetch", "preview")) for name in PURPOSES),
        page=page,
        reveal=handler.request.method == "POST",
    )


def _is_navigation(handler: Handler) -> bool:
    """Whether somebody opens the address itself, in place of a page that shows the picture."""
    headers = handler.request.headers
    if "Sec-Fetch-Mode" in headers:
        return headers["Sec-Fetch-Mode"] == "navigate"
    return "text/html" in headers.get("Accept", "")


def password_of(handler: Handler) -> str | None:
    """The password that came along, as scripts send it."""
    value = handler.request.headers.get("X-Image-Password")
    return None if value is None else header_text(value)


def set_unlock_cookies(handler: Handler, image: Image, token: str) -> None:
    """Let the client show, at each of the image's addresses, that it has given the password."""
    base = urlsplit(handler.base_url())
    paths: dict[Address, str] = {
        "page": f"/i/{image.slug}",
        "file": f"/f/{image.slug}.{image.ext}",
        "thumbnail": f"/t/{image.slug}.webp",
    }
    for kind, path in paths.items():
        handler.set_cookie(
            _cookie(kind, image.slug),
            token,
            path=base.path + path,
            max_age=UNLOCK_SECONDS,
            httponly=True,
            secure=base.scheme == "https",
            samesite="Lax",
        )


def _cookie(address: Address, slug: str) -> str:
    return f"unlock_{address}_{slug}"
