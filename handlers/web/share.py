"""Pages of images: GET and POST /i/SLUG, the share page, and /d/SLUG/TOKEN, the deletion link."""

from __future__ import annotations

from handlers.api import replies
from handlers.formatting import day_texts, size_text, time_texts
from handlers.http.addresses import client_network
from handlers.web.page import FormPage
from handlers.web.visitor import intent_of, set_unlock_cookies, visitor_of
from iuserver.errors import Fault
from iuserver.policy import State, may_reveal
from iuserver.records import Image, Visitor

KINDS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WebP", "avif": "AVIF"}


class ShareHandler(FormPage):
    """An image's page: the picture, or what must be done to see it."""

    async def get(self, slug: str) -> None:
        image = await self.services.viewing.find(slug)
        visitor = await visitor_of(self, slug, page=True)
        self._show(image, await self.services.viewing.state_of(image, visitor))

    head = get

    async def post(self, slug: str) -> None:
        image = await self.services.viewing.find(slug)
        visitor = await visitor_of(self, slug, page=True)
        state = await self.services.viewing.state_of(image, visitor)
        if state == "locked":
            await self._unlock(image)
        elif may_reveal(state, intent_of(self)):
            await self._reveal(image, visitor)
        else:
            self._show(image, state)

    def _show(self, image: Image, state: State) -> None:
        if state == "gone":
            raise Fault("not_found", "There is no such image")
        if state == "open":
            self._show_picture(image)
        elif state == "sealed":
            self.render("sealed.html", image=image)
        else:
            self._ask(None)

    async def _unlock(self, image: Image) -> None:
        """Take the password, and send the browser to the page that it opens."""
        password = self.form_field("password")
        try:
            token = await self.services.viewing.unlock(image, password, client_network(self.client_address()))
        except Fault as fault:
            if fault.code not in ("wrong_password", "rate_limited", "overloaded"):
                raise
            self._ask(fault)
            return
        set_unlock_cookies(self, image, token)
        self.redirect(image.slug, status=303)

    def _ask(self, fault: Fault | None) -> None:
        self.set_status(replies.STATUS[fault.code][0] if fault else 401)
        if fault and fault.retry_after is not None:
            self.set_header("Retry-After", fault.retry_after)
        else:
            self.set_header("WWW-Authenticate", "X-Image-Password")
        self.render("locked.html", wrong=f"{fault.message}." if fault else "")

    async def _reveal(self, image: Image, visitor: Visitor) -> None:
        grant = await self.services.viewing.reveal(image, visitor)
        self._show_picture(image, grant)

    def _show_picture(self, image: Image, grant: str | None = None) -> None:
        base, file = self.base_url(), f"f/{image.slug}.{image.ext}"
        self.render(
            "share.html",
            image=image,
            picture=f"{self.root()}{file}" + (f"?grant={grant}" if grant else ""),
            granted=grant is not None,
            share_url=f"{base}/i/{image.slug}",
            direct_url=f"{base}/{file}",
            links=_links(image, base),
            kind=KINDS[image.ext],
            size=size_text(image.size),
            created=day_texts(image.created_at),
            expires=None if image.expires_at is None else time_texts(image.expires_at),
        )


def _links(image: Image, base_url: str) -> list[tuple[str, str, str]]:
    """What can be copied: an id, a label, the text. Of gated images only what leads to this page."""
    snippets = replies.embed(image, base_url)
    direct = [] if image.gated else [("direct", "Direct link", f"{base_url}/f/{image.slug}.{image.ext}")]
    return [
        ("page", "Link to this page", f"{base_url}/i/{image.slug}"),
        *direct,
        ("html", "HTML", snippets["html"]),
        ("markdown", "Markdown", snippets["markdown"]),
        ("bbcode", "BBCode", snippets["bbcode"]),
    ]


class DeleteLinkHandler(FormPage):
    """The link that an upload's answer carries: it asks before it deletes, and works once."""

    async def get(self, slug: str, token: str) -> None:
        self._show(await self.services.library.find_for_deletion(slug, token), deleted=False)

    async def post(self, slug: str, token: str) -> None:
        self._show(await self.services.library.delete_by_link(slug, token), deleted=True)

    def _show(self, image: Image, deleted: bool) -> None:
        self.render("delete.html", filename=image.filename, deleted=deleted)
