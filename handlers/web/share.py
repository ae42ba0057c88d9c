"""/i/SLUG: an image's share page, with its password form and Reveal button."""

from __future__ import annotations

from handlers.api import replies
from handlers.formatting import day_texts, size_text, time_texts
from handlers.http import faults
from handlers.http.links import Links
from handlers.web.page import FormPage, allow_pictures, root
from handlers.web.visitor import intent_of, set_unlock_cookies, visitor_of
from iuserver.errors import Fault
from iuserver.records import Image
from iuserver.viewing import Decision

KINDS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WebP", "avif": "AVIF"}


class ShareHandler(FormPage):
    """An image's page: the picture, or what must be done to see it."""

    async def show(self, slug: str) -> None:
        """Show the picture, or ask for what its viewers must do."""
        await self._decide(slug, password=None)

    async def open(self, slug: str) -> None:
        """Take the password, or the click on Reveal."""
        await self._decide(slug, password=self.form_field("password"))

    async def _decide(self, slug: str, password: str | None) -> None:
        self.base_url()  # raises Fault where the page could not name its own links, before a view is used up
        image = await self.services.viewing.find(slug)
        visitor = await visitor_of(self, slug, page=True)
        try:
            decision = await self.services.viewing.decide(image, visitor, intent_of(self, page=True), password)
        except Fault as fault:
            if fault.code not in ("wrong_password", "rate_limited", "overloaded"):
                raise
            self._ask(fault)
            return
        await self._answer(image, decision)

    async def _answer(self, image: Image, decision: Decision) -> None:
        if decision.unlock:  # send the browser to the page that the password opens
            set_unlock_cookies(self, image, decision.unlock)
            self.redirect(image.slug, status=303)
        elif decision.answer == "send":
            self._show_picture(image)
        elif decision.answer == "count":
            self._show_picture(image, await self.services.viewing.reveal(image, decision.visitor))
        elif decision.answer == "offer":
            self.render("sealed.html", image=image)
        else:
            self._ask(None)

    def _ask(self, fault: Fault | None) -> None:
        self.set_status(faults.STATUS[fault.code][0] if fault else 401)
        if fault and fault.retry_after is not None:
            self.set_header("Retry-After", fault.retry_after)
        else:
            self.set_header("WWW-Authenticate", "X-Image-Password")
        self.render("locked.html", wrong=f"{fault.message}." if fault else "")

    def _show_picture(self, image: Image, grant: str | None = None) -> None:
        links = self.links()
        own = f"{root(self)}f/{image.slug}.{image.ext}" + (f"?grant={grant}" if grant else "")
        is_elsewhere = not image.gated and links.files != links.pages
        if is_elsewhere:
            allow_pictures(self, links.files)
        self.render(
            "share.html",
            image=image,
            picture=links.file(image) if is_elsewhere else own,
            own=own,
            granted=grant is not None,
            share_url=links.page(image),
            direct_url=links.file(image),
            links=_links(image, links),
            kind=KINDS[image.ext],
            size=size_text(image.size),
            created=day_texts(image.created_at),
            expires=None if image.expires_at is None else time_texts(image.expires_at),
        )


def _links(image: Image, links: Links) -> list[tuple[str, str, str]]:
    """What can be copied: an id, a label, the text. Of gated images only what leads to this page."""
    snippets = replies.embed(image, links)
    direct = [] if image.gated else [("direct", "Direct link", links.file(image))]
    return [
        ("page", "Link to this page", links.page(image)),
        *direct,
        ("html", "HTML", snippets["html"]),
        ("markdown", "Markdown", snippets["markdown"]),
        ("bbcode", "BBCode", snippets["bbcode"]),
    ]
